"""Wake apps through the Apple Push Notification service (APNs).

Strategy: a background notification without any content, over HTTP/2, signed for with a provider
token: Apple's pages "Sending notification requests to APNs", "Establishing a token-based connection
to APNs", "Pushing background updates to your App" and "Handling notification responses from APNs"
say how. All wakes of a device have one collapse id, so at most one of them waits at Apple's.

A push token comes from a device and is part of an address here: what is not hexadecimal is never
sent.

Not here: when to wake (engine), bounds and connections (push_line.py).

Invariants:
- the body is the same for every wake;
- at most one more request follows a refused provider token, with another provider token.
"""

import importlib.util
import random
import re
import ssl
from dataclasses import dataclass, field

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.push_gateway import SENT, WakeOutcome, WakeResult
from mobilesync.transports.moment import Moment
from mobilesync.transports.push_line import (
    Answer,
    LineOptions,
    PushLine,
    decoded,
    hinted,
    word,
)

PRODUCTION = "https://api.push.apple.com"
SANDBOX = "https://api.sandbox.push.apple.com"
"""For apps that are signed for development: their push tokens are good here only."""
BODY = b'{"aps":{"content-available":1}}'
COLLAPSE_ID = "mobilesync"
_PUSH_TOKEN = re.compile(r"[0-9A-Fa-f]{2,512}")
"""Apple: hexadecimal, of no fixed length."""
_IDENTIFIER = re.compile(r"[0-9A-Z]{10}")
_BUNDLE_ID = re.compile(r"[0-9A-Za-z.-]{1,155}")
_JWS = jwt.PyJWS(algorithms=["ES256"])
_HOUR_S = 3600.0

_TOKEN_GONE = {
    "BadDeviceToken": "is it of the other environment (production, sandbox)?",
    "DeviceTokenNotForTopic": "it belongs to another bundle id",
    "ExpiredToken": "",
    "Unregistered": "",
}
_HINTS = {
    "BadEnvironmentKeyIdInToken": "the key is for the other environment (production, sandbox)",
    "BadTopic": "is the bundle id right?",
    "ExpiredProviderToken": "is this machine's clock right?",
    "InvalidProviderToken": "do key, key id and team id belong together?",
    "TopicDisallowed": "is the bundle id of this team, with push notifications switched on?",
    "UnrelatedKeyIdInToken": "the key is for other bundle ids",
}


@dataclass(frozen=True, slots=True)
class ApnsOptions:
    """Bounds and times of this gateway."""

    line: LineOptions = field(default_factory=LineOptions)
    origin: str = PRODUCTION
    kept_s: int = 28 * 24 * 3600
    """How long Apple keeps a wake for a device that is off; 30 days at most."""
    token_fresh_s: float = 50 * 60.0
    """When a provider token is made anew. Apple takes none that is older than an hour."""
    token_pause_s: float = 20 * 60.0
    """Apple: no new provider token sooner after the last."""
    crowded_s: float = 60.0
    """The wait after "too many requests for the same device token" (429)."""
    broken_s: float = 15 * 60.0
    """The wait after a failure of Apple's (5xx); 15 minutes is what Apple asks for."""

    def __post_init__(self) -> None:
        assert self.origin.startswith("https://")
        assert 0 < self.kept_s <= 30 * 24 * 3600
        assert 20 * 60 <= self.token_pause_s <= self.token_fresh_s
        assert self.token_fresh_s + 2 * self.line.timeout_s < _HOUR_S
        assert min(self.crowded_s, self.broken_s) > 0


class ProviderTokens:
    """The provider token: what shows APNs which team a request comes from."""

    def __init__(
        self,
        key: EllipticCurvePrivateKey,
        *,
        key_id: str,
        team_id: str,
        clock: Clock,
        options: ApnsOptions,
    ) -> None:
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._clock = clock
        self._options = options
        self._token = ""
        self._made = Moment(clock)

    def current(self) -> str:
        """The one to use now, made anew when it is no longer fresh."""
        if not self._token or self._made.age_s() >= self._options.token_fresh_s:
            self._make()
        return self._token

    def instead_of(self, refused: str) -> str:
        """Another one than APNs has refused; empty when it is too soon to make one."""
        if self._token == refused:
            if self._made.age_s() < self._options.token_pause_s:
                return ""
            self._make()
        return self._token

    def _make(self) -> None:
        self._made = Moment(self._clock)
        claims = msgspec.json.encode({"iss": self._team_id, "iat": self._made.wall_s})
        headers = {"kid": self._key_id}
        self._token = _JWS.encode(claims, self._key, algorithm="ES256", headers=headers)


