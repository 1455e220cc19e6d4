"""API keys: who may call this API, and for what.

Strategy: a key is `ms_<id>_<secret>`. The store keeps its argon2 hash only, as a document. Hashing
is slow on purpose, so a key that was verified once is remembered under a digest keyed by a secret
of this process: the next request costs microseconds and takes the same time whatever it sends.

Not here: which operation needs which scope (routes.py), device tokens (engine/tokens.py).

Invariants:
- no secret is stored, logged or shown again, but for the development key, which says what it is;
- a revoked key is refused from the moment `revoke` returns, remembered or not;
- a key and what the audit tells of it are made, and revoked, in one commit;
- at most VERIFICATIONS_MAX hashes are being computed or waited for.
"""

import asyncio
import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from msgspec import Struct

from mobilesync.api.attempts import Attempts
from mobilesync.api.errors import HttpError
from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import InvalidRequest, Overloaded
from mobilesync.domain.names import check_app
from mobilesync.engine.audit import Audit
from mobilesync.storage.contract import Document, Store

Scope = Literal["publish", "inspect", "configure", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

KIND = "api_key"
DEVELOPMENT_KIND = "development_key"
KEYS_MAX = 1000
REMEMBERED_MAX = 2048
VERIFICATIONS_MAX = 16
KEY_CHARS_MAX = 128
NAME_CHARS_MAX = 100
_ID_BYTES = 6
_SECRET_BYTES = 24
_DEVELOPMENT_NAME = "development"
_PRODUCTION = "production"
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="mobilesync"'),)


class ApiKey(Struct, frozen=True, kw_only=True):
    """What is known of a key; the secret is not."""

    id: str
    name: str
    """For people: who uses it."""
    scopes: tuple[Scope, ...]
    app: str = ""
    """The one app that it is for; empty for all apps."""
    created_at_ms: int

    @property
    def who(self) -> str:
        """What the audit calls whoever uses it."""
        return f"{self.name} ({self.id})"

    def has(self, scope: Scope) -> bool:
        """Whether it is good for `scope` somewhere."""
        return scope in self.scopes or "admin" in self.scopes

    def permits(self, scope: Scope, app: str) -> bool:
        """Whether it is good for `scope` in `app`; `app` is empty for what is beyond any app."""
        return self.has(scope) and self.app in {"", app}


class NewApiKey(Struct, frozen=True):
    """A key just made. `text` is shown this once."""

    key: ApiKey
    text: str


class _Stored(Struct, frozen=True):
    key: ApiKey
    hash: str


class ApiKeys:
    """All API keys of a store. Works without a server, for the command line."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        hasher: PasswordHasher | None = None,
        audit: Audit | None = None,
    ) -> None:
        """`random_bytes` must be fit for secrets: `secrets.token_bytes`. Without `audit`, nobody
        is told who made and revoked keys."""
        self._store = store
        self._audit = audit
        self._clock = clock
        self._random_bytes = random_bytes
        # OWASP's parameters. A secret of 192 random bits needs no more.
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._stored: dict[str, _Stored] = {}
        self._pepper = random_bytes(32)
        self._remembered: OrderedDict[bytes, str] = OrderedDict()
        self._verifications: dict[bytes, asyncio.Future[bool]] = {}
        self._attempts = Attempts(clock)
        self.process_id = random_bytes(4).hex()
        """Begins request ids, so that those of two starts do not collide in the logs."""

    async def load(self) -> None:
        """Read all from the store. Call before anything else."""
        for key_id, value in (await self._store.documents(KIND)).items():
            self._stored[key_id] = msgspec.json.decode(value, type=_Stored)

    def list(self) -> list[ApiKey]:
        """Every key, oldest first."""
        keys = [stored.key for stored in self._stored.values()]
        return sorted(keys, key=lambda key: (key.created_at_ms, key.id))

    async def create(
        self, name: str, scopes: Sequence[Scope], app: str = "", *, who: str = ""
    ) -> NewApiKey:
        """Make a key. Durable when it returns; the answer is the only place with its secret.

        Raises InvalidRequest, StoreUnavailable, OutcomeUnknown.
        """
        _check(name, scopes, app)
        if len(self._stored) >= KEYS_MAX:
            hint = "revoke those that nobody uses"
            raise InvalidRequest(f"there are {KEYS_MAX} keys already", hint=hint)
        key_id = self._random_bytes(_ID_BYTES).hex()
        secret = base64.urlsafe_b64encode(self._random_bytes(_SECRET_BYTES)).decode()
        text = f"ms_{key_id}_{secret}"
        ordered = tuple(scope for scope in SCOPES if scope in scopes)
        now_ms = self._clock.wall_ms()
        key = ApiKey(id=key_id, name=name, scopes=ordered, app=app, created_at_ms=now_ms)
        stored = _Stored(key, await asyncio.to_thread(self._hasher.hash, text))
        made = Document(KIND, key_id, msgspec.json.encode(stored))
        await self._store.put_documents([made, *await self._noted(who, "key_created", key)])
        self._stored[key_id] = stored
        return NewApiKey(key, text)

    async def revoke(self, key_id: str, *, who: str = "") -> None:
        """Make the key useless. Durable when it returns. Raises HttpError (NOT_FOUND)."""
        stored = self._stored.get(key_id)
        if stored is None:
            raise HttpError("NOT_FOUND", "no such API key", field="key")
        gone = Document(KIND, key_id, None)
        await self._store.put_documents([gone, *await self._noted(who, "key_revoked", stored.key)])
        self._stored.pop(key_id, None)

    async def development_key(self) -> str:
        """The key of a development server: made once in a store, the same at every start.

        It may do everything, and its text lies in the store for whoever reads the data folder.
        """
        text = (await self._store.documents(DEVELOPMENT_KIND)).get("key", b"").decode()
        if _id_of(text) in self._stored:
            return text
        made = await self.create(_DEVELOPMENT_NAME, ["admin"], who=_DEVELOPMENT_NAME)
        await self._store.put_documents([Document(DEVELOPMENT_KIND, "key", made.text.encode())])
        return made.text

    async def forget_development_key(self) -> None:
        """Revoke it, if there is one: for a server that is no longer for development."""
        text = (await self._store.documents(DEVELOPMENT_KIND)).get("key", b"").decode()
        if not text:
            return
        if _id_of(text) in self._stored:
            await self.revoke(_id_of(text), who=_PRODUCTION)
        await self._store.put_documents([Document(DEVELOPMENT_KIND, "key", None)])

    async def authenticate(self, authorization: bytes | None, peer: str) -> ApiKey:
        """The key in the header `Authorization: Bearer ms_…`.

        Raises HttpError (UNAUTHORIZED, TOO_MANY_ATTEMPTS), or Overloaded when too many keys that
        were never seen before come at once.
        """
        text = _bearer(authorization)
        if text is None:
            hint = "send the header Authorization: Bearer ms_<id>_<secret>"
            raise _unauthorized("an API key is needed", hint)
        digest = hashlib.blake2b(text, key=self._pepper, digest_size=32).digest()
        known = self._stored.get(self._remembered.get(digest, ""))
        if known is not None:
            return known.key
        self._attempts.check(peer)
        stored = self._stored.get(_id_of(text.decode("ascii", "replace")))
        if stored is None or not await self._is_right(stored, text, digest):
            self._attempts.failed(peer)
            raise _unauthorized("the API key is not good", "was it revoked, or cut in copying?")
        if stored.key.id not in self._stored:
            raise _unauthorized("the API key is not good", "it was revoked just now")
        self._remembered[digest] = stored.key.id
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return stored.key

    async def _noted(self, who: str, action: str, key: ApiKey) -> Sequence[Document]:
        if self._audit is None:
            return ()
        details = {"key": key.id, "name": key.name, "scopes": key.scopes, "app": key.app}
        return await self._audit.documents(key.app, who, [(action, details)])

    async def _is_right(self, stored: _Stored, text: bytes, digest: bytes) -> bool:
        """Verify once, however many requests with this key wait for the verdict."""
        verdict = self._verifications.get(digest)
        if verdict is None:
            if len(self._verifications) >= VERIFICATIONS_MAX:
                raise Overloaded("too many API keys to verify", hint="try again in a moment")
            verdict = asyncio.ensure_future(asyncio.to_thread(self._verify, stored.hash, text))
            self._verifications[digest] = verdict
            verdict.add_done_callback(lambda _: self._verifications.pop(digest, None))
        # A caller that gives up must not take the verdict away from the others.
        return await asyncio.shield(verdict)

    def _verify(self, expected: str, text: bytes) -> bool:
        try:
            return self._hasher.verify(expected, text)
        except (Argon2Error, InvalidHashError):
            return False


def authorize(key: ApiKey, scope: Scope, app: str | None) -> None:
    """Raises HttpError (FORBIDDEN) unless `key` is good for `scope` in `app`.

    None for an operation that finds out later which app it is about, and asks again then.
    """
    if not (key.has(scope) if app is None else key.permits(scope, app)):
        hint = f"it needs the scope {scope}, and this app or all apps"
        raise HttpError("FORBIDDEN", "the API key is not good for this", hint=hint)


def _check(name: str, scopes: Sequence[Scope], app: str) -> None:
    if not 1 <= len(name) <= NAME_CHARS_MAX or not name.isprintable():
        hint = f"1 to {NAME_CHARS_MAX} characters that say who uses it"
        raise InvalidRequest("not a name for a key", field="name", hint=hint)
    if not scopes or set(scopes) - set(SCOPES):
        raise InvalidRequest("not scopes", field="scopes", hint=f"some of {', '.join(SCOPES)}")
    if app:
        check_app(app)


def _bearer(authorization: bytes | None) -> bytes | None:
    if authorization is None or len(authorization) > KEY_CHARS_MAX:
        return None
    kind, _, text = authorization.partition(b" ")
    return text.strip() if kind.lower() == b"bearer" and text else None


def _id_of(text: str) -> str:
    """The id in the text of a key; empty when it is none. The secret may hold `_` too."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == "ms" else ""


def _unauthorized(message: str, hint: str) -> HttpError:
    return HttpError("UNAUTHORIZED", message, hint=hint, headers=_CHALLENGE)
