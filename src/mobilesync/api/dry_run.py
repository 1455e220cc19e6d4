"""A publish without its effects: is it valid, and whom would it reach?

Not here: how that is found out (engine/forecast.py).
"""

from typing import Annotated

from msgspec import Meta, Struct

from mobilesync.api.operations import Desk, NoQuery, Operation, Request
from mobilesync.api.publish import ITEM, ITEM_ERRORS, Code, PublicationBody, publication_of
from mobilesync.engine.forecast import DEVICES_MAX, SAMPLES_MAX, Forecast, Sample

Counts = dict[str, int]


class DryRun(Struct):
    """What the publish would do now. `devices` is `matching` and all of `refused` together."""

    code: Annotated[Code, Meta(description="what the publish would answer")]
    id: Annotated[int, Meta(description="of the oplog that has its message id already; else 0")]
    due_ms: Annotated[int, Meta(description="when it would be appended; 0 for now")]
    expires_at_ms: int
    devices: Annotated[int, Meta(description="known devices that its target means")]
    matching: Annotated[int, Meta(description="those that would get it")]
    online: Annotated[int, Meta(description="matching ones that are connected")]
    offline: Annotated[int, Meta(description="matching ones that get it when they connect")]
    refused: Annotated[
        Counts, Meta(description="those that would not get it, by reason (reference/rules.md)")
    ]
    withheld: Annotated[
        Counts, Meta(description="connected matching ones that would wait, by what withholds it")
    ]
    samples: Annotated[
        list[Sample], Meta(description=f"up to {SAMPLES_MAX} matching ones, by device id")
    ]
    complete: Annotated[
        bool, Meta(description=f"false: only the first {DEVICES_MAX:,} devices were looked at")
    ]


async def dry_run(desk: Desk, request: Request[PublicationBody, NoQuery]) -> DryRun:
    """Raises what a publish of it would raise, Overloaded, StoreUnavailable."""
    forecast = await desk.service.forecasts.of(request.app, publication_of(request.body))
    return DryRun(
        code=_code(forecast),
        id=forecast.duplicate_of,
        due_ms=forecast.due_ms,
        expires_at_ms=forecast.expires_at_ms,
        devices=forecast.devices,
        matching=forecast.online + forecast.offline,
        online=forecast.online,
        offline=forecast.offline,
        refused={reason.name: count for reason, count in forecast.refused.items()},
        withheld={reason.name: count for reason, count in forecast.withheld.items()},
        samples=forecast.samples,
        complete=forecast.is_complete,
    )


def _code(forecast: Forecast) -> Code:
    if forecast.duplicate_of or forecast.is_scheduled_already:
        return "DUPLICATED_BIZ_ID"
    return "SCHEDULED" if forecast.due_ms else "OK"


OPERATIONS = (
    Operation(
        "POST",
        "/v1/apps/{app}/oplogs/dry-run",
        "dry_run",
        "Say whom a publish would reach, without publishing it",
        dry_run,
        answer=DryRun,
        scope="publish",
        body=ITEM,
        errors=(*ITEM_ERRORS, "STORE_UNAVAILABLE"),
        description=(
            "The body is that of a publish of one oplog, and is checked as one. Nothing is stored "
            "or sent. Every known device is judged as it is, or was when it was here last: what "
            "it would get when it came back changed is not foretold."
        ),
    ),
)