class ApnsGateway:
    """A PushGateway (engine/push_gateway.py) for one app of one team. See `load_apns`."""

    kind = "apns"

    def __init__(
        self,
        tokens: ProviderTokens,
        line: PushLine,
        *,
        bundle_id: str,
        clock: Clock,
        options: ApnsOptions,
    ) -> None:
        self._tokens = tokens
        self._line = line
        self._bundle_id = bundle_id
        self._clock = clock
        self._options = options

    async def wake(self, token: str) -> WakeResult:
        """See PushGateway."""
        if not _PUSH_TOKEN.fullmatch(token):
            return WakeResult(WakeOutcome.TOKEN_GONE, "the push token is not hexadecimal")
        return await self._line.in_turn(lambda: self._wake(token))

    async def close(self) -> None:
        """See PushGateway."""
        await self._line.close()

    async def _wake(self, token: str) -> WakeResult:
        provider_token = self._tokens.current()
        answer = await self._post(token, provider_token)
        if _reason(answer) == "ExpiredProviderToken":
            another = self._tokens.instead_of(provider_token)
            if another:
                answer = await self._post(token, another)
        return self._judged(answer)

    async def _post(self, token: str, provider_token: str) -> Answer:
        now_s = self._clock.wall_ms() // 1000
        headers = {
            "authorization": f"bearer {provider_token}",
            "apns-topic": self._bundle_id,
            "apns-push-type": "background",
            # A background notification with another priority is an error.
            "apns-priority": "5",
            "apns-expiration": str(now_s + self._options.kept_s),
            "apns-collapse-id": COLLAPSE_ID,
        }
        return await self._line.post(f"{self._options.origin}/3/device/{token}", headers, BODY)

    def _judged(self, answer: Answer) -> WakeResult:
        """What an answer means: "Handling notification responses from APNs"."""
        if answer.status == 200:
            return SENT
        reason = _reason(answer)
        if answer.status == 410 or reason in _TOKEN_GONE:
            return WakeResult(WakeOutcome.TOKEN_GONE, hinted(reason, _TOKEN_GONE))
        if reason == "TooManyProviderTokenUpdates":
            return self._line.later(reason, self._options.token_pause_s)
        if answer.status == 429:
            return self._line.later(reason, self._line.advised_s(answer, self._options.crowded_s))
        if answer.status >= 500:
            return self._line.later(reason, self._line.advised_s(answer, self._options.broken_s))
        if reason == "IdleTimeout":
            return self._line.later(reason)
        return WakeResult(WakeOutcome.REFUSED, hinted(reason, _HINTS))


def load_apns(
    key: bytes,
    *,
    key_id: str,
    team_id: str,
    bundle_id: str,
    clock: Clock,
    entropy: random.Random,
    options: ApnsOptions | None = None,
    tls: ssl.SSLContext | None = None,
) -> ApnsGateway:
    """A gateway with `key`, the contents of a .p8 file of Apple's. Opens no connection yet.

    Raises InvalidRequest when the key or an identifier is not usable, or HTTP/2 is not installed.
    """
    if importlib.util.find_spec("h2") is None:
        hint = "pip install 'mobilesync[apns]'"
        raise InvalidRequest("APNs needs HTTP/2", field="apns_key", hint=hint)
    for name, value in (("apns_key_id", key_id), ("apns_team_id", team_id)):
        if not _IDENTIFIER.fullmatch(value):
            hint = "ten capital letters and digits, from your Apple developer account"
            raise InvalidRequest(f"{name} is not one of Apple's", field=name, hint=hint)
    if not _BUNDLE_ID.fullmatch(bundle_id):
        hint = "the app's bundle id, such as com.example.shop"
        raise InvalidRequest("this is no bundle id", field="apns_bundle_id", hint=hint)
    chosen = options or ApnsOptions()
    line = PushLine(chosen.line, clock=clock, entropy=entropy, http2=True, tls=tls)
    tokens = ProviderTokens(
        _signing_key(key), key_id=key_id, team_id=team_id, clock=clock, options=chosen
    )
    return ApnsGateway(tokens, line, bundle_id=bundle_id, clock=clock, options=chosen)


def _signing_key(pem: bytes) -> EllipticCurvePrivateKey:
    hint = "the whole .p8 file of a key for APNs, as Apple lets you download it once"
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        hint = "decrypt it: openssl pkey -in key.pem -out plain.p8, readable by the server only"
        raise InvalidRequest("the APNs key is encrypted", field="apns_key", hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidRequest("this is no private key", field="apns_key", hint=hint) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise InvalidRequest("the APNs key is of another kind", field="apns_key", hint=hint)
    return key


class _Refusal(Struct):
    reason: str = ""


def _reason(answer: Answer) -> str:
    """Apple's word for what is wrong, or else the status."""
    refusal = decoded(answer, _Refusal)
    return word(refusal.reason if refusal else "", f"HTTP {answer.status}")
