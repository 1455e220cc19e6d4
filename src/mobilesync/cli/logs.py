"""The server's log: one line for each thing that happens, for people or for machines.

Strategy: structlog everywhere, to standard error. Other libraries' lines come in the same form.
Names of fields that could hold a secret are struck out as a last defence: the rule that
neither secrets, tokens nor payloads are logged is kept where lines are written.
"""

import contextlib
import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import structlog

_SECRET_WORDS = ("token", "secret", "password", "authorization", "payload", "api_key")


def set_up_logs(
    form: Literal["auto", "console", "json"], level: Literal["debug", "info", "warning", "error"]
) -> None:
    """From now on log lines of at least `level` are written to standard error in this form."""
    for_people = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        strike_secrets,
    ]
    renderer: list[structlog.types.Processor] = (
        [_console()]
        if for_people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    threshold = logging.getLevelName(level.upper())
    assert isinstance(threshold, int)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Lossy())),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


class _Lossy(io.TextIOBase):
    """Standard error, whose end must never be the end of what was being done: a collector of logs
    may die, and a disk may be full."""

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Likewise."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def _console() -> structlog.dev.ConsoleRenderer:
    # The default would show the variables of every frame: payloads, tokens and keys among them.
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)


def strike_secrets(
    logger: Any, name: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the values of fields whose names say that they are secret."""
    for field in line:
        if any(word in field.lower() for word in _SECRET_WORDS):
            line[field] = "***"
    return line
