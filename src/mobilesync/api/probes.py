"""Is it alive, is it ready, how is it: for load balancers and monitoring.

Strategy: `/healthz` says that the process answers, `/readyz` that a publish would be stored and a
device served, `/metrics` renders the engine's figures as Prometheus text.
"""

from collections.abc import Iterable

from msgspec import Struct

from mobilesync.api.errors import HttpError
from mobilesync.api.keys import authorize
from mobilesync.api.operations import Desk, NoQuery, Operation, Request, Text
from mobilesync.engine.metrics import Family

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(Struct):
    """It works."""

    status: str = "ok"


async def health(desk: Desk, request: Request[None, NoQuery]) -> Health:
    """Always, as long as the event loop turns."""
    return Health()


async def readiness(desk: Desk, request: Request[None, NoQuery]) -> Health:
    """Raises HttpError (NOT_READY)."""
    if desk.service.sessions.draining:
        hint = "it finishes what it has; send new work elsewhere"
        raise HttpError("NOT_READY", "the server is draining", hint=hint)
    if desk.service.store.stats().failed:
        # The cause may name files of this machine; it is in the server's log.
        hint = "publishes are refused, reads go on; the server's log says why"
        raise HttpError("NOT_READY", "the store takes no writes", hint=hint)
    return Health()


async def metrics(desk: Desk, request: Request[None, NoQuery]) -> Text:
    """Every figure. Raises HttpError (FORBIDDEN) for a key of one app: figures are of all."""
    if not desk.options.metrics_public:
        if request.key is None:
            hint = "send an API key with the scope inspect, or let the setting make it public"
            raise HttpError("UNAUTHORIZED", "an API key is needed", hint=hint)
        authorize(request.key, "inspect", "")
    return Text(render(desk.service.metrics.families()), METRICS_TYPE)


def render(families: Iterable[Family]) -> bytes:
    """`families` in the text format 0.0.4 of Prometheus."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for name, labels, value in family.samples:
            pairs = ",".join(f'{label}="{_quoted(text)}"' for label, text in labels.items())
            lines.append(f"{name}{{{pairs}}} {value:.17g}" if pairs else f"{name} {value:.17g}")
    return ("\n".join(lines) + "\n").encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


OPERATIONS = (
    Operation("GET", "/healthz", "health", "Is the process alive?", health, answer=Health),
    Operation(
        "GET",
        "/readyz",
        "readiness",
        "Would a publish be stored now?",
        readiness,
        answer=Health,
        errors=("NOT_READY",),
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "Figures for Prometheus",
        metrics,
        answer=Text,
        key_if_sent=True,
        errors=("UNAUTHORIZED", "FORBIDDEN"),
        description="Needs a key of all apps with the scope `inspect`, unless made public.",
    ),
)
