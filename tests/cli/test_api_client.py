"""The API as commands use it, against a small HTTP server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from mobilesync.cli.api_client import ApiAccess, ApiClient, exit_code_of, failed
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.transports.certificates import development_certificate


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[tuple[ApiAccess, list[tuple[str, str]]]]:
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            self._answer()

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.headers["Content-Type"], sent.decode()))
            self._answer()

        do_PUT = do_POST  # noqa: N815 # as the standard library names it

        def do_DELETE(self) -> None:
            asked.append(("DELETE", self.path))
            self._answer()

        def _answer(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield ApiAccess(f"http://127.0.0.1:{server.server_port}", "ms_key", "demo"), asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_is_json_and_the_key_is_sent() -> None:
    with _answering(200, b'{"a": 1}') as (access, asked), ApiClient(access) as api:
        assert api.get("/v1/x", target="user:a b", limit=3) == {"a": 1}
    assert asked == [("/v1/x?target=user%3Aa+b&limit=3", "Bearer ms_key")]


def test_a_body_is_sent_as_json() -> None:
    with _answering(200, b'{"a": 1}') as (access, asked), ApiClient(access) as api:
        for send in (api.post, api.put):
            assert send("/v1/x", {"b": ["\u00e9"]}) == {"a": 1}
    assert asked == [("application/json", '{"b":["\u00e9"]}')] * 2


def test_what_is_removed_needs_no_answer() -> None:
    with _answering(204, b"") as (access, asked), ApiClient(access) as api:
        api.delete("/v1/x")
    assert asked == [("DELETE", "/v1/x")]


def test_each_wrong_item_is_told() -> None:
    items = [
        {"index": 0, "message": "A: too long", "hint": "up to 5"},
        {"index": 1, "message": "B:\a no", "hint": ""},
        "nonsense",
    ]
    told = {"code": "INVALID_BATCH", "message": "2 are wrong", "hint": "see items", "items": items}
    failure = failed(422, {"error": told}).failure
    assert (
        failure.message == "2 are wrong\n  A: too long; up to 5\n  B:\N{REPLACEMENT CHARACTER} no"
    )
    assert failure.hint == ""
    assert failed(422, {"error": told | {"items": 5}}).failure.hint == "see items"


def test_an_error_keeps_the_servers_sentence() -> None:
    body = b'{"error": {"code": "UNKNOWN_BIZ", "message": "no such biz", "hint": "create it"}}'
    with _answering(404, body) as (access, _), ApiClient(access) as api:
        with pytest.raises(CommandFailed, match="no such biz") as caught:
            api.get("/v1/x")
    failure = caught.value.failure
    assert (failure.code, failure.hint, failure.exit_code) == (
        "UNKNOWN_BIZ",
        "create it",
        ExitCode.REFUSED,
    )


def test_deleting_answers_nothing_or_an_error() -> None:
    with _answering(204, b"") as (access, asked), ApiClient(access) as api:
        api.delete("/v1/x", target="user:a b")
    assert asked == [("DELETE", "/v1/x?target=user%3Aa+b")]
    with _answering(404, b'{"error": {"message": "gone"}}') as (access, _):
        with ApiClient(access) as api, pytest.raises(CommandFailed, match="gone"):
            api.delete("/v1/x")


def test_what_is_no_api_is_told() -> None:
    with _answering(200, b"<html>") as (access, _), ApiClient(access) as api:
        with pytest.raises(CommandFailed, match="no JSON"):
            api.get("/")


@pytest.mark.parametrize("body", [None, [], {"error": 1}, {"error": {"message": None}}, "text"])
def test_a_misshapen_error_is_still_an_error(body: object) -> None:
    assert "HTTP 500" in str(failed(500, body))


@pytest.mark.parametrize(
    "status, code",
    [
        (401, ExitCode.REFUSED),
        (429, ExitCode.RETRY),
        (503, ExitCode.RETRY),
        (500, ExitCode.FAILURE),
    ],
)
def test_what_a_caller_may_hope_for(status: int, code: ExitCode) -> None:
    assert exit_code_of(status) is code


def test_nobody_there() -> None:
    with _answering(200, b"{}") as (access, _):
        pass
    with ApiClient(access) as api, pytest.raises(httpx.TransportError):
        api.get("/")


def test_the_development_certificate_is_trusted_for_https_only(tmp_path: Path) -> None:
    path = str(development_certificate(tmp_path, 1_800_000_000_000).certificate)
    assert ApiAccess("http://x", "k", "a", path).tls() is True
    assert ApiAccess("https://x", "k", "a").tls() is True
    assert ApiAccess("https://x", "k", "a", path).tls() is not True
