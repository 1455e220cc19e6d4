"""Who is called for what: the app's functions, by biz, and how one is called.

Not here: when (dispatcher.py, bulletin.py).
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mobilesync.client.errors import HandlerExists, InvalidOption
from mobilesync.client.events import (
    ChannelReset,
    ClientEvent,
    ReceivedNotice,
    ReceivedOplog,
    WithdrawnOplogs,
)
from mobilesync.client.transaction import Transaction

Called = Awaitable[None] | None
OplogHandler = Callable[[ReceivedOplog], Called]
TransactionalHandler = Callable[[ReceivedOplog, Transaction], Called]
NoticeHandler = Callable[[ReceivedNotice], Called]
ResetListener = Callable[[ChannelReset], Called]
WithdrawalListener = Callable[[WithdrawnOplogs], Called]
StateListener = Callable[[ClientEvent], Called]

BIZ_HANDLERS_MAX = 1024
"""As many bizs as a Hello can name."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A biz's function; a transactional one also takes the local transaction."""

    function: Callable[..., Any]
    transactional: bool


class Handlers:
    """The app's functions."""

    def __init__(self) -> None:
        self._by_biz: dict[str, Handler] = {}
        self._by_notice_biz: dict[str, NoticeHandler] = {}
        self._by_withdrawn_biz: dict[str, WithdrawalListener] = {}
        self.reset_listeners: list[ResetListener] = []
        self.state_listeners: list[StateListener] = []

    def register(self, biz: str, handler: Handler) -> None:
        """Raises HandlerExists, InvalidOption."""
        if biz in self._by_biz:
            raise HandlerExists(f"{biz} has a handler", hint="unregister it with off() first")
        _check(biz, handler.function, len(self._by_biz))
        self._by_biz[biz] = handler

    def register_notice(self, biz: str, function: NoticeHandler) -> None:
        """Raises HandlerExists, InvalidOption."""
        if biz in self._by_notice_biz:
            hint = "unregister it with off() first"
            raise HandlerExists(f"{biz} has a notice handler", hint=hint)
        _check(biz, function, len(self._by_notice_biz))
        self._by_notice_biz[biz] = function

    def register_withdrawn(self, biz: str, function: WithdrawalListener) -> None:
        """Raises HandlerExists, InvalidOption."""
        if biz in self._by_withdrawn_biz:
            hint = "unregister it with off() first"
            raise HandlerExists(f"{biz} has a listener of withdrawals", hint=hint)
        _check(biz, function, len(self._by_withdrawn_biz))
        self._by_withdrawn_biz[biz] = function

    def unregister(self, biz: str) -> None:
        """Forget the biz's functions. A call that runs goes on to its end."""
        self._by_biz.pop(biz, None)
        self._by_notice_biz.pop(biz, None)
        self._by_withdrawn_biz.pop(biz, None)

    def of(self, biz: str) -> Handler | None:
        """The biz's handler, if there is one."""
        return self._by_biz.get(biz)

    def of_notice(self, biz: str) -> NoticeHandler | None:
        """The biz's notice handler, if there is one."""
        return self._by_notice_biz.get(biz)

    def of_withdrawn(self, biz: str) -> WithdrawalListener | None:
        """The biz's listener of withdrawals, if there is one."""
        return self._by_withdrawn_biz.get(biz)


def _check(biz: str, function: object, count: int) -> None:
    if not callable(function):
        raise InvalidOption(f"the handler of {biz} is not callable", hint="decorate a function")
    if count >= BIZ_HANDLERS_MAX:
        raise InvalidOption(f"more than {BIZ_HANDLERS_MAX} handlers")


async def call(function: Callable[..., Any], *arguments: object) -> None:
    """Call `function`, and wait for what it returns if that can be waited for."""
    answer = function(*arguments)
    if inspect.isawaitable(answer):
        await answer
