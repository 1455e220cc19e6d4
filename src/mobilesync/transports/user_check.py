"""Asking an app's callback, by HTTP, whether a user's session is good.

Strategy: one POST of JSON with the fields of MSS's `com.antcloud.session.validate` and our own
beside them, signed as a webhook is. Two forms of answer are understood: MSS's, and
`{"valid": true}`. Only a clear yes or no is a verdict. Whatever else happens, a timeout, another
status, an answer about another session, is "cannot tell", never "no": a callback that is broken
must not look like users who are logged out.

Not here: when to ask, and again (engine/user_check.py); docs/guides/user-check.md is the contract.

Invariants:
- a try is bounded in time and in bytes, and goes to the address that the operator named: no
  redirects, and an app's connections are its own;
- neither users, nor their sessions, nor the address are in what is raised: it goes into the log.
"""

import asyncio
import random

import httpx
import msgspec
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.engine.apps import Apps, UserCallback
from mobilesync.engine.signature import sign
from mobilesync.engine.user_check import CannotTell, UserQuestion

OPERATION = "com.antcloud.session.validate"
BODY_BYTES_MAX = 64 * 1024
PAUSE_MAX_S = 0.2
"""Before the second try; it doubles with each further one."""
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Question(Struct, rename="camel"):
    operation_type: str
    instance_id: str
    user_id: str
    session_id: str
    app: str
    user: str
    session: str
    device: str


class _Result(Struct):
    valid: bool
    sid: str | None = None


class _Answer(Struct, rename="camel"):
    """Either form; members that are in neither are passed over."""

    valid: bool | None = None
    sid: str | None = None
    success: bool | None = None
    result_code: str | None = None
    return_code: str | None = None
    """What MSS's table calls resultCode."""
    result: _Result | None = None


class _Passing(CannotTell):
    """It may be well at the next try."""


class UserCallbacks:
    """A UserCheck (engine/user_check.py) that asks the callbacks of all apps by HTTP."""

    def __init__(self, apps: Apps, *, clock: Clock, entropy: random.Random) -> None:
        self._callbacks = {
            name: callback
            for name in apps.names()
            if (callback := apps.get(name).user_check) is not None
        }
        self._clock = clock
        self._entropy = entropy
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def validate(self, question: UserQuestion) -> bool:
        """See UserCheck. The app must have a callback; takes at most its attempts times its
        timeout, and the pauses between them."""
        callback = self._callbacks[question.app]
        body = msgspec.json.encode(
            _Question(
                OPERATION,
                callback.instance,
                question.user,
                question.credential,
                question.app,
                question.user,
                question.session,
                question.device,
            )
        )
        # The same for all tries: they ask one question.
        name = f"check_{self._entropy.getrandbits(128):032x}"
        for tried in range(1, callback.attempts):
            try:
                return read_answer(await self._try(question.app, name, body), question.credential)
            except _Passing:
                await asyncio.sleep(PAUSE_MAX_S * 2 ** (tried - 1) * self._entropy.random())
        return read_answer(await self._try(question.app, name, body), question.credential)

    async def close(self) -> None:
        """End all connections. Idempotent."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def _try(self, app: str, name: str, body: bytes) -> bytes:
        """One request; answers the body of a success."""
        callback = self._callbacks[app]
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            # Not compressed: a small body that unpacks to a huge one would get round the bound.
            "Accept-Encoding": "identity",
            **sign(callback.secret, name, self._clock.wall_ms() // 1000, body),
        }
        client = self._client(app, callback)
        try:
            async with asyncio.timeout(callback.timeout_s):
                async with client.stream(
                    "POST", callback.url, content=body, headers=headers
                ) as answer:
                    return await _read(answer)
        except TimeoutError:
            raise _Passing(f"no answer within {callback.timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Passing(f"no answer: {type(error).__name__}") from None

    def _client(self, app: str, callback: UserCallback) -> httpx.AsyncClient:
        if app not in self._clients:
            # Its own for each app, so that one that hangs takes no other's connections.
            limits = httpx.Limits(max_connections=callback.concurrent_max)
            self._clients[app] = httpx.AsyncClient(
                timeout=callback.timeout_s, limits=limits, follow_redirects=False
            )
        return self._clients[app]


async def _read(answer: httpx.Response) -> bytes:
    if not answer.is_success:
        kind = _Passing if answer.status_code in _TRY_AGAIN else CannotTell
        raise kind(f"it answered {answer.status_code}")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise CannotTell("its answer is too large")
    return bytes(body)


def read_answer(body: bytes, credential: str) -> bool:
    """The verdict in `body`. Raises CannotTell when there is none about `credential`."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CannotTell("its answer is of neither form") from None
    codes = [code for code in (answer.result_code, answer.return_code) if code is not None]
    if answer.success is False or any(code != "OK" for code in codes):
        raise CannotTell("it says that it failed")
    result = answer.result
    if result is not None and answer.success is not True:
        raise CannotTell("its answer is of neither form")
    sids = {answer.sid, result.sid if result is not None else None} - {None}
    if sids - {credential}:
        raise CannotTell("its answer is about another session")
    verdicts = {answer.valid, result.valid if result is not None else None} - {None}
    if len(verdicts) != 1:
        raise CannotTell("its answer holds no verdict")
    return True in verdicts
