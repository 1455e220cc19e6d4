"""Bearers for Firebase Cloud Messaging: OAuth 2 for a service account.

Strategy: a claim signed with the account's key is traded for a bearer that is good for about an
hour: Google's page "Using OAuth 2.0 for server to server applications", RFC 7523. All wakes share
one bearer and one fetch. It is renewed a minute before it ends; while no new one can be had, the
old one serves until it really ends.

Whatever FCM and the token address answer, at most one fetch begins in `pause_s`: until then, the
last failure is the answer.

Invariants:
- never more than one fetch at a time, bounded in time;
- no representation of an account shows its key, and no result holds a bearer.
"""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import urlencode

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.push_gateway import WakeOutcome, WakeResult
from mobilesync.transports.moment import Moment
from mobilesync.transports.push_line import Answer, LineFailed, PushLine, decoded, word

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLAIM_S = 3600
"""How long a signed claim is good: Google's maximum."""
RSA_BITS_MIN = 2048
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]{1,4096}=*")
"""RFC 6750 §2.1. Anything else could not be sent in a header, and an error would quote it."""
_BEARER_S_MAX = 24 * 3600
_PROJECT = re.compile(r"[a-z0-9.:-]{4,64}")
_TOKEN_URL = re.compile(r"https://[!-~]{1,512}")
_EMAIL = re.compile(r"[!-~]{3,320}")
_JWS = jwt.PyJWS(algorithms=["RS256"])
_FIELD = "fcm_service_account"
_HINT = "the JSON file of a service account: Firebase console, project settings, service accounts"


class ServiceAccount(Struct, frozen=True):
    """Who may send for a Firebase project."""

    project: str
    email: str
    key: RSAPrivateKey
    key_id: str
    token_url: str

    def __repr__(self) -> str:
        return f"ServiceAccount(project={self.project!r}, key_id={self.key_id!r})"


@dataclass(frozen=True, slots=True)
class BearerOptions:
    """Times of bearers."""

    spare_s: float = 60.0
    """A bearer is renewed so long before it ends."""
    pause_s: float = 10.0
    """The least time between the beginnings of two fetches."""

    def __post_init__(self) -> None:
        assert self.spare_s >= 0
        assert self.pause_s > 0


