"""Answers: each has all that the API's answer has, and later members do not break it."""

import dataclasses
from typing import Any

import msgspec
import pytest

from mobilesync.api import dry_run, interventions, proof
from mobilesync.engine.forecast import Sample
from mobilesync.publishing import answers


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (answers.DryRun, dry_run.DryRun),
        (answers.Reached, Sample),
        (answers.Recalled, interventions.RecalledOplog),
        (answers.Offered, interventions.OfferedOplog),
        (answers.Replayed, interventions.ReplayOrder),
        (answers.Explanation, proof.ExplainedOplog),
        (answers.Receipt, proof.ShownReceipt),
        (answers.Receipts, proof.Receipts),
    ],
)
def test_it_holds_what_the_api_answers(ours: Any, theirs: Any) -> None:
    names = [field.name for field in dataclasses.fields(ours)]
    assert names == [field.name for field in msgspec.structs.fields(theirs)]


def test_members_of_a_later_server_are_passed_over() -> None:
    body = b'{"id":1,"by_id":2,"duplicate":false,"color":"red"}'
    assert msgspec.json.decode(body, type=answers.Recalled) == answers.Recalled(1, 2, False)
