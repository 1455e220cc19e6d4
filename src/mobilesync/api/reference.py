"""The reference page of the HTTP API, made from the rows and the OpenAPI document.

Strategy: one section for each operation, one table for each type, one for the error codes. The
page is in the repository, so that it can be read there; a test fails when it is not what this
module makes. `python -m mobilesync.api > docs/reference/http-api.md` makes it anew.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from mobilesync.api.errors import CODES
from mobilesync.api.openapi import document, error_codes, parameters
from mobilesync.api.operations import Operation
from mobilesync.api.routes import OPERATIONS

_HEAD = """# HTTP API

This page is made from the code (`python -m mobilesync.api`); a running server describes itself at
`/openapi.json`. How to use it is told in [Publish](../guides/publishing.md), in
[Prove and intervene](../guides/proof.md) and, for callers written for MSS, in
[MSS compatibility](../mss-compatibility.md). What a `reason` is stands in [Rules](rules.md).

- Send `Authorization: Bearer ms_<id>_<secret>`. A key has scopes and is for one app or for all;
  `admin` includes the other scopes.
- Send bodies as `Content-Type: application/json`, in UTF-8, with each key once in an object.
- Every answer has an `X-Request-Id`: yours if you sent one, and in the server's log too.
- Every error has the shape [ErrorAnswer](#erroranswer). Where `Retry-After` is given, the same
  request may succeed after so many seconds.
"""


def page() -> str:
    """The whole page."""
    described: dict[str, Any] = msgspec.json.decode(document(OPERATIONS))
    lines = [_HEAD, "## Operations", ""]
    for operation in OPERATIONS:
        lines.extend(_operation(operation, described))
    lines.extend(["## Error codes", "", "| code | status | meaning |", "|---|---|---|"])
    for name, code in sorted(CODES.items(), key=lambda item: (item[1].status, item[0])):
        lines.append(f"| `{name}` | {code.status} | {code.meaning} |")
    lines.extend(["", "## Types", ""])
    for name, schema in described["components"]["schemas"].items():
        if not name.endswith("Query"):
            lines.extend(_type(name, schema))
    return "\n".join(lines).rstrip() + "\n"


def _operation(operation: Operation[Any, Any], described: dict[str, Any]) -> Iterator[str]:
    row = described["paths"][operation.path][operation.method.lower()]
    yield f"### {operation.summary}"
    yield ""
    yield f"`{operation.method} {operation.path}`"
    yield ""
    if operation.description:
        yield operation.description
        yield ""
    yield f"- Scope: {_scope(operation)}"
    query = [
        f"`{name}`{'' if required else ' (optional)'}"
        for place, name, required in parameters(operation)
        if place == "query"
    ]
    if query:
        yield f"- Query: {', '.join(query)}"
    if "requestBody" in row:
        schema = row["requestBody"]["content"]["application/json"]["schema"]
        yield f"- Body: {_kind(schema)}"
    success = row["responses"][str(operation.status)]
    yield f"- Answer: {operation.status}{_content(success)}"
    yield f"- Errors: {_listed(error_codes(operation))}"
    yield ""


def _scope(operation: Operation[Any, Any]) -> str:
    if operation.scope is not None:
        return f"`{operation.scope}`"
    return "`inspect` for all apps, unless made public" if operation.key_if_sent else "none"


def _content(answer: dict[str, Any]) -> str:
    for content_type, content in answer.get("content", {}).items():
        return f", {_kind(content['schema']) if 'json' in content_type else 'text'}"
    return ", no body"


def _listed(codes: Sequence[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _type(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if "description" in schema:
        yield schema["description"]
        yield ""
    yield "| member | type | meaning |"
    yield "|---|---|---|"
    required = set(schema.get("required", ()))
    for member, described in schema.get("properties", {}).items():
        optional = "" if member in required else ", optional"
        meaning = described.get("description", "")
        yield f"| `{member}` | {_kind(described)}{optional} | {meaning} |"
    yield ""


def _kind(schema: dict[str, Any]) -> str:
    """A few words for a schema, in one cell of a table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"({', '.join(_kind(each) for each in schema['prefixItems'])})"
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        return f"object of {_kind(schema['additionalProperties'])}"
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = str(schema.get("type", "any JSON"))
    bounds = [schema[key] for key in ("minimum", "maximum") if key in schema]
    return f"{kind} {bounds[0]} to {bounds[1]}" if len(bounds) == 2 else kind
