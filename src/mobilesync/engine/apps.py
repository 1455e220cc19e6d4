"""Apps and the keys that their device tokens are verified with.

Strategy: a key is checked once, when it is loaded, and carries its algorithm with it: RSA is
RS256, P-256 is ES256, a secret is HS256. So a token's header can never choose how its own
signature is checked. Weak keys do not get in.

Not here: reading key files (cli/settings.py), fetching keys (transports/jwks.py), checking tokens
(tokens.py).

Invariants:
- every key is at least as strong as its algorithm demands (RFC 7518 §3.2, §3.3);
- no representation of a key shows a secret.
"""

from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest, UnknownApp
from mobilesync.domain.names import check_app
from mobilesync.engine.signature import check_secret

Algorithm = Literal["HS256", "RS256", "ES256"]

SECRET_BYTES_MIN = 32
"""RFC 7518 §3.2: a key as long as the hash, or guessing the secret is cheaper than it looks."""
RSA_BITS_MIN = 2048
RSA_BITS_MAX = 8192
"""Verifying with a larger one would let an app's own key slow every login down."""
KEYS_MAX = 8
"""Keys of one app: an old and a new one while rotating, for a few issuers."""


class SecretKey(Struct, frozen=True):
    """A secret that the business server and this server share: HS256."""

    secret: bytes
    kid: str = ""

    def __post_init__(self) -> None:
        if b"-----BEGIN" in self.secret:
            # Whoever has a public key could sign with it, were it taken for a secret.
            hint = "name it as public_key_file instead"
            raise InvalidRequest("this is a key file, no secret", field="hs256_secret", hint=hint)
        if len(self.secret) < SECRET_BYTES_MIN:
            hint = "make one with: openssl rand -hex 32"
            message = f"an HS256 secret needs at least {SECRET_BYTES_MIN} bytes"
            raise InvalidRequest(message, field="hs256_secret", hint=hint)

    @property
    def algorithm(self) -> Algorithm:
        """What its signatures are checked with."""
        return "HS256"

    def __repr__(self) -> str:
        return f"SecretKey(kid={self.kid!r})"


class PublicKey(Struct, frozen=True):
    """A public key: RS256 for RSA, ES256 for P-256."""

    key: RSAPublicKey | EllipticCurvePublicKey
    kid: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.key, RSAPublicKey):
            if not RSA_BITS_MIN <= self.key.key_size <= RSA_BITS_MAX:
                hint = f"RS256 needs an RSA key of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits"
                raise InvalidRequest("an RSA key of the wrong size", field="key", hint=hint)
        elif not isinstance(self.key.curve, SECP256R1):
            hint = "ES256 needs a key on the curve P-256 (prime256v1)"
            raise InvalidRequest("an elliptic curve key of another curve", field="key", hint=hint)

    @property
    def algorithm(self) -> Algorithm:
        """What its signatures are checked with."""
        return "RS256" if isinstance(self.key, RSAPublicKey) else "ES256"

    def __repr__(self) -> str:
        return f"PublicKey({self.algorithm}, kid={self.kid!r})"


class KeyUrl(Struct, frozen=True):
    """Where the issuer publishes its public keys as a JWK set (RFC 7517)."""

    url: str

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            hint = "an https:// address of a JWK set"
            raise InvalidRequest("not a key address", field="jwks_url", hint=hint)


VerificationKey = SecretKey | PublicKey | KeyUrl


class UserCallback(Struct, frozen=True):
    """Where the app itself says whether a user's session is good (user_check.py)."""

    url: str
    secret: str
    """Signs the questions (signature.py)."""
    instance: str
    """How the app is named in the fields that callbacks written for MSS read."""
    timeout_s: float = 2.0
    """Of one try."""
    attempts: int = 3
    """Tries in a row, before it counts as unable to tell for a while."""
    concurrent_max: int = 16
    """Questions under way at the same time."""

    def __post_init__(self) -> None:
        check_secret(self.secret)
        if not _is_address(self.url):
            hint = "an https:// address of the business server"
            raise InvalidRequest("not a callback address", field="user_check_url", hint=hint)
        for field, value, low, high in (
            ("user_check_timeout_s", self.timeout_s, 0.1, 30.0),
            ("user_check_attempts", self.attempts, 1, 10),
            ("user_check_concurrent_max", self.concurrent_max, 1, 1000),
        ):
            if not low <= value <= high:
                hint = f"{low} to {high}"
                raise InvalidRequest(f"{field} is out of bounds", field=field, hint=hint)

    def __repr__(self) -> str:
        # The address may hold a secret too.
        return f"UserCallback(instance={self.instance!r})"


class App(Struct, frozen=True):
    """One app, as the operator defined it."""

    name: str
    keys: tuple[VerificationKey, ...]
    issuer: str = ""
    """If set, the `iss` that tokens must have."""
    audience: str = ""
    """If set, one of the `aud` that tokens must have; if not, tokens must have no `aud`."""
    device_claim_required: bool = True
    """False: a token without `device` is for whichever device Hello names."""
    user_check: UserCallback | None = None
    """None: bizzes with a user check are withheld from everybody."""

    def __post_init__(self) -> None:
        check_app(self.name)
        if not 1 <= len(self.keys) <= KEYS_MAX:
            hint = f"give it 1 to {KEYS_MAX} keys: a secret, a public key or a key address"
            raise InvalidRequest(f"app {self.name!r} has no keys or too many", hint=hint)


class Apps:
    """All apps of this server, by name."""

    def __init__(self, apps: Iterable[App]) -> None:
        """Raises InvalidRequest when two apps have one name."""
        self._apps: dict[str, App] = {}
        for app in apps:
            if app.name in self._apps:
                raise InvalidRequest(f"app {app.name!r} is defined twice", field="app")
            self._apps[app.name] = app

    def get(self, name: str) -> App:
        """The app called `name`. Raises UnknownApp."""
        app = self._apps.get(name)
        if app is None:
            # The name is a stranger's: it is not repeated, since answers and logs are read by us.
            raise UnknownApp("no such app", field="app", hint="is it defined on this server?")
        return app

    def names(self) -> list[str]:
        """In alphabetical order."""
        return sorted(self._apps)


def load_public_key(pem: bytes, kid: str = "") -> PublicKey:
    """The RSA or P-256 public key in `pem`. Raises InvalidRequest."""
    if b"PRIVATE KEY" in pem:
        hint = "this server only needs the public one: openssl pkey -in key.pem -pubout"
        raise InvalidRequest("this is a private key", field="public_key_file", hint=hint)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        hint = "a PEM file that begins with -----BEGIN PUBLIC KEY-----"
        raise InvalidRequest("no public key", field="public_key_file", hint=hint) from None
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        hint = "RSA (RS256) or P-256 (ES256)"
        raise InvalidRequest("a key of another kind", field="public_key_file", hint=hint)
    return PublicKey(key, kid)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading it checks it.
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_web = parts.scheme in ("https", "http") and bool(host)
    return is_web and len(url) <= 2000 and url.isprintable() and " " not in url
