"""The SDK's face: one `Client` is one device of one app.

Strategy: the app registers functions and enters the client; everything else happens in three
parts: the connector (sessions), the dispatcher (handlers) and the bulletin (listeners), which
meet in the local store. All of it runs on the app's event loop, without threads.

Not here: anything but wiring, and the checks of what the app passes in.
"""

import asyncio
import functools
import random
import sqlite3
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import mobilesync
from mobilesync.client.clock import Clock, SystemClock, seeded_by_the_system
from mobilesync.client.connector import Connect
from mobilesync.client.credentials import Credentials, TokenSource
from mobilesync.client.errors import InvalidOption, Superseded
from mobilesync.client.events import ClientStats, ParkedOplog
from mobilesync.client.handlers import (
    Handler,
    Handlers,
    NoticeHandler,
    ResetListener,
    StateListener,
    WithdrawalListener,
)
from mobilesync.client.local_store import LocalStore
from mobilesync.client.options import ClientOptions
from mobilesync.client.running import Running, Setup
from mobilesync.client.session import Profile
from mobilesync.client.tls import check_fingerprint, connect_tls, context_for
from mobilesync.protocol import limits

_F = TypeVar("_F", bound=Callable[..., Any])


class Client:
    """Keeps one device of one app in sync."""

    def __init__(
        self,
        host: str = "",
        port: int = 0,
        *,
        app: str,
        device: str,
        store: str | Path | sqlite3.Connection | LocalStore,
        token: TokenSource,
        user: str = "",
        os: str = "",
        app_version: str = "",
        attributes: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        ca_file: str | Path | None = None,
        fingerprint: str | None = None,
        connect: Connect | None = None,
        clock: Clock | None = None,
        random: random.Random | None = None,
        options: ClientOptions | None = None,
    ) -> None:
        """Checks everything and opens nothing: that is `start`. Raises InvalidOption.

        `store` is the path of an SQLite file that only this device uses, or ":memory:"; what is
        passed in already open stays open. `token` proves `user` (empty: nobody is logged in) and
        `device` to the server; a callable is asked for a new one when the server refuses it.
        `os`, `app_version` and `attributes` decide which oplogs this device is meant to see.
        Of `tls`, `ca_file` and `fingerprint` (SHA-256, for a development certificate) at most one
        is given. `connect` takes the place of host, port and TLS.
        """
        self._options = options or ClientOptions()
        self._handlers = Handlers()
        self._setup = Setup(
            app,
            store,
            _profile(device, os, app_version, attributes),
            connect or _connect_by_tls(host, port, tls, ca_file, fingerprint),
            self._options,
            clock or SystemClock(),
            random or seeded_by_the_system(),
            self._handlers,
        )
        self._credentials = Credentials(user, token, self._options.token_timeout_s)
        self._device_credentials = None if user else self._credentials
        self._running: Running | None = None
        self._wishes = 0

    # Life.

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the local store and begin to connect; returns before there is a connection.

        Raises StoreRefused, StoreDamaged, StoreUnavailable, InvalidOption when it runs already.
        """
        if self._running is not None:
            raise InvalidOption("the client runs already")
        running = Running(self._setup, self._credentials)
        running.start()
        self._running = running

    async def close(self) -> None:
        """Cancel running handlers, keep the marks of finished ones, ack, say Close. Idempotent.

        What was cut off is handed to its handler again at the next start.
        Raises ClientError when a handler calls it.
        """
        if self._running is not None:
            running = self._running
            running.dispatcher.check_outside()
            self._running = None
            await running.close()

    def abort(self) -> None:
        """Stop at once, as if the process died: nothing is flushed, nothing is said. Idempotent."""
        if self._running is not None:
            self._running.abort()
            self._running = None

    # Functions of the app.

    def on(self, biz: str, *, transactional: bool = False) -> Callable[[_F], _F]:
        """Register the decorated function as the handler of `biz`; it takes a ReceivedOplog.

        It may be async. It is called for one oplog of a channel after the other, in order, and
        until it has once returned without raising. A call that the end of the process cuts off is
        made again; with `transactional` the function also takes a Transaction, and what it does
        there happens exactly once. It must not wait for the client itself (`close`,
        `retry_parked`). A function that is not async blocks the loop while it runs.
        Raises HandlerExists.
        """

        def register(function: _F) -> _F:
            self._handlers.register(biz, Handler(function, transactional))
            if self._running is not None:
                self._running.dispatcher.wake()
            return function

        return register

    def off(self, biz: str) -> None:
        """Unregister the functions of `biz`. Its oplogs are kept until there is a handler again."""
        self._handlers.unregister(biz)
        if self._running is not None:
            self._running.connector.reconsider(biz)

    def on_notice(self, biz: str) -> Callable[[NoticeHandler], NoticeHandler]:
        """Register the decorated function for the non-persistent pushes of `biz`: only while
        connected, never repeated. Raises HandlerExists."""

        def register(function: NoticeHandler) -> NoticeHandler:
            self._handlers.register_notice(biz, function)
            return function

        return register

    def on_reset(self, function: ResetListener) -> ResetListener:
        """Call `function` with a ChannelReset when the server replaced a sync point: between the
        oplogs that came before and after it, repeated until it returns without raising. It waits,
        as oplogs do, for the biz's handler."""
        self._handlers.reset_listeners.append(function)
        return function

    def on_withdrawn(self, biz: str) -> Callable[[WithdrawalListener], WithdrawalListener]:
        """Register the decorated function for withdrawals in `biz`: it is called with a
        WithdrawnOplogs when oplogs that the app may have shown were recalled, or processed on
        another device of the user.

        Between the oplogs that came before and after the withdrawal, repeated until it returns
        without raising; it waits, as oplogs do, for the biz's handler. What was not handed out yet
        just never comes. Raises HandlerExists.
        """

        def register(function: WithdrawalListener) -> WithdrawalListener:
            self._handlers.register_withdrawn(biz, function)
            return function

        return register

    def on_state(self, function: StateListener) -> StateListener:
        """Call `function` with each ClientEvent from now on."""
        self._handlers.state_listeners.append(function)
        return function

    # The user and the app.

    async def login(self, user: str, token: TokenSource) -> None:
        """From now on this device belongs to `user`, whose oplogs alone reach the handlers
        besides the device's and everyone's; calls that run go on to their end.

        Works offline: the server is told when it can be. `connected` waits for that.
        Raises InvalidOption, TokenFailed, Superseded; then nothing has changed.
        """
        if not user:
            raise InvalidOption("login needs a user", hint="logout() is for nobody")
        self._wishes += 1
        wish = self._wishes
        credentials = Credentials(user, token, self._options.token_timeout_s)
        shown = await credentials.token()
        if wish != self._wishes:
            raise Superseded(f"the login of {user} was overtaken by a later login or logout")
        self._switch(credentials, shown)

    async def logout(self, token: TokenSource | None = None) -> None:
        """From now on nobody is logged in; what the user has not been handed stays until then.

        `token` proves the device alone, for the next connection. Without it the token that the
        client was made with is used if that was without a user, else the current source is asked.
        Raises InvalidOption.
        """
        self._wishes += 1
        if token is not None:
            self._device_credentials = Credentials("", token, self._options.token_timeout_s)
        self._switch(self._device_credentials or self._credentials.revert(""), None)

    def _switch(self, credentials: Credentials, token: str | None) -> None:
        self._credentials = credentials
        if self._running is not None:
            self._running.switch(credentials, token)

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """From now on the device has these attributes, and no others.

        If they differ from those before, a session that is open ends and the next one begins at
        once, for they are told when a device logs in; `connected` waits for that. Call it when
        something has changed, not in a loop. Raises InvalidOption; then nothing has changed.
        """
        old = self._setup.profile
        profile = _profile(old.device, old.os, old.app_version, attributes)
        if profile == old:
            return
        self._setup = replace(self._setup, profile=profile)
        if self._running is not None:
            self._running.connector.renew(profile)

    async def forget(self, user: str) -> None:
        """Remove everything that this device keeps of a user who is not logged in: an app that
        will not see them again makes room with it. Raises InvalidOption, StoreUnavailable."""
        if user == self._credentials.user:
            raise InvalidOption("the user is logged in", hint="log out first")
        await _started(self._running).forget(user)

    def foreground(self) -> None:
        """The app is on the screen: connect now if the server did not ask to wait, and test the
        link if there is one."""
        if self._running is not None:
            self._running.connector.nudge(True)

    def background(self) -> None:
        """The app has left the screen."""
        if self._running is not None:
            self._running.connector.nudge(False)

    def resume(self) -> None:
        """Try again now: after Stopped, when the cause is mended."""
        if self._running is not None:
            self._running.connector.resume()

    async def connected(self, timeout_s: float) -> None:
        """Return once a session is open for the current user.

        Raises NotConnected when that takes longer, ClientStopped when it will not come.
        """
        running = _started(self._running)
        try:
            async with asyncio.timeout(timeout_s):
                await running.connector.connected()
        except TimeoutError:
            raise running.connector.not_connected(timeout_s) from None

    # Parked oplogs and figures.

    def parked(self) -> list[ParkedOplog]:
        """The parked oplogs of the current user, the device and everyone, oldest first."""
        running = _started(self._running)
        return running.store.parked(running.dispatcher.targets)

    async def retry_parked(self, *keys: int) -> int:
        """Hand these parked oplogs (none named: all) to their handlers again, behind nothing but
        what waits already. Answers how many. Raises StoreUnavailable."""
        running = _started(self._running)
        async with running.gate:
            chosen = [each for each in self.parked() if not keys or each.key in keys]
            running.store.retry([each.key for each in chosen])
        running.dispatcher.wake([(each.oplog.biz, each.oplog.target) for each in chosen])
        return len(chosen)

    async def discard_parked(self, *keys: int) -> int:
        """Forget these parked oplogs (none named: all) for good. Answers how many.
        Raises StoreUnavailable."""
        running = _started(self._running)
        async with running.gate:
            chosen = [each for each in self.parked() if not keys or each.key in keys]
            running.store.discard([each.key for each in chosen])
        running.room.set()
        return len(chosen)

    def stats(self) -> ClientStats:
        """Figures so far."""
        return _started(self._running).stats(self._credentials.user)


