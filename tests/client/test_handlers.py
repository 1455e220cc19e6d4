"""The app's functions by biz."""

from typing import Any

import pytest

from mobilesync.client.errors import HandlerExists, InvalidOption
from mobilesync.client.events import ReceivedNotice
from mobilesync.client.handlers import BIZ_HANDLERS_MAX, Handler, Handlers, call


def ignore(_: object) -> None:
    """A handler."""


def test_one_handler_per_biz_until_it_goes() -> None:
    handlers = Handlers()
    handlers.register("CHAT", Handler(ignore, False))
    with pytest.raises(HandlerExists) as refused:
        handlers.register("CHAT", Handler(ignore, False))
    assert "off" in refused.value.hint
    assert handlers.of("CHAT") == Handler(ignore, False)
    handlers.unregister("CHAT")
    handlers.unregister("CHAT")
    assert handlers.of("CHAT") is None
    handlers.register("CHAT", Handler(ignore, True))


def test_notices_have_their_own_handlers() -> None:
    handlers = Handlers()
    handlers.register_notice("TYPING", ignore)
    assert handlers.of("TYPING") is None
    assert handlers.of_notice("TYPING") is ignore
    with pytest.raises(HandlerExists):
        handlers.register_notice("TYPING", ignore)
    handlers.unregister("TYPING")
    assert handlers.of_notice("TYPING") is None


def test_withdrawals_have_their_own_listeners() -> None:
    handlers = Handlers()
    handlers.register_withdrawn("CHAT", ignore)
    assert handlers.of("CHAT") is None
    assert handlers.of_withdrawn("CHAT") is ignore
    with pytest.raises(HandlerExists):
        handlers.register_withdrawn("CHAT", ignore)
    handlers.unregister("CHAT")
    assert handlers.of_withdrawn("CHAT") is None


def test_what_cannot_be_called_is_refused() -> None:
    mistaken: Any = "print"
    with pytest.raises(InvalidOption):
        Handlers().register("CHAT", Handler(mistaken, False))


def test_handlers_have_a_bound() -> None:
    handlers = Handlers()
    for n in range(BIZ_HANDLERS_MAX):
        handlers.register(f"B{n}", Handler(ignore, False))
        handlers.register_withdrawn(f"B{n}", ignore)
    with pytest.raises(InvalidOption):
        handlers.register("ONE-MORE", Handler(ignore, False))
    with pytest.raises(InvalidOption):
        handlers.register_withdrawn("ONE-MORE", ignore)


async def test_functions_may_be_async_or_not() -> None:
    seen: list[str] = []

    async def later(notice: ReceivedNotice) -> None:
        seen.append(notice.biz)

    notice = ReceivedNotice("TYPING", "everyone", b"")
    await call(later, notice)
    await call(lambda each: seen.append(each.biz), notice)
    assert seen == ["TYPING", "TYPING"]
