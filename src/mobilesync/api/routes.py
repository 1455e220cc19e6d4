"""All operations of the API, and which of them a method and a path mean.

Strategy: paths are few and fixed, so they are grouped by their number of segments and compared
segment by segment. Segments are split before they are unquoted: a device id may hold a slash,
written `%2F`.
"""

from typing import Any
from urllib.parse import unquote_to_bytes

from mobilesync.api import (
    audit,
    bizzes,
    config,
    devices,
    dry_run,
    inspection,
    interventions,
    key_operations,
    mss,
    probes,
    proof,
    publish,
    scheduled,
    webhooks,
)
from mobilesync.api.errors import HttpError
from mobilesync.api.operations import PATH_CHECKS, Operation

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    *publish.OPERATIONS,
    *dry_run.OPERATIONS,
    *scheduled.OPERATIONS,
    *bizzes.OPERATIONS,
    *config.OPERATIONS,
    *inspection.OPERATIONS,
    *proof.OPERATIONS,
    *devices.OPERATIONS,
    *interventions.OPERATIONS,
    *webhooks.OPERATIONS,
    *key_operations.OPERATIONS,
    *audit.OPERATIONS,
    *mss.OPERATIONS,
    *probes.OPERATIONS,
)


class Routes:
    """Finds operations."""

    def __init__(self, operations: tuple[Operation[Any, Any], ...]) -> None:
        self._by_length: dict[int, dict[tuple[str, ...], dict[str, Operation[Any, Any]]]] = {}
        for operation in operations:
            segments = tuple(operation.path.split("/"))
            paths = self._by_length.setdefault(len(segments), {})
            methods = paths.setdefault(segments, {})
            assert operation.method not in methods, "a row for each method of a path"
            methods[operation.method] = operation

    def find(self, method: str, raw_path: bytes) -> tuple[Operation[Any, Any], dict[str, str]]:
        """The operation, and the variable parts of its path, unquoted but not checked.

        Raises HttpError (NOT_FOUND, METHOD_NOT_ALLOWED, MALFORMED_REQUEST).
        """
        segments = _segments(raw_path)
        for template, methods in self._by_length.get(len(segments), {}).items():
            path = _match(template, segments)
            if path is not None:
                operation = methods.get("GET" if method == "HEAD" else method)
                if operation is None:
                    allowed = ", ".join(sorted(methods))
                    headers = [(b"allow", allowed.encode())]
                    raise HttpError(
                        "METHOD_NOT_ALLOWED", "not this method", hint=allowed, headers=headers
                    )
                return operation, path
        raise HttpError("NOT_FOUND", "nothing is at this path", hint="see /openapi.json")


def check_path(path: dict[str, str]) -> None:
    """Raises InvalidRequest when a variable part breaks the rules of its name."""
    for name, text in path.items():
        PATH_CHECKS[name](text)


def _match(template: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    path: dict[str, str] = {}
    for expected, segment in zip(template, segments, strict=True):
        if expected.startswith("{"):
            path[expected[1:-1]] = segment
        elif expected != segment:
            return None
    return path


def _segments(raw_path: bytes) -> list[str]:
    try:
        if b"%" not in raw_path:
            return raw_path.decode().split("/")
        return [unquote_to_bytes(segment).decode() for segment in raw_path.split(b"/")]
    except UnicodeDecodeError:
        raise HttpError("MALFORMED_REQUEST", "the path is not UTF-8") from None