class Bearers:
    """The bearer of one service account."""

    def __init__(
        self, account: ServiceAccount, line: PushLine, *, clock: Clock, options: BearerOptions
    ) -> None:
        self._account = account
        self._line = line
        self._clock = clock
        self._options = options
        self._bearer = ""
        self._lifetime_s = 0.0
        self._got = Moment(clock)
        self._tried: Moment | None = None
        self._failure = line.later("no bearer yet")
        self._fetch: asyncio.Task[None] | None = None

    async def current(self) -> str | WakeResult:
        """A bearer, or the result of every wake while there is none. Waits for a fetch at most."""
        if self._good_for_s() <= self._options.spare_s:
            fetch = self._begin_fetch()
            if fetch is not None:
                # Not awaited itself: a wake that is given up must not end the fetch of the others.
                await asyncio.wait([fetch])
        return self._bearer if self._good_for_s() > 0 else self._failure

    async def instead_of(self, refused: str) -> str | WakeResult:
        """Another bearer than FCM has refused, or the result of the wake when there is none."""
        if self._bearer == refused:
            if not self._may_fetch():
                return self._line.later("UNAUTHENTICATED", self._options.pause_s)
            self._bearer = ""
        return await self.current()

    async def close(self) -> None:
        """End a fetch that is under way. Idempotent."""
        fetch = self._fetch
        if fetch is not None:
            fetch.cancel()
            await asyncio.wait([fetch])

    def _good_for_s(self) -> float:
        return self._lifetime_s - self._got.age_s() if self._bearer else 0.0

    def _may_fetch(self) -> bool:
        return self._tried is None or self._tried.age_s() >= self._options.pause_s

    def _begin_fetch(self) -> asyncio.Task[None] | None:
        """The running fetch, or a new one, or None when the last one began too recently."""
        if self._fetch is None and self._may_fetch():
            self._tried = Moment(self._clock)
            self._fetch = asyncio.get_running_loop().create_task(self._renew())
        return self._fetch

    async def _renew(self) -> None:
        """Get a new bearer; what goes wrong becomes `_failure`."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        asked = Moment(self._clock)
        form = urlencode({"grant_type": GRANT_TYPE, "assertion": self._claim(asked)}).encode()
        try:
            async with asyncio.timeout(self._line.options.timeout_s):
                answer = await self._line.post(self._account.token_url, headers, form)
            self._take(answer, asked)
        except TimeoutError:
            self._failure = self._line.later("no bearer in time")
        except LineFailed as error:
            self._failure = self._line.later(f"no bearer: {error}")
        except asyncio.CancelledError:
            self._failure = self._line.later("the gateway is closed")
            raise
        finally:
            self._fetch = None

    def _claim(self, now: Moment) -> str:
        claims = {
            "iss": self._account.email,
            "scope": SCOPE,
            "aud": self._account.token_url,
            "iat": now.wall_s,
            "exp": now.wall_s + CLAIM_S,
        }
        headers = {"kid": self._account.key_id} if self._account.key_id else None
        payload = msgspec.json.encode(claims)
        return _JWS.encode(payload, self._account.key, algorithm="RS256", headers=headers)

    def _take(self, answer: Answer, asked: Moment) -> None:
        grant = decoded(answer, _Grant) or _Grant()
        if answer.status == 200:
            if _BEARER.fullmatch(grant.access_token):
                self._bearer = grant.access_token
                self._lifetime_s = min(grant.expires_in, _BEARER_S_MAX)
                self._got = asked
            else:
                self._failure = self._line.later("no bearer: not an answer of OAuth 2")
            return
        reason = word(grant.error, f"HTTP {answer.status}")
        if answer.status == 429 or answer.status >= 500:
            advised_s = self._line.advised_s(answer, self._options.pause_s)
            self._failure = self._line.later(f"no bearer: {reason}", advised_s)
            return
        hint = "is the service account's key still valid, and this machine's clock right?"
        self._failure = WakeResult(WakeOutcome.REFUSED, f"no bearer: {reason}: {hint}")


def read_service_account(content: bytes) -> ServiceAccount:
    """The account in the JSON file that Google gave out. Raises InvalidRequest."""
    try:
        file = msgspec.json.decode(content, type=_AccountFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The decoder's own text might quote a key.
        raise InvalidRequest("this is no service account", field=_FIELD, hint=_HINT) from None
    if file.type != "service_account":
        kind = "the app's own configuration" if file.project_info else "another kind of credential"
        raise InvalidRequest(f"this is {kind}, no service account", field=_FIELD, hint=_HINT)
    parts = (
        ("project_id", file.project_id, _PROJECT),
        ("client_email", file.client_email, _EMAIL),
        ("token_uri", file.token_uri, _TOKEN_URL),
    )
    for name, value, form in parts:
        if not form.fullmatch(value):
            message = f"the service account's {name} is missing or not usable"
            raise InvalidRequest(message, field=_FIELD, hint=_HINT)
    key = _private_key(file.private_key)
    return ServiceAccount(
        file.project_id, file.client_email, key, file.private_key_id, file.token_uri
    )


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = "the service account's private_key is no key"
        raise InvalidRequest(message, field=_FIELD, hint=_HINT) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < RSA_BITS_MIN:
        message = f"the service account's private_key is not RSA of {RSA_BITS_MIN} bits or more"
        raise InvalidRequest(message, field=_FIELD, hint=_HINT)
    return key


class _AccountFile(Struct):
    type: str = ""
    project_id: str = ""
    client_email: str = ""
    private_key: str = ""
    private_key_id: str = ""
    token_uri: str = ""
    project_info: dict[str, object] = {}
    """Only in google-services.json, the file that is easily taken for this one."""

    def __repr__(self) -> str:
        return f"_AccountFile(project_id={self.project_id!r})"


class _Grant(Struct):
    access_token: str = ""
    expires_in: float = 0.0
    error: str = ""

    def __repr__(self) -> str:
        return f"_Grant(expires_in={self.expires_in}, error={self.error!r})"
