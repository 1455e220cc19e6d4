"""The business API, as commands use it.

Strategy: a thin skin over httpx. An error answer becomes a CommandFailed with the server's own
sentence and hint, and an exit code by what its status lets a caller hope for.

Not here: publishing, which has a client of its own (mobilesync.publishing).
"""

import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from mobilesync.cli.console import shown
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed

TIMEOUT_S = 30.0
_RETRY = {408, 425, 429, 502, 503, 504}


class ApiAccess(Struct, frozen=True):
    """Where the API is, and with what key."""

    url: str
    key: str
    app: str
    certificate: str = ""
    """Trusted besides the machine's own authorities, if set."""

    def path(self, *parts: str) -> str:
        """The path of something of the app."""
        return "/".join(["/v1/apps", self.app, *(quote(part, safe="") for part in parts)])

    def tls(self) -> ssl.SSLContext | bool:
        """What httpx should verify HTTPS with."""
        if not self.certificate or not self.url.startswith("https:"):
            return True
        return ssl.create_default_context(cafile=self.certificate)


class ApiClient:
    """Asks the API; a context manager."""

    def __init__(self, access: ApiAccess) -> None:
        self._http = httpx.Client(
            base_url=access.url,
            headers={"Authorization": f"Bearer {access.key}"},
            timeout=TIMEOUT_S,
            verify=access.tls(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON at `path`. Raises CommandFailed, httpx.TransportError."""
        return self._read(self._http.get(path, params=query))

    def post(self, path: str, body: Any) -> Any:
        """What `path` answers to `body`. Raises CommandFailed, httpx.TransportError."""
        content = msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        return self._read(self._http.post(path, content=content, headers=headers))

    def put(self, path: str, body: Any) -> Any:
        """As `post`, to replace what is at `path`."""
        content = msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        return self._read(self._http.put(path, content=content, headers=headers))

    def delete(self, path: str, **query: str) -> None:
        """Have what is at `path` removed. Raises CommandFailed, httpx.TransportError."""
        self._read(self._http.delete(path, params=query))

    def _read(self, answer: httpx.Response) -> Any:
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            body = answer.json()
        except ValueError:
            hint = "is this the address of Mobilesync's API?"
            raise CommandFailed(f"no JSON, but HTTP {answer.status_code}", hint=hint) from None
        if answer.is_success:
            return body
        raise failed(answer.status_code, body)


def failed(status: int, body: Any) -> CommandFailed:
    """What an error answer of the API means to a command."""
    error = body.get("error") if isinstance(body, Mapping) else None
    told = error if isinstance(error, Mapping) else {}
    message = str(told.get("message") or f"the API answered HTTP {status}")
    items = _items(told.get("items"))
    return CommandFailed(
        "\n  ".join([message, *items]),
        hint="" if items else str(told.get("hint") or ""),
        code=str(told.get("code") or "HTTP"),
        exit_code=exit_code_of(status),
    )


def _items(told: Any) -> list[str]:
    """A sentence for each item of a batch that is wrong."""
    items = [item for item in told if isinstance(item, Mapping)] if isinstance(told, list) else []
    return [
        shown("; ".join(str(item[part]) for part in ("message", "hint") if item.get(part)))
        for item in items
    ]


def exit_code_of(status: int) -> ExitCode:
    """What a caller may hope for after an answer of this HTTP status."""
    if status in _RETRY:
        return ExitCode.RETRY
    return ExitCode.REFUSED if status < 500 else ExitCode.FAILURE
