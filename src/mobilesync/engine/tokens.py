"""Device tokens: who is this session, says the app's own business server (spec §4.3).

Strategy: a token is a JWS of three parts (RFC 7515) whose claims name the app, the user and the
device. The claim `app`, not yet trusted, chooses the keys; then the signature is verified; only
then is any other claim looked at. The key decides the algorithm, and the header may merely fail to
agree with it: `none`, HMAC with a public key, embedded keys (`jwk`) and key addresses (`jku`,
`x5u`) have no effect, since nothing reads them.

Verified tokens are not cached. On our machine a verification costs 10-15 µs more than its bare
arithmetic (HS256 3, RS256 27, ES256 80 µs), and the TLS handshake before it at least 290: a cache
would save little, and would outlive a key that was withdrawn.

Not here: which keys an app has (apps.py), fetching keys (transports/jwks.py), whether the identity
fits what Hello says (session.py).

Invariants:
- nothing larger than TOKEN_CHARS_MAX is decoded, and at most KEYS_MAX signatures are checked
  for each list of keys;
- an identity's names have passed domain.names, and its `expires_at_ms` is in the future.
"""

import binascii
import re
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import jwt
import msgspec
from msgspec import Meta, Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, TokenRefused
from mobilesync.domain.names import check_app, check_owner
from mobilesync.engine.apps import (
    KEYS_MAX,
    Algorithm,
    App,
    Apps,
    KeyUrl,
    PublicKey,
    SecretKey,
)
from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.limits import ATTRIBUTE_VALUE_CHARS_MAX, ID_MAX, TOKEN_CHARS_MAX

LEEWAY_S = 30.0
"""How far the clocks of the issuer and this server may differ."""
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_JWS = jwt.PyJWS(algorithms=["HS256", "RS256", "ES256"])


class Identity(Struct, frozen=True):
    """Whom a token speaks for."""

    app: str
    user: str
    """Empty: nobody is logged in, the session is the device's alone."""
    device: str
    """Empty: the token is for whichever device Hello names (the app allows that)."""
    expires_at_ms: int
    """Until when the token is good, leeway included."""
    session: str = ""
    """The app's own name for the user's login (OpenID's `sid`), for a user check."""


class KeySource(Protocol):
    """Public keys by address. Only a transport may fetch, so it is an argument."""

    async def keys(self, url: str, kid: str) -> Sequence[PublicKey]:
        """The keys at `url` that may have made a signature with `kid`; all if `kid` is empty.

        Fast when it knows the key; bounded in time and size when it must fetch.
        Raises TokenRefused with a code of the retry range when no keys can be had now.
        """


class NoKeySource:
    """Fetches nothing: for apps whose keys are all at hand."""

    async def keys(self, url: str, kid: str) -> Sequence[PublicKey]:
        """No keys."""
        return ()


class _Header(Struct):
    alg: str
    kid: str = ""
    crit: Any = None


class _AppClaim(Struct):
    app: str


class _Claims(Struct):
    exp: float
    sub: str = ""
    device: str = ""
    nbf: float = 0.0
    iat: float = 0.0
    iss: str = ""
    aud: str | list[str] | None = None
    sid: Annotated[str, Meta(max_length=ATTRIBUTE_VALUE_CHARS_MAX)] = ""


_Part = TypeVar("_Part", bound=Struct)


class Tokens:
    """Verifies device tokens against the keys of their apps."""

    def __init__(
        self, apps: Apps, clock: Clock, key_source: KeySource, *, leeway_s: float = LEEWAY_S
    ) -> None:
        assert leeway_s >= 0
        self._apps = apps
        self._clock = clock
        self._key_source = key_source
        self._leeway_ms = round(leeway_s * 1000)

    async def verify(self, token: str) -> Identity:
        """Whom `token` speaks for, once everything about it is checked.

        Raises TokenRefused with the code to close with, or UnknownApp. Neither repeats anything
        that the token says.
        """
        if len(token) > TOKEN_CHARS_MAX or not _FORM.fullmatch(token):
            hint = f"three parts of base64url parted by dots, up to {TOKEN_CHARS_MAX} characters"
            raise TokenRefused(CloseCode.TOKEN_INVALID, "not a token", hint=hint)
        signed, _, signature = token.rpartition(".")
        header_part, _, claims_part = signed.partition(".")
        header = _decode(header_part, _Header, CloseCode.TOKEN_INVALID)
        if header.crit is not None:
            raise TokenRefused(CloseCode.TOKEN_INVALID, "the token demands extensions (crit)")
        app = self._app(_decode(claims_part, _AppClaim, CloseCode.TOKEN_CLAIMS).app)
        if not await self._is_signed(app, header, signed.encode(), _bytes_of(signature)):
            hint = "is it signed with a key of this app, and is `kid` one of its keys, if set?"
            raise TokenRefused(CloseCode.TOKEN_INVALID, "no key of the app fits", hint=hint)
        claims = _decode(claims_part, _Claims, CloseCode.TOKEN_CLAIMS)
        return self._identity(app, claims)

    def _app(self, name: str) -> App:
        try:
            check_app(name)
        except InvalidRequest as error:
            raise _refused_claim(error) from None
        return self._apps.get(name)

    async def _is_signed(self, app: App, header: _Header, signed: bytes, signature: bytes) -> bool:
        async for key in self._candidates(app, header.kid):
            # The algorithm is the key's; a header that names another one never fits.
            if key.algorithm == header.alg and _verifies(key, signed, signature):
                return True
        return False

    async def _candidates(self, app: App, kid: str) -> AsyncIterator[SecretKey | PublicKey]:
        """The app's own keys first: they cost no fetch."""
        for key in app.keys:
            if not isinstance(key, KeyUrl) and (not kid or not key.kid or key.kid == kid):
                yield key
        for key in app.keys:
            if isinstance(key, KeyUrl):
                for fetched in (await self._key_source.keys(key.url, kid))[:KEYS_MAX]:
                    yield fetched

    def _identity(self, app: App, claims: _Claims) -> Identity:
        _check_issuer(app, claims)
        expires_at_ms = _ms(claims.exp) + self._leeway_ms
        now_ms = self._clock.wall_ms()
        if now_ms >= expires_at_ms:
            hint = "get a new token from the business server"
            raise TokenRefused(CloseCode.TOKEN_EXPIRED, "the token has expired", hint=hint)
        if max(_ms(claims.nbf), _ms(claims.iat)) > now_ms + self._leeway_ms:
            hint = "do the issuer's clock and this server's agree?"
            raise TokenRefused(CloseCode.TOKEN_EXPIRED, "the token is not valid yet", hint=hint)
        if not claims.device and app.device_claim_required:
            hint = "this app's tokens must name a device"
            raise TokenRefused(CloseCode.TOKEN_CLAIMS, "the claim `device` is missing", hint=hint)
        try:
            user = check_owner(claims.sub, "user") if claims.sub else ""
            device = check_owner(claims.device, "device") if claims.device else ""
        except InvalidRequest as error:
            raise _refused_claim(error) from None
        return Identity(app.name, user, device, expires_at_ms, claims.sid)


