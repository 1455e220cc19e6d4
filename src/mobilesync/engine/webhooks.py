"""Webhooks of all apps: where a business wants to hear of what happens, and of what.

Strategy: few and small, so all are held in memory; the store keeps them as documents. A change is
durable before it takes effect, in one commit with what the audit tells of it. Changes are made one
after the other.

Not here: what is sent (events.py), what waits to be sent (outbox.py), sending (delivery.py).

Invariants:
- every webhook has a secret, and no representation of it shows the secret;
- a webhook that is not on this very machine is reached by HTTPS only.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest, UnknownWebhook
from mobilesync.domain.names import check_biz
from mobilesync.engine.audit import Audit
from mobilesync.engine.events import KINDS
from mobilesync.engine.happenings import Kind
from mobilesync.engine.signature import check_secret, make_secret
from mobilesync.storage.contract import Document, Store

KIND = "webhook"
RECEIVER = "receiver"
"""Who has taken a webhook offline when its receiver has asked for it."""
WEBHOOKS_MAX = 20
"""Of one app. Each event costs a look at all of them."""
BIZZES_MAX = 200
"""In the filter of one; whoever wants more leaves it out."""
URL_CHARS_MAX = 2000
DESCRIPTION_CHARS_MAX = 1000
_RULES = ("url", "kinds", "bizzes", "status", "description")
"""What the audit tells of a webhook."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_URL = re.compile(r"[\x21-\x7e]+")

Listener = Callable[[str, str, "Webhook | None"], None]
Clear = Callable[[str, str], Awaitable[bool]]


class Webhook(Struct, frozen=True, kw_only=True):
    """Where events of an app are sent, and which."""

    name: str
    url: str
    kinds: tuple[Kind, ...]
    bizzes: tuple[str, ...] = ()
    """Only events about these; empty: about all. Events about no biz pass."""
    status: Literal["online", "offline"] = "online"
    """Offline: takes no new events, and withholds what waits until it is online again."""
    description: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Webhook(name={self.name!r}, url={self.url!r}, status={self.status!r})"


class KeptWebhook(Struct, frozen=True):
    """A webhook as it is kept now."""

    webhook: Webhook
    is_secret_new: bool
    """Whether its secret was made just now: nobody knows it yet."""