def _started(running: Running | None) -> Running:
    if running is None:
        raise InvalidOption("the client does not run", hint="use `async with`, or start()")
    return running


def _profile(
    device: str, os: str, app_version: str, attributes: Mapping[str, str] | None
) -> Profile:
    if not 0 < len(device) <= limits.OWNER_CHARS_MAX:
        raise InvalidOption(f"a device id has 1 to {limits.OWNER_CHARS_MAX} characters")
    named = dict(attributes or {})
    if len(named) > limits.ATTRIBUTES_MAX:
        raise InvalidOption(f"more than {limits.ATTRIBUTES_MAX} attributes")
    names = [os, app_version, *named]
    if any(len(each) > limits.ATTRIBUTE_CHARS_MAX for each in names):
        bound = limits.ATTRIBUTE_CHARS_MAX
        raise InvalidOption(f"os, app_version and attribute names have at most {bound} characters")
    if any(len(each) > limits.ATTRIBUTE_VALUE_CHARS_MAX for each in named.values()):
        bound = limits.ATTRIBUTE_VALUE_CHARS_MAX
        raise InvalidOption(f"an attribute has at most {bound} characters")
    return Profile(device, os, app_version, f"python/{mobilesync.__version__}", named)


def _connect_by_tls(
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    ca_file: str | Path | None,
    fingerprint: str | None,
) -> Connect:
    if not host or not 0 < port < 65536:
        raise InvalidOption("host and port are needed", hint="or pass `connect`")
    pin = None if fingerprint is None else check_fingerprint(fingerprint)
    context = context_for(tls, ca_file, pin)
    return functools.partial(connect_tls, host, port, context, pin)