def sign_token(
    key: bytes | str,
    *,
    app: str,
    user: str,
    device: str,
    issued_at_ms: int,
    expires_at_ms: int,
    algorithm: Algorithm = "HS256",
    audience: str = "",
    issuer: str = "",
    kid: str = "",
) -> str:
    """A device token, for development and tests: in production the business server signs.

    `key` is the secret, or a private key in PEM. Empty arguments make no claim.
    Raises InvalidRequest when `key` does not fit `algorithm`.
    """
    claims: dict[str, Any] = {
        "app": app,
        "sub": user,
        "device": device,
        "aud": audience,
        "iss": issuer,
        "iat": issued_at_ms // 1000,
        "exp": expires_at_ms // 1000,
    }
    payload = msgspec.json.encode({name: value for name, value in claims.items() if value != ""})
    try:
        return _JWS.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        hint = "a secret of 32 bytes or more for HS256, a private key in PEM for RS256 and ES256"
        message = f"cannot sign with this key: {error}"
        raise InvalidRequest(message, field="key", hint=hint) from None


def _decode(part: str, form: type[_Part], code: CloseCode) -> _Part:
    """One part as `form`; `code` is for JSON that does not fit the form."""
    data = _bytes_of(part)
    try:
        return msgspec.json.decode(data, type=form)
    except msgspec.ValidationError as error:
        raise TokenRefused(code, f"the token does not fit: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TokenRefused(CloseCode.TOKEN_INVALID, "the token holds no JSON") from None


def _bytes_of(part: str) -> bytes:
    try:
        return binascii.a2b_base64(part.translate(_TO_BASE64) + "=" * (-len(part) % 4))
    except binascii.Error:
        raise TokenRefused(CloseCode.TOKEN_INVALID, "the token is no base64url") from None


_TO_BASE64 = str.maketrans("-_", "+/")


def _verifies(key: SecretKey | PublicKey, signed: bytes, signature: bytes) -> bool:
    # A mere signature check: PyJWT's decode would parse all parts again, and slowly.
    material = key.secret if isinstance(key, SecretKey) else key.key
    return _JWS.get_algorithm_by_name(key.algorithm).verify(signed, material, signature)


def _check_issuer(app: App, claims: _Claims) -> None:
    if app.issuer and claims.iss != app.issuer:
        hint = "does the app's issuer setting match the `iss` of its tokens?"
        raise TokenRefused(CloseCode.TOKEN_AUDIENCE, "another issuer made the token", hint=hint)
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    # RFC 7519 §4.1.3: whoever does not find itself in a present `aud` must refuse.
    if audiences is None and not app.audience:
        return
    if app.audience not in (audiences or ()) or not app.audience:
        hint = "does the app's audience setting match the `aud` of its tokens?"
        raise TokenRefused(CloseCode.TOKEN_AUDIENCE, "made for another audience", hint=hint)


def _ms(time_s: float) -> int:
    if not 0 <= time_s * 1000 <= ID_MAX:
        hint = "seconds since 1970, as RFC 7519 §2 has it"
        raise TokenRefused(CloseCode.TOKEN_CLAIMS, "a time is out of range", hint=hint)
    return int(time_s * 1000)


def _refused_claim(error: InvalidRequest) -> TokenRefused:
    return TokenRefused(CloseCode.TOKEN_CLAIMS, error.message, hint=error.hint)
