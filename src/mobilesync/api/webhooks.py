"""The webhooks of an app, over HTTP: where events are sent, which, and how that goes.

Not here: what happens to events (engine/outbox.py, engine/delivery.py).

Invariant: a secret is shown at most once, when it was made.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.strict_json import JsonBody
from mobilesync.engine.events import SENTENCES
from mobilesync.engine.happenings import Kind
from mobilesync.engine.webhooks import Webhook

Url = Annotated[
    str, Meta(description="https; in development also http, to the server's own machine")
]
Kinds = Annotated[list[Kind], Meta(description="at least one")]
Bizzes = Annotated[
    list[str], Meta(description="only events about these; empty: about all, and about none")
]
Status = Annotated[
    Literal["online", "offline"],
    Meta(description="offline takes no new events, and withholds what waits"),
]


class WebhookBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A webhook without its name, which the path says."""

    url: Url
    kinds: Kinds
    bizzes: Bizzes = []
    status: Status = "online"
    description: str = ""
    secret: Annotated[
        str,
        Meta(description="`whsec_` and 24 to 64 bytes in base64; empty: as before, or a new one"),
    ] = ""


class ShownWebhook(Struct, kw_only=True):
    """A webhook, and how its delivery goes."""

    name: str
    url: str
    kinds: Kinds
    bizzes: Bizzes
    status: Status
    description: str
    queued: Annotated[int, Meta(description="events that wait")]
    oldest_age_s: Annotated[float | None, Meta(description="how long the first one has waited")]
    tries: Annotated[int, Meta(description="requests since the server started")]
    failures: Annotated[int, Meta(description="requests that failed since the last good one")]
    last_status: Annotated[int, Meta(description="of the last answer; 0: there was none")]
    last_failure: Annotated[str, Meta(description="why the last request failed; empty: it did not")]
    last_try_ms: Annotated[int, Meta(description="when it was made; 0: never")]
    lost: Annotated[int, Meta(description="events lost that no `gap` has told the receiver of yet")]


class ShownWebhooks(Struct):
    """All webhooks of an app, by name."""

    webhooks: list[ShownWebhook]


class KeptWebhook(Struct):
    """A webhook as it is now."""

    webhook: ShownWebhook
    secret: (
        Annotated[str, Meta(description="if it was made just now: it is shown this once")]
        | UnsetType
    ) = UNSET


class SentTest(Struct):
    """What will be sent."""

    id: Annotated[str, Meta(description="of the event, whose type is `test`")]


async def list_webhooks(desk: Desk, request: Request[None, NoQuery]) -> ShownWebhooks:
    """All of the app's."""
    webhooks = desk.service.webhooks.list(request.app)
    return ShownWebhooks([await _shown(desk, request.app, webhook) for webhook in webhooks])


async def get_webhook(desk: Desk, request: Request[None, NoQuery]) -> ShownWebhook:
    """Raises UnknownWebhook."""
    webhook = desk.service.webhooks.get(request.app, request.path["webhook"])
    return await _shown(desk, request.app, webhook)


async def put_webhook(desk: Desk, request: Request[WebhookBody, NoQuery]) -> KeptWebhook:
    """Create or replace; what the body leaves out gets its default, but the secret stays."""
    body = request.body
    webhook = Webhook(
        name=request.path["webhook"],
        url=body.url,
        kinds=tuple(body.kinds),
        bizzes=tuple(body.bizzes),
        status=body.status,
        description=body.description,
        secret=body.secret,
    )
    kept = await desk.service.webhooks.put(request.app, webhook, who=request.who)
    shown = await _shown(desk, request.app, kept.webhook)
    return KeptWebhook(shown, kept.webhook.secret if kept.is_secret_new else UNSET)


async def remove_webhook(desk: Desk, request: Request[None, NoQuery]) -> None:
    """Raises UnknownWebhook."""
    await desk.service.webhooks.remove(request.app, request.path["webhook"], who=request.who)


async def send_test(desk: Desk, request: Request[None, NoQuery]) -> SentTest:
    """Raises UnknownWebhook, InvalidRequest, Overloaded."""
    return SentTest(desk.service.outbox.test(request.app, request.path["webhook"]).id)


async def _shown(desk: Desk, app: str, webhook: Webhook) -> ShownWebhook:
    report = await desk.service.outbox.report(app, webhook.name)
    return ShownWebhook(
        name=webhook.name,
        url=webhook.url,
        kinds=list(webhook.kinds),
        bizzes=list(webhook.bizzes),
        status=webhook.status,
        description=webhook.description,
        queued=report.queued,
        oldest_age_s=report.oldest_age_s,
        tries=report.tries,
        failures=report.failures,
        last_status=report.last_status,
        last_failure=report.last_failure,
        last_try_ms=report.last_try_ms,
        lost=report.lost,
    )


_ONE = "/v1/apps/{app}/webhooks/{webhook}"
_READS = ("STORE_UNAVAILABLE",)
_WRITES = (*_READS, "OUTCOME_UNKNOWN")
_KINDS = "; ".join(f"`{kind}`: {sentence}" for kind, sentence in SENTENCES.items())

OPERATIONS = (
    Operation(
        "GET",
        "/v1/apps/{app}/webhooks",
        "list_webhooks",
        "List the webhooks of an app, and how their delivery goes",
        list_webhooks,
        answer=ShownWebhooks,
        scope="configure",
        errors=_READS,
    ),
    Operation(
        "GET",
        _ONE,
        "get_webhook",
        "Show a webhook, and how its delivery goes",
        get_webhook,
        answer=ShownWebhook,
        scope="configure",
        errors=("UNKNOWN_WEBHOOK", *_READS),
    ),
    Operation(
        "PUT",
        _ONE,
        "put_webhook",
        "Create a webhook, or replace it",
        put_webhook,
        answer=KeptWebhook,
        scope="configure",
        body=JsonBody(WebhookBody),
        errors=_WRITES,
        description=(
            "In effect when the answer comes, which is the only place where a secret that was "
            f"made for it is ever shown. Kinds of events: {_KINDS}."
        ),
    ),
    Operation(
        "DELETE",
        _ONE,
        "remove_webhook",
        "Remove a webhook",
        remove_webhook,
        scope="configure",
        status=204,
        errors=("UNKNOWN_WEBHOOK", *_WRITES),
        description="What waits for it is forgotten.",
    ),
    Operation(
        "POST",
        f"{_ONE}/test",
        "test_webhook",
        "Send a test event to a webhook",
        send_test,
        answer=SentTest,
        scope="configure",
        status=202,
        errors=("UNKNOWN_WEBHOOK",),
        description=(
            "It comes after what waits already, and ends the wait after failures. How it went is "
            "shown with the webhook."
        ),
    ),
)
