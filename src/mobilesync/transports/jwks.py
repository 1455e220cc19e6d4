"""Public keys that an issuer publishes by address, as JWK sets (RFC 7517).

Strategy: a set is fetched when it is first needed and kept. While it is fresh, a login costs no
fetch. A stale set still serves, and one fetch behind it renews it; an unknown key id makes a login
wait for one fetch, since the issuer may just have rotated its keys. Whatever tokens say, at most
one fetch per address begins in `pause_s`, and all who wait share it.

When the issuer is down, the last good set serves on for `kept_s`; only then is a login refused,
with a code that tells the device to come back, since nothing is wrong with its token.

Not here: which addresses an app has (engine/apps.py; tokens name none), checking signatures.

Invariants:
- never more than one fetch of an address at a time, bounded in time and in bytes;
- a set only gives public keys; secrets (`oct`) and private keys in it are passed over, since
  whoever reads the address could sign with them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from msgspec import Struct

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, TokenRefused
from mobilesync.engine.apps import PublicKey
from mobilesync.protocol.codes import CloseCode

_log = structlog.get_logger(__name__)


class JwksOptions(Struct, frozen=True):
    """Bounds of fetching."""

    fresh_s: float = 600.0
    """How long a set serves without being asked for again."""
    kept_s: float = 24 * 3600.0
    """How long the last good set serves while its issuer is down."""
    pause_s: float = 10.0
    """The least time between the beginnings of two fetches of one address."""
    timeout_s: float = 5.0
    body_bytes_max: int = 256 * 1024
    keys_max: int = 64

    def __post_init__(self) -> None:
        assert self.timeout_s <= self.pause_s <= self.fresh_s <= self.kept_s


class _KeySet:
    """What is known of one address."""

    __slots__ = ("fetch", "fetched_at_s", "keys", "tried_at_s")

    def __init__(self) -> None:
        self.keys: tuple[PublicKey, ...] = ()
        self.fetched_at_s = float("-inf")
        self.tried_at_s = float("-inf")
        self.fetch: asyncio.Task[None] | None = None


class FetchedKeys:
    """A KeySource (engine/tokens.py) that asks issuers by HTTP."""

    def __init__(self, clock: Clock, options: JwksOptions | None = None) -> None:
        self._clock = clock
        self._options = options or JwksOptions()
        self._sets: dict[str, _KeySet] = {}
        self._http: httpx.AsyncClient | None = None

    async def keys(self, url: str, kid: str) -> Sequence[PublicKey]:
        """The keys at `url` that may have made a signature with `kid`; all if `kid` is empty.

        Waits for a fetch of at most `timeout_s` when no kept key fits.
        Raises TokenRefused of the retry range when there is no set and none can be had now.
        """
        known = self._sets.setdefault(url, _KeySet())
        if self._age_s(known) > self._options.kept_s:
            known.keys = ()
        fitting = _fitting(known, kid)
        if fitting:
            if self._age_s(known) > self._options.fresh_s:
                self._begin_fetch(url, known)
            return fitting
        fetch = self._begin_fetch(url, known)
        if fetch is not None:
            # Shielded: one login that is cut off must not end the fetch that others wait for.
            await asyncio.shield(fetch)
        if not known.keys:
            hint = "the issuer's keys cannot be fetched now"
            raise TokenRefused(CloseCode.INTERNAL, "no keys to check the token with", hint=hint)
        return _fitting(known, kid)

    async def close(self) -> None:
        """End fetches and connections. Idempotent."""
        fetches = [known.fetch for known in self._sets.values() if known.fetch is not None]
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _age_s(self, known: _KeySet) -> float:
        return self._clock.monotonic_s() - known.fetched_at_s

    def _begin_fetch(self, url: str, known: _KeySet) -> asyncio.Task[None] | None:
        """The running fetch, or a new one, or None when the last one began too recently."""
        now_s = self._clock.monotonic_s()
        if known.fetch is None and now_s - known.tried_at_s >= self._options.pause_s:
            known.tried_at_s = now_s
            known.fetch = asyncio.create_task(self._fetch(url, known))
        return known.fetch

    async def _fetch(self, url: str, known: _KeySet) -> None:
        """Renew `known`; what goes wrong is logged and leaves it as it was."""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                keys = read_key_set(await self._body(url))[: self._options.keys_max]
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, InvalidRequest) as error:
            _log.warning("keys_not_fetched", url=url, reason=str(error) or type(error).__name__)
        else:
            known.keys = tuple(keys)
            known.fetched_at_s = self._clock.monotonic_s()
        finally:
            known.fetch = None

    async def _body(self, url: str) -> bytes:
        if self._http is None:
            # No redirects: the operator named this address, and nobody else may choose one.
            self._http = httpx.AsyncClient(
                timeout=self._options.timeout_s, follow_redirects=False, max_redirects=0
            )
        body = bytearray()
        # Not compressed: a small body that unpacks to a huge one would get round the bound.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._http.stream("GET", url, headers=headers) as answer:
            if answer.status_code != httpx.codes.OK:
                raise InvalidRequest(f"the address answered {answer.status_code}")
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > self._options.body_bytes_max:
                    raise InvalidRequest("the key set is too large")
        return bytes(body)


def read_key_set(body: bytes) -> list[PublicKey]:
    """The usable keys of a JWK set. Raises InvalidRequest when it is none, or has no such key.

    Keys that are not RSA or P-256, too weak, private, or not for signatures are passed over.
    """
    try:
        members = msgspec.json.decode(body, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        members = None
    if not isinstance(members, list):
        raise InvalidRequest("no JWK set", hint='JSON with a list called "keys"')
    keys = [key for member in members if (key := _read_key(member)) is not None]
    if not keys:
        raise InvalidRequest("the JWK set holds no key for RS256 or ES256")
    return keys


def _read_key(jwk: object) -> PublicKey | None:
    if not isinstance(jwk, Mapping) or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    key_ops, kid = jwk.get("key_ops", ["verify"]), jwk.get("kid", "")
    if not isinstance(key_ops, list) or "verify" not in key_ops or not isinstance(kid, str):
        return None
    try:
        key = _material(dict(jwk))
        if key is None:
            return None
        public = PublicKey(key, kid)
    except (jwt.PyJWTError, ValueError, TypeError, InvalidRequest):
        return None
    return public if jwk.get("alg", public.algorithm) == public.algorithm else None


def _material(jwk: dict[str, Any]) -> RSAPublicKey | EllipticCurvePublicKey | None:
    if jwk.get("kty") == "RSA":
        rsa = RSAAlgorithm.from_jwk(jwk)
        return rsa if isinstance(rsa, RSAPublicKey) else None
    if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
        curve = ECAlgorithm.from_jwk(jwk)
        return curve if isinstance(curve, EllipticCurvePublicKey) else None
    return None


def _fitting(known: _KeySet, kid: str) -> list[PublicKey]:
    return [key for key in known.keys if not kid or key.kid == kid]
