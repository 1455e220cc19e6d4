"""Webhooks from the command line, against a real server and a real receiver."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mobilesync.publishing import WebhookEvent, verify_webhook
from tests.cli.conftest import Cli, ServerProcess


class Receiver:
    """Answers with `status`, and keeps the events that were signed with `secret`."""

    def __init__(self) -> None:
        self.status = 200
        self.secret = ""
        self.let_go = threading.Event()
        self.let_go.set()
        self.events: list[WebhookEvent] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = verify_webhook(receiver.secret, dict(self.headers), body)
                receiver.events.extend(request.events)
                receiver.let_go.wait(30)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    serve = receiver.server.serve_forever
    thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture(scope="module")
def data(served: ServerProcess) -> tuple[str, str]:
    return ("--data", str(served.data))


KIND = ("--kind", "oplog.processed")


def test_the_life_of_a_webhook(cli: Cli, data: tuple[str, str], receiver: Receiver) -> None:
    assert "no webhooks" in cli("webhook", "list", *data).out
    made = cli("webhook", "put", "orders", receiver.url, *KIND, "--biz", "CHAT", *data)
    assert made.code == 0
    receiver.secret = made.out.strip()
    assert receiver.secret.startswith("whsec_")
    assert "cannot be shown again" in made.err

    tested = cli("webhook", "test", "orders", *data)
    assert "answered 200" in tested.out
    assert [event.type for event in receiver.events] == ["test"]
    receiver.status = 500
    failed = cli("webhook", "test", "orders", "--json", *data)
    assert failed.code == 3
    assert "it answered 500" in failed.err
    shown = cli("webhook", "list", *data).out
    assert "orders" in shown
    (listed,) = cli("webhook", "list", "--json", *data).lines()
    assert (listed["queued"], listed["last_status"], listed["bizzes"]) == (1, 500, ["CHAT"])
    receiver.status = 204
    (good,) = cli("webhook", "test", "orders", "--json", *data).lines()
    assert (good["name"], good["last_status"]) == ("orders", 204)
    assert good["id"] == receiver.events[-1].id

    again = cli("webhook", "put", "orders", receiver.url, *KIND, "--offline", *data)
    assert again.out == "", "the secret is shown once"
    assert "offline" in again.err
    refused = cli("webhook", "test", "orders", *data)
    assert refused.code == 4
    assert "offline" in refused.err

    (removed,) = cli("webhook", "remove", "orders", "--json", *data).lines()
    assert removed == {"name": "orders"}
    assert cli("webhook", "remove", "orders", *data).code == 4


def test_a_secret_of_ones_own(
    cli: Cli, data: tuple[str, str], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    monkeypatch.setenv("MOBILESYNC_WEBHOOK_SECRET", secret)
    (kept,) = cli("webhook", "put", "mine", receiver.url, *KIND, "--json", *data).lines()
    assert "secret" not in kept
    assert kept["webhook"]["kinds"] == ["oplog.processed"]
    receiver.secret = secret
    assert cli("webhook", "test", "mine", *data).code == 0
    assert cli("webhook", "remove", "mine", *data).code == 0


def test_a_receiver_that_takes_its_time(
    cli: Cli, data: tuple[str, str], receiver: Receiver
) -> None:
    made = cli("webhook", "put", "late", receiver.url, *KIND, *data)
    receiver.secret = made.out.strip()
    receiver.let_go.clear()
    waiting = cli("webhook", "test", "late", "--timeout-s", "0.2", *data)
    receiver.let_go.set()
    assert waiting.code == 3
    assert "webhook list" in waiting.err
    assert cli("webhook", "remove", "late", *data).code == 0


def test_mistakes(cli: Cli, data: tuple[str, str]) -> None:
    assert cli("webhook", "put", "x", "https://shop.example/", *data).code == 2
    plain = cli("webhook", "put", "x", "http://shop.example/", *KIND, *data)
    assert plain.code == 4
    assert "unencrypted" in plain.err
    assert cli("webhook", "test", "no-such", *data).code == 4
