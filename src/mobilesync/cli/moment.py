"""Times on the command line: as people write them, and as they read them. All are UTC."""

import re
import time
from datetime import UTC, datetime

import click

_AHEAD = re.compile(r"\+(\d{1,7})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def read_moment(
    ctx: click.Context | None, param: click.Parameter | None, value: str | None
) -> int | None:
    """Milliseconds since 1970 UTC of `2026-12-24T18:00`, which may have an offset such as `+01:00`,
    or of `+90m` from now. A callback of an option; raises BadParameter."""
    if not value:
        return None
    ahead = _AHEAD.fullmatch(value)
    if ahead is not None:
        return time.time_ns() // 1_000_000 + int(ahead[1]) * _SECONDS[ahead[2]] * 1000
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        hint = "write 2026-12-24T18:00, or +90m from now"
        raise click.BadParameter(f"{value!r} is no time: {hint}", ctx, param) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def shown_ms(at_ms: int) -> str:
    """A time, to the millisecond."""
    return f"{shown_s(at_ms)}.{at_ms % 1000:03d}"


def shown_s(at_ms: int) -> str:
    """A time, to the second; nothing for one that is not known."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if at_ms else ""
