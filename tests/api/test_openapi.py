"""The OpenAPI document: complete, consistent, and the same as what is served."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mobilesync.api.errors import CODES
from mobilesync.api.openapi import document, error_codes
from mobilesync.api.routes import OPERATIONS
from tests.api.fakes import Caller

DOCUMENT: dict[str, Any] = json.loads(document(OPERATIONS))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


async def test_it_is_served_to_anybody(caller: Caller) -> None:
    answer = await caller.get("/openapi.json", authorization="")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")


def test_it_is_the_same_at_every_call() -> None:
    assert document(OPERATIONS) == document(OPERATIONS)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    found = set(references(DOCUMENT))
    assert {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]} >= found
    used = {reference.rpartition("/")[2] for reference in found}
    unused = {name for name in DOCUMENT["components"]["schemas"] if name not in used}
    assert all(name.endswith("Query") for name in unused), unused


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda row: row.name)
def test_a_row_is_told_completely(operation: Any) -> None:
    row = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert row["operationId"] == operation.name
    assert ("requestBody" in row) == (operation.body is not None)
    assert ("x-scope" in row) == (operation.scope is not None)
    variables = {part[1:-1] for part in operation.path.split("/") if part.startswith("{")}
    named = {each["name"] for each in row.get("parameters", []) if each["in"] == "path"}
    assert named == variables
    statuses = {str(CODES[code].status) for code in error_codes(operation)}
    assert set(row["responses"]) == statuses | {str(operation.status)}


def test_required_members_and_bounds_come_out_of_the_types() -> None:
    schema = DOCUMENT["components"]["schemas"]["PublicationBody"]
    assert schema["required"] == ["biz", "target"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["valid_until_ms"]["maximum"] == 2**53 - 1
