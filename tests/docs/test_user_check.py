"""The guide to user checks says what is so, and its callback works against the real asker."""

import ast
import json
import random
import re
import sys
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mobilesync.engine.apps import App, Apps, SecretKey, UserCallback
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.user_check import RETRY_FIRST_S, RETRY_MAX_S, CannotTell, UserQuestion
from mobilesync.transports import user_check
from mobilesync.transports.user_check import BODY_BYTES_MAX, UserCallbacks, read_answer

PAGE = (Path(__file__).parents[2] / "docs/guides/user-check.md").read_text()
(SAMPLE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(REQUEST,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUESTION = UserQuestion("shop", "ada", "phone-1", "5bd1e0a3c2f49876", "s-7f3a")


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's program, as a module."""
    monkeypatch.setenv("USER_CHECK_SECRET", SECRET)
    module = ModuleType("user_check_sample")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(SAMPLE, "user-check.md", "exec"), module.__dict__)
    return module


@pytest.fixture
def port(sample: ModuleType) -> Iterator[int]:
    """The sample serves there."""

    class Quiet(sample.UserCheck):  # type: ignore[name-defined, misc]  # known when it runs
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


async def _ask(port: int, question: UserQuestion = QUESTION, secret: str = SECRET) -> bool:
    url = f"http://127.0.0.1:{port}/"
    callback = UserCallback(url, secret, "shop", timeout_s=20.0)
    apps = Apps([App("shop", (SecretKey(b"k" * 32),), user_check=callback)])
    callbacks = UserCallbacks(apps, clock=SystemClock(), entropy=random.Random(1))
    try:
        return await callbacks.validate(question)
    finally:
        await callbacks.close()


async def test_the_callback_knows_good_sessions_from_others(port: int) -> None:
    assert await _ask(port)
    assert not await _ask(port, UserQuestion("shop", "eve", "phone-1", "5bd1", "s-7f3a"))
    assert not await _ask(port, UserQuestion("shop", "ada", "phone-1", "5bd1", "s-0000"))


async def test_the_callback_answers_nobody_else(port: int) -> None:
    with pytest.raises(CannotTell, match="answered 401"):
        await _ask(port, secret="whsec_" + "a2" * 22)


def test_a_signature_gets_old(sample: ModuleType) -> None:
    from mobilesync.engine.signature import sign

    now_s = SystemClock().wall_ms() // 1000
    assert sample.is_signed(sign(SECRET, "check_1", now_s, b"{}"), b"{}")
    assert not sample.is_signed(sign(SECRET, "check_1", now_s - 400, b"{}"), b"{}")
    assert not sample.is_signed(sign(SECRET, "check_1", now_s, b"{}"), b"[]")
    assert not sample.is_signed({}, b"{}")


async def test_the_request_on_the_page_is_the_one_that_is_sent(
    port: int, sample: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[bytes] = []

    def note(headers: Any, body: bytes) -> bool:
        bodies.append(body)
        return True

    monkeypatch.setattr(sample, "is_signed", note)
    await _ask(port)
    assert json.loads(bodies[0]) == json.loads(REQUEST)


def test_the_answers_on_the_page_are_understood() -> None:
    answers = re.findall(r"`(\{.*?\})` (?=\|)", PAGE)
    verdicts = [read_answer(answer.encode(), "s-7f3a") for answer in answers]
    assert verdicts == [True, False, True]


def test_the_figures_on_the_page_are_the_codes() -> None:
    rows = re.findall(r"^\| `user_check_(\w+)` \| (\d+) \|", PAGE, re.MULTILINE)
    defaults = UserCallback("https://a.example", SECRET, "a")
    assert len(rows) == 3
    for name, value in rows:
        assert getattr(defaults, name) == int(value)
    assert f"about {RETRY_FIRST_S:.0f} s" in PAGE
    assert f"at most every {RETRY_MAX_S / 60:.0f} min" in PAGE
    assert f"up to {BODY_BYTES_MAX // 1024} KiB" in PAGE
    named = {int(code) for code in re.findall(r"\b4\d\d\b", _row("user_check_attempts"))}
    assert named == {code for code in user_check._TRY_AGAIN if code < 500}


def _row(name: str) -> str:
    (row,) = re.findall(rf"^\| `{name}`.*$", PAGE, re.MULTILINE)
    return str(row)


def test_the_sample_needs_nothing_but_python() -> None:
    for node in ast.walk(ast.parse(SAMPLE)):
        if isinstance(node, ast.Import):
            assert all(alias.name in sys.stdlib_module_names for alias in node.names)
