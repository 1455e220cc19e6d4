"""Tokens: kept, refused, asked for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mobilesync.client.credentials import Credentials
from mobilesync.client.errors import InvalidOption, TokenFailed
from mobilesync.protocol.limits import TOKEN_CHARS_MAX


async def test_a_static_token_cannot_be_replaced() -> None:
    credentials = Credentials("alice", "t1", 1)
    assert await credentials.token() == "t1"
    assert not credentials.refuse("t1")
    assert credentials.refuse("another, from before a login")


async def test_a_callable_is_asked_once_until_its_token_is_refused() -> None:
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        return f"t{asked}"

    credentials = Credentials("alice", source, 1)
    assert [await credentials.token() for _ in range(3)] == ["t1", "t1", "t1"]
    assert credentials.refuse("t1")
    assert await credentials.token() == "t2"
    assert credentials.refuse("t1")
    assert await credentials.token() == "t2"


async def test_a_callable_need_not_be_async() -> None:
    assert await Credentials("", lambda: "t1", 1).token() == "t1"


async def never() -> str:
    await asyncio.Event().wait()
    return "t1"


def breaks() -> str:
    raise RuntimeError("password=hunter2")


@pytest.mark.parametrize(
    "source", [never, breaks, lambda: "", lambda: None, lambda: "x" * (TOKEN_CHARS_MAX + 1)]
)
async def test_a_callable_that_gives_none_fails_typed(source: Callable[[], Any]) -> None:
    with pytest.raises(TokenFailed) as failed:
        await Credentials("alice", source, 0.01).token()
    assert "hunter2" not in str(failed.value)


@pytest.mark.parametrize(
    "user, source", [("u" * 129, "t1"), ("alice", ""), ("alice", 7), ("alice", None)]
)
def test_what_cannot_be_right_is_refused_at_once(user: str, source: Any) -> None:
    with pytest.raises(InvalidOption):
        Credentials(user, source, 1)


async def test_the_same_source_for_nobody_is_asked_anew() -> None:
    tokens = iter(["user-token", "device-token"])
    credentials = Credentials("alice", lambda: next(tokens), 1)
    await credentials.token()
    reverted = credentials.revert("")
    assert (reverted.user, await reverted.token()) == ("", "device-token")
