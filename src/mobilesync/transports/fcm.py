"""Wake apps through Firebase Cloud Messaging (FCM), HTTP v1.

Strategy: a data message that only says "wake", sent with the bearer of a service account. Google's
pages "REST Resource: projects.messages", "FCM Error Codes", "Best practices for FCM registration
token management" and "Set and manage Android message priority" say how. All wakes have one collapse
key, so at most one of them waits at Google's for a device that is off.

Not here: when to wake (engine), bearers (fcm_bearer.py), bounds and connections (push_line.py).

Invariants:
- but for the push token, the content is the same for every wake;
- at most one more request follows a refused bearer, with another bearer.
"""

import random
import re
import ssl
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.engine.push_gateway import SENT, WakeOutcome, WakeResult
from mobilesync.transports.fcm_bearer import BearerOptions, Bearers, read_service_account
from mobilesync.transports.push_line import (
    Answer,
    LineOptions,
    PushLine,
    decoded,
    hinted,
    word,
)

ORIGIN = "https://fcm.googleapis.com"
DATA = {"mobilesync": "wake"}
COLLAPSE_KEY = "mobilesync"
"""FCM keeps four collapse keys of an app at a time; this is our one."""
_PUSH_TOKEN = re.compile(r"[!-~]{1,4096}")
_FOUR_WEEKS_S = 2_419_200

_TOKEN_GONE = {
    "SENDER_ID_MISMATCH": "it belongs to another Firebase project",
    "UNREGISTERED": "",
}
_HINTS = {
    "NOT_FOUND": "is there such a project?",
    "PERMISSION_DENIED": "is the FCM API switched on, and may the service account use it?",
    "THIRD_PARTY_AUTH_ERROR": "the push token is not of an Android app; iOS has APNs",
    "UNAUTHENTICATED": "is the service account of this project?",
}


@dataclass(frozen=True, slots=True)
class FcmOptions:
    """Bounds and times of this gateway."""

    line: LineOptions = field(default_factory=lambda: LineOptions(concurrent_max=16))
    """Each request that is under way has a connection of its own (HTTP/1.1)."""
    bearer: BearerOptions = field(default_factory=BearerOptions)
    origin: str = ORIGIN
    priority: Literal["HIGH", "NORMAL"] = "HIGH"
    """NORMAL: a device that sleeps is not woken, but gets it when it wakes by itself."""
    kept_s: int = _FOUR_WEEKS_S
    """How long Google keeps a wake for a device that is off; four weeks at most."""
    crowded_s: float = 60.0
    """The wait after "quota exceeded" (429) when no other is advised; Google: a minute or more."""
    broken_s: float = 10.0
    """The wait after a failure of Google's (5xx) when no other is advised."""

    def __post_init__(self) -> None:
        assert self.origin.startswith("https://")
        assert 0 <= self.kept_s <= _FOUR_WEEKS_S
        # A bearer that is handed out must live for as long as the wake that it is handed to.
        assert self.bearer.spare_s >= 2 * self.line.timeout_s
        assert min(self.crowded_s, self.broken_s) > 0


class FcmGateway:
    """A PushGateway (engine/push_gateway.py) for one Firebase project. See `load_fcm`."""

    kind = "fcm"

    def __init__(
        self, bearers: Bearers, line: PushLine, *, project: str, options: FcmOptions
    ) -> None:
        self._bearers = bearers
        self._line = line
        self._options = options
        self._url = f"{options.origin}/v1/projects/{project}/messages:send"
        self._android = {
            "priority": options.priority,
            "collapse_key": COLLAPSE_KEY,
            "ttl": f"{options.kept_s}s",
        }

    async def wake(self, token: str) -> WakeResult:
        """See PushGateway."""
        if not _PUSH_TOKEN.fullmatch(token):
            return WakeResult(WakeOutcome.TOKEN_GONE, "the push token is none of Firebase's")
        return await self._line.in_turn(lambda: self._wake(token))

    async def close(self) -> None:
        """See PushGateway."""
        await self._bearers.close()
        await self._line.close()

    async def _wake(self, token: str) -> WakeResult:
        bearer = await self._bearers.current()
        if isinstance(bearer, WakeResult):
            return bearer
        answer = await self._send(token, bearer)
        if answer.status == 401 and _code(answer) != "THIRD_PARTY_AUTH_ERROR":
            bearer = await self._bearers.instead_of(bearer)
            if isinstance(bearer, WakeResult):
                return bearer
            answer = await self._send(token, bearer)
        return self._judged(answer)

    async def _send(self, token: str, bearer: str) -> Answer:
        content = {"message": {"token": token, "data": DATA, "android": self._android}}
        headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
        return await self._line.post(self._url, headers, msgspec.json.encode(content))

    def _judged(self, answer: Answer) -> WakeResult:
        """What an answer means: "FCM Error Codes"."""
        if answer.status == 200:
            return SENT
        code = _code(answer)
        if code in _TOKEN_GONE:
            return WakeResult(WakeOutcome.TOKEN_GONE, hinted(code, _TOKEN_GONE))
        if code == "INVALID_ARGUMENT" and _is_about_token(answer):
            return WakeResult(WakeOutcome.TOKEN_GONE, f"{code}: it is no registration token")
        if answer.status == 429:
            return self._line.later(code, self._line.advised_s(answer, self._options.crowded_s))
        if answer.status >= 500:
            return self._line.later(code, self._line.advised_s(answer, self._options.broken_s))
        return WakeResult(WakeOutcome.REFUSED, hinted(code, _HINTS))


def load_fcm(
    service_account: bytes,
    *,
    clock: Clock,
    entropy: random.Random,
    options: FcmOptions | None = None,
    tls: ssl.SSLContext | None = None,
) -> FcmGateway:
    """A gateway with `service_account`, the contents of a JSON file of Google's, which names the
    project too. Opens no connection yet.

    Raises InvalidRequest when the file is not usable.
    """
    account = read_service_account(service_account)
    chosen = options or FcmOptions()
    line = PushLine(chosen.line, clock=clock, entropy=entropy, http2=False, tls=tls)
    bearers = Bearers(account, line, clock=clock, options=chosen.bearer)
    return FcmGateway(bearers, line, project=account.project, options=chosen)


class _Violation(Struct):
    field: str = ""


class _Detail(Struct, rename="camel"):
    error_code: str = ""
    field_violations: list[_Violation] = []


class _Error(Struct):
    status: str = ""
    details: list[_Detail] = []

    @property
    def code(self) -> str:
        """FCM's own code, which says more than the status that all of Google's APIs have."""
        return next((each.error_code for each in self.details if each.error_code), self.status)


class _Envelope(Struct):
    error: _Error


def _error(answer: Answer) -> _Error:
    envelope = decoded(answer, _Envelope)
    return envelope.error if envelope else _Error()


def _code(answer: Answer) -> str:
    return word(_error(answer).code, f"HTTP {answer.status}")


def _is_about_token(answer: Answer) -> bool:
    """Whether an INVALID_ARGUMENT is about the registration token, and nothing else of ours."""
    details = _error(answer).details
    fields = {each.field for detail in details for each in detail.field_violations}
    return any(detail.error_code for detail in details) and fields <= {"message.token"}
