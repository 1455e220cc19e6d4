"""The OpenAPI 3.1 document, made from the rows that are served.

Strategy: msgspec derives a JSON Schema (2020-12, as OpenAPI 3.1 wants it) from each type; the
rest is arrangement. Nothing is written by hand here that a row or a type says already.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from mobilesync import __version__
from mobilesync.api.errors import CODES, ErrorAnswer
from mobilesync.api.operations import JSON, Operation, Text

GENERAL_ERRORS = ("MALFORMED_REQUEST", "OVERLOADED", "INTERNAL")
KEY_ERRORS = ("UNAUTHORIZED", "FORBIDDEN", "TOO_MANY_ATTEMPTS")
BODY_ERRORS = (
    "MALFORMED_BODY",
    "BODY_TIMEOUT",
    "TOO_LARGE",
    "WRONG_CONTENT_TYPE",
    "INVALID_REQUEST",
)
_REFERENCES = "#/components/schemas/{name}"


def document(operations: Sequence[Operation[Any, Any]]) -> bytes:
    """The document for `operations`, as JSON, the same at every call."""
    types = _types(operations)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        row = _operation(operation, schema_of, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = row
    content = {
        "openapi": "3.1.0",
        "info": {
            "title": "Mobilesync",
            "version": __version__,
            "summary": "Publish oplogs, configure bizzes, prove delivery.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key: ms_<id>_<secret>",
                }
            },
        },
    }
    return msgspec.json.encode(content)


def error_codes(operation: Operation[Any, Any]) -> list[str]:
    """Every code that `operation` may answer, by status."""
    codes = {*GENERAL_ERRORS, *operation.errors}
    if operation.scope is not None:
        codes.update(KEY_ERRORS)
    if operation.body is not None:
        codes.update(BODY_ERRORS)
    if operation.query is not None or "{" in operation.path:
        codes.add("INVALID_REQUEST")
    if "{app}" in operation.path:
        codes.add("UNKNOWN_APP")
    return sorted(codes, key=lambda code: (CODES[code].status, code))


def parameters(operation: Operation[Any, Any]) -> Iterable[tuple[str, str, bool]]:
    """Each parameter: where it stands, its name, and whether it must be there."""
    for segment in operation.path.split("/"):
        if segment.startswith("{"):
            yield "path", segment[1:-1], True
    if operation.query is not None:
        for field in msgspec.structs.fields(operation.query):
            yield "query", field.encode_name, field.required


def _types(operations: Sequence[Operation[Any, Any]]) -> list[Any]:
    types: dict[str, Any] = {_key(ErrorAnswer): ErrorAnswer}
    for operation in operations:
        error_type = _error_type(operation)
        answer = None if operation.answer is Text else operation.answer
        body = operation.body.form if operation.body else None
        for each in (body, operation.query, answer, error_type):
            if each is not None:
                types[_key(each)] = each
    return list(types.values())


def _key(form: Any) -> str:
    return str(form)


def _operation(
    operation: Operation[Any, Any], schema_of: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": _responses(operation, schema_of),
    }
    if operation.description:
        row["description"] = operation.description
    if operation.scope is None:
        row["security"] = [{}, {"api_key": []}] if operation.key_if_sent else []
    else:
        row["x-scope"] = operation.scope
    listed = [
        {
            "name": name,
            "in": place,
            "required": required,
            "schema": _parameter_schema(operation, name, place, components),
        }
        for place, name, required in parameters(operation)
    ]
    if listed:
        row["parameters"] = listed
    if operation.body is not None:
        schema = schema_of[_key(operation.body.form)]
        row["requestBody"] = {"required": True, "content": {JSON: {"schema": schema}}}
    return row


def _parameter_schema(
    operation: Operation[Any, Any], name: str, place: str, components: dict[str, Any]
) -> Any:
    if place == "path" or operation.query is None:
        return {"type": "string"}
    return components[operation.query.__name__]["properties"][name]


def _responses(operation: Operation[Any, Any], schema_of: dict[str, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done"}
    if operation.answer is Text:
        success["content"] = {"text/plain": {"schema": {"type": "string"}}}
    elif operation.answer is not None:
        success["content"] = {JSON: {"schema": schema_of[_key(operation.answer)]}}
    responses: dict[str, Any] = {str(operation.status): success}
    by_status: dict[int, list[str]] = {}
    for code in error_codes(operation):
        by_status.setdefault(CODES[code].status, []).append(code)
    shape = {JSON: {"schema": schema_of[_key(_error_type(operation))]}}
    for status, codes in by_status.items():
        meanings = "; ".join(f"{code}: {CODES[code].meaning}" for code in codes)
        responses[str(status)] = {"description": meanings, "content": shape}
    return responses


def _error_type(operation: Operation[Any, Any]) -> Any:
    if operation.error_form is ErrorAnswer:
        return ErrorAnswer
    return operation.error_form.__annotations__["return"]
