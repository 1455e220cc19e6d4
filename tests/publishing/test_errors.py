"""The errors of the publishing client say what is needed to mend or to search."""

import pytest

from mobilesync.publishing.errors import (
    InvalidPublication,
    InvalidRequest,
    NotAllowed,
    NotStored,
    OutcomeUnknown,
    PublishError,
    Unavailable,
    WrongItem,
)


@pytest.mark.parametrize(
    "kind", [InvalidRequest, InvalidPublication, NotAllowed, Unavailable, NotStored, OutcomeUnknown]
)
def test_one_tree(kind: type[PublishError]) -> None:
    item = WrongItem(3, "UNKNOWN_BIZ", "no such biz")
    error = kind("refused", code="C", hint="do this", request_id="r", items=[item])
    assert isinstance(error, PublishError)
    assert str(error) == "refused (do this)"
    assert (error.code, error.request_id, error.items) == ("C", "r", (item,))
    assert str(kind("refused")) == "refused"
