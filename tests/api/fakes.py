"""Stand-ins for the API's tests, and the one check of the one error shape."""

from dataclasses import dataclass
from typing import Any

import httpx

from mobilesync.api.app import Api
from mobilesync.api.errors import CODES, HttpError
from mobilesync.api.openapi import error_codes
from mobilesync.api.routes import OPERATIONS, Routes

JSON = {"content-type": "application/json"}
OPLOGS = "/v1/apps/demo/oplogs"
_ROUTES = Routes(OPERATIONS)


class FakeClock:
    """Time moves when a test says so."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.now_s = 100.0

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_s


@dataclass
class Caller:
    """A client of the API that runs in the same loop."""

    client: httpx.AsyncClient
    app: Api

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.delete(path, headers=headers)

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Bytes go out as they are, anything else as JSON."""
        if isinstance(body, bytes):
            return await self.client.post(path, content=body, headers=JSON | headers)
        return await self.client.post(path, json=body, headers=headers)

    async def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.client.put(path, json=body, headers=headers)

    async def publish(self, **members: Any) -> httpx.Response:
        """One oplog in CHAT to user:42, unless `members` say otherwise."""
        publication = {"biz": "CHAT", "target": "user:42", "payload": "hi"} | members
        chosen = {name: value for name, value in publication.items() if value is not None}
        return await self.post(OPLOGS, chosen)


def assert_error(answer: httpx.Response, code: str, field: str | None = None) -> dict[str, Any]:
    """Check everything that every error promises, and return it."""
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    error: dict[str, Any] = document["error"]
    assert error["code"] == code, error
    assert answer.status_code == CODES[code].status
    assert set(error) <= {
        "code", "message", "hint", "field", "items", "retry_after_s", "request_id",
    }  # fmt: skip
    assert error["message"]
    assert isinstance(error["hint"], str)
    assert error["request_id"] == answer.headers["x-request-id"]
    if "retry_after_s" in error:
        assert answer.headers["retry-after"] == str(error["retry_after_s"])
        assert error["retry_after_s"] >= 1
    else:
        assert "retry-after" not in answer.headers
    if field is not None:
        assert error.get("field", "") == field, error
    _check_announced(answer.request, code)
    return error


def _check_announced(request: httpx.Request, code: str) -> None:
    """Whatever an operation answers is in its documentation."""
    try:
        operation, _ = _ROUTES.find(request.method, request.url.raw_path.split(b"?")[0])
    except HttpError:
        return
    assert code in error_codes(operation), f"{operation.name} does not announce {code}"
