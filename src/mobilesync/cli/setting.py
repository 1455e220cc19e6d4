"""One setting: its type and bounds, how it is written in each source, and how it is read.

Strategy: a setting is a field of a dataclass (settings.py) whose metadata holds what its type
cannot say. So the table of settings, the type that the code works with, the flags, the environment
and the page for operators are one and the same.

Not here: which settings there are (settings.py), which source wins (configuration.py).
"""

import dataclasses
import math
import re
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

from mobilesync.domain.errors import InvalidRequest

_T = TypeVar("_T")
Value = str | int | float | bool | Path
TEXT_CHARS_MAX = 1000
_KEY = "mobilesync"
_UNSET = object()
_SIZE = re.compile(r"(\d{1,16})\s*(B|KiB|MiB|GiB)?")
_SIZES = {None: 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class BadSetting(InvalidRequest):
    """A setting is unknown, out of its bounds, or unsafe together with others."""

    code = "BAD_SETTING"


class Setting(Struct, frozen=True):
    """A row of the table."""

    name: str
    kind: str
    """One of text, path, choice, switch, count, size, seconds, number."""
    group: str
    purpose: str
    turned: str
    """Who turns it, and when."""
    default: Value
    production: Value
    """The default in production; mostly the same."""
    low: float
    high: float
    choices: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What its number counts, if it is one of seconds or bytes."""
        if self.kind == "size":
            return "bytes"
        return "seconds" if self.kind == "seconds" or self.name.endswith("_s") else ""

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"MOBILESYNC_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """Its name as an option of a command."""
        return f"--{self.name.replace('_', '-')}"

    def read(self, raw: object, source: str) -> Value:
        """`raw`, from a file (typed) or from elsewhere (text), as this setting's value.

        Raises BadSetting, which names `source`.
        """
        value = self._convert(raw)
        if value is None:
            shown = f"{raw!r}"[:60]
            message = f"{self.name} = {shown} ({source}) is no {self._form()}"
            raise BadSetting(message, field=self.name, hint=f"for example {self._example()}")
        if isinstance(value, int | float) and not self.low <= value <= self.high:
            message = f"{self.name} = {raw} ({source}) is out of bounds"
            hint = f"{self.show(self.low)} to {self.show(self.high)}"
            raise BadSetting(message, field=self.name, hint=hint)
        return value

    def show(self, value: Value | float) -> str:
        """`value` as a person writes it."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.kind == "size" and isinstance(value, int | float):
            return show_size(int(value))
        if isinstance(value, float):
            return f"{value:g}" if abs(value) < 1e15 else f"{int(value)}"
        return str(value)

    def _convert(self, raw: object) -> Value | None:
        """None when `raw` is nothing of the kind."""
        match self.kind, raw:
            case "switch", bool():
                return raw
            case "switch", str():
                return _SWITCHES.get(raw.strip().lower())
            case (("count" | "size"), int()) if not isinstance(raw, bool):
                return raw
            case "count", str() if re.fullmatch(r"-?\d{1,18}", raw.strip()):
                return int(raw)
            case "size", str():
                return read_size(raw)
            case (("seconds" | "number"), int() | float() | str()) if not isinstance(raw, bool):
                return _number(raw)
            case "choice", str() if raw in self.choices:
                return raw
            case "text", str() if len(raw) <= TEXT_CHARS_MAX and raw.isprintable():
                return raw
            case "path", str() | Path() if len(str(raw)) <= TEXT_CHARS_MAX and "\0" not in str(raw):
                return Path(raw)
        return None

    def _form(self) -> str:
        if self.kind == "choice":
            return f"choice of {', '.join(self.choices)}"
        forms = {"count": "whole number", "size": "size in bytes", "seconds": "number of seconds"}
        return forms.get(self.kind, self.kind)

    def _example(self) -> str:
        return {"switch": "true", "path": "/var/lib/mobilesync"}.get(
            self.kind, self.show(self.default) or "some text"
        )


def setting(
    default: _T,
    purpose: str,
    *,
    turned: str,
    group: str,
    production: object = _UNSET,
    low: float = 0,
    high: float = 2**53,
) -> _T:
    """A field of a table of settings. `production` is the default in production, if it differs."""
    row = {
        "purpose": purpose,
        "turned": turned,
        "group": group,
        "production": default if production is _UNSET else production,
        "low": low,
        "high": high,
    }
    field: Any = dataclasses.field(default=default, metadata={_KEY: row})
    # The dataclass takes the field away and leaves a value of this type.
    return field  # type: ignore[no-any-return] # as dataclasses.field itself does


def table_of(settings: type) -> tuple[Setting, ...]:
    """The rows of a dataclass whose fields are made by `setting`."""
    hints = get_type_hints(settings)
    return tuple(_row(field, hints[field.name]) for field in dataclasses.fields(settings))


def read_size(text: str) -> int | None:
    """Bytes in `text` such as `64KiB`; None when it is no size."""
    match = _SIZE.fullmatch(text.strip())
    return int(match[1]) * _SIZES[match[2]] if match else None


def show_size(size: int) -> str:
    """`size` in the largest unit that holds it exactly."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{size}B"


def _row(field: "dataclasses.Field[Any]", annotation: object) -> Setting:
    row = field.metadata[_KEY]
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    default: Any = field.default
    kind = _kind(field.name, annotation)
    return Setting(name=field.name, kind=kind, default=default, choices=tuple(choices), **row)


def _kind(name: str, annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return "choice"
    if annotation is int:
        return "size" if "bytes" in name.split("_") else "count"
    if annotation is float:
        return "seconds" if name.endswith("_s") and not name.endswith("_per_s") else "number"
    kinds: dict[object, str] = {bool: "switch", Path: "path", str: "text"}
    return kinds[annotation]


def _number(raw: str | float) -> float | None:
    try:
        value = float(raw)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