class Webhooks:
    """The webhooks of every app."""

    def __init__(
        self,
        store: Store,
        *,
        entropy: random.Random,
        plain_loopback: bool = False,
        audit: Audit | None = None,
    ) -> None:
        """`entropy` must be fit for secrets, as SystemRandom is. With `plain_loopback`, receivers
        on this machine may be without TLS: for development. Without `audit`, nobody is told who
        changed what."""
        self._store = store
        self._audit = audit
        self._entropy = entropy
        self._plain_loopback = plain_loopback
        self._webhooks: dict[tuple[str, str], Webhook] = {}
        self._changes = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._clear: Clear | None = None

    async def load(self) -> None:
        """Read all from the store. Call before anything else."""
        for key, value in (await self._store.documents(KIND)).items():
            app, name = key.split("/", 1)
            self._webhooks[app, name] = msgspec.json.decode(value, type=Webhook)

    def on_change(self, listener: Listener) -> None:
        """Call `listener(app, name, webhook)` after each change; None for a removal."""
        self._listeners.append(listener)

    def on_remove(self, clear: Clear) -> None:
        """Before a webhook is forgotten, call `clear(app, name)` again and again: it notes the
        deletion of some of what waits for it, and answers whether there may be more."""
        self._clear = clear

    def get(self, app: str, name: str) -> Webhook:
        """Raises UnknownWebhook."""
        webhook = self._webhooks.get((app, name))
        if webhook is None:
            hint = "create it first, with PUT /v1/apps/{app}/webhooks/{webhook}"
            raise UnknownWebhook(f"app {app} has no such webhook", field="webhook", hint=hint)
        return webhook

    def find(self, app: str, name: str) -> Webhook | None:
        """None when there is none."""
        return self._webhooks.get((app, name))

    def list(self, app: str) -> list[Webhook]:
        """All of an app, by name."""
        mine = [webhook for (owner, _), webhook in self._webhooks.items() if owner == app]
        return sorted(mine, key=lambda webhook: webhook.name)

    def all(self) -> Sequence[tuple[str, Webhook]]:
        """Every webhook with its app."""
        return [(app, webhook) for (app, _), webhook in self._webhooks.items()]

    async def put(self, app: str, webhook: Webhook, *, who: str = "") -> KeptWebhook:
        """Create or change a webhook. Without a secret it keeps the one it has, or gets a new one.
        Durable, and in effect, when it returns.

        Raises InvalidRequest, also when the app has WEBHOOKS_MAX already; StoreUnavailable,
        OutcomeUnknown.
        """
        self._check(webhook)
        async with self._changes:
            known = self.find(app, webhook.name)
            if known is None and len(self.list(app)) >= WEBHOOKS_MAX:
                hint = f"at most {WEBHOOKS_MAX}: remove those that nobody needs"
                raise InvalidRequest("the app has too many webhooks", field="webhook", hint=hint)
            is_new = not webhook.secret and known is None
            if not webhook.secret:
                secret = known.secret if known is not None else make_secret(self._entropy)
                webhook = msgspec.structs.replace(webhook, secret=secret)
            await self._keep(app, webhook, await self._told(app, who, known, webhook))
            return KeptWebhook(webhook, is_new)

    async def take_offline(self, app: str, name: str, url: str) -> None:
        """Send nothing more to it: the receiver at `url` has said that it wants nothing. Does
        nothing when the webhook is gone, offline, or at another address by now.

        Raises StoreUnavailable, OutcomeUnknown.
        """
        async with self._changes:
            known = self.find(app, name)
            if known is not None and (known.url, known.status) == (url, "online"):
                resting = msgspec.structs.replace(known, status="offline")
                told = await self._told(app, RECEIVER, known, resting)
                await self._keep(app, resting, told)

    async def remove(self, app: str, name: str, *, who: str = "") -> None:
        """Forget a webhook, and what waits for it. When this fails half-way, the webhook is left,
        offline, with some of that.

        Raises UnknownWebhook, StoreUnavailable, OutcomeUnknown.
        """
        async with self._changes:
            known = self.get(app, name)
            resting = msgspec.structs.replace(known, status="offline")
            await self._keep(app, resting, ())
            while self._clear is not None and await self._clear(app, name):
                # Notes ride along with this commit; so they never pile up to their bound.
                await self._store.put_documents([_document(app, resting)])
            told = await self._told(app, who, known, None)
            await self._store.put_documents([Document(KIND, f"{app}/{name}", None), *told])
            del self._webhooks[app, name]
            self._tell(app, name, None)

    async def _told(
        self, app: str, who: str, before: Webhook | None, after: Webhook | None
    ) -> Sequence[Document]:
        """What the audit tells of a change."""
        deed = _deed(before, after)
        if self._audit is None or deed is None:
            return ()
        return await self._audit.documents(app, who, [deed])

    async def _keep(self, app: str, webhook: Webhook, told: Sequence[Document]) -> None:
        await self._store.put_documents([_document(app, webhook), *told])
        self._webhooks[app, webhook.name] = webhook
        self._tell(app, webhook.name, webhook)

    def _tell(self, app: str, name: str, webhook: Webhook | None) -> None:
        for listener in self._listeners:
            listener(app, name, webhook)

    def _check(self, webhook: Webhook) -> None:
        check_webhook_name(webhook.name)
        check_url(webhook.url, plain_loopback=self._plain_loopback)
        unknown = [kind for kind in webhook.kinds if kind not in KINDS]
        if unknown or not webhook.kinds or len(set(webhook.kinds)) < len(webhook.kinds):
            hint = f"one or more of {', '.join(KINDS)}, each once"
            raise InvalidRequest("not the kinds of events", field="kinds", hint=hint)
        if len(webhook.bizzes) > BIZZES_MAX:
            hint = f"at most {BIZZES_MAX}, or none at all for all bizzes"
            raise InvalidRequest("too many bizzes", field="bizzes", hint=hint)
        for biz in webhook.bizzes:
            try:
                check_biz(biz)
            except InvalidRequest as error:
                raise InvalidRequest(error.message, field="bizzes", hint=error.hint) from None
        if webhook.status not in {"online", "offline"}:
            raise InvalidRequest("not a status", field="status", hint="online or offline")
        if len(webhook.description) > DESCRIPTION_CHARS_MAX:
            hint = f"up to {DESCRIPTION_CHARS_MAX} characters"
            raise InvalidRequest("description too long", field="description", hint=hint)
        if webhook.secret:
            check_secret(webhook.secret)


def check_webhook_name(name: str) -> str:
    """`name`, or InvalidRequest."""
    if not _NAME.fullmatch(name):
        hint = "1 to 64 of a-z 0-9 _ -, beginning with a letter or digit"
        raise InvalidRequest("not a webhook's name", field="webhook", hint=hint)
    return name


def check_url(url: str, *, plain_loopback: bool) -> str:
    """`url`, or InvalidRequest."""
    hint = "an https:// address such as https://shop.example/hooks/mobilesync"
    wrong = InvalidRequest("not an address for a webhook", field="url", hint=hint)
    if len(url) > URL_CHARS_MAX or not _URL.fullmatch(url):
        raise wrong
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"https", "http"} or not host or parts.fragment:
        raise wrong
    if "@" in parts.netloc:
        hint = "the receiver checks the signature; a secret in the path is possible too"
        message = "an address with a user or a password"
        raise InvalidRequest(message, field="url", hint=hint)
    if parts.scheme == "http" and not (plain_loopback and _is_loopback(host)):
        hint = "https://; plain http only to this machine, and only in development"
        raise InvalidRequest("events must not travel unencrypted", field="url", hint=hint)
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _deed(before: Webhook | None, after: Webhook | None) -> tuple[str, dict[str, Any]] | None:
    """A change as the audit tells it; None when nothing was changed."""
    one = after or before
    assert one is not None
    rules = [
        {"rule": rule, "from": old, "to": new}
        for rule, old, new in zip(_RULES, _values(before), _values(after), strict=True)
        if old != new
    ]
    if before is not None and after is not None and before.secret != after.secret:
        rules.append({"rule": "secret", "from": "another", "to": "this one"})
    if not rules:
        return None
    action = "changed" if before and after else "created" if after else "removed"
    return f"webhook_{action}", {"webhook": one.name, "rules": rules}


def _values(webhook: Webhook | None) -> Sequence[object]:
    if webhook is None:
        return [None] * len(_RULES)
    return [msgspec.to_builtins(getattr(webhook, rule)) for rule in _RULES]


def _document(app: str, webhook: Webhook) -> Document:
    return Document(KIND, f"{app}/{webhook.name}", msgspec.json.encode(webhook))
