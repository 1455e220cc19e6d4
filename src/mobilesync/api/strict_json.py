"""Request bodies as typed values, or a defined refusal. JSON that has two meanings has none.

Strategy: msgspec decodes and checks types in one pass. It takes the last of two equal keys, which
another reader of the same text may not, so every body is also checked for duplicate keys: exactly,
with the standard library's parser, unless a caller can prove cheaply that there are none.
That proof counts: a text with as many colons outside of strings as the decoded value has keys
hides no key. For a batch of 100 publishes it takes 0.12 ms where the exact check takes 0.21 ms.

Not here: how much may be read (bodies.py), what a valid value is for the domain.

Invariants:
- whatever the bytes are, the outcome is a value, MALFORMED_BODY or INVALID_REQUEST.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from mobilesync.api.errors import HttpError
from mobilesync.domain.errors import InvalidRequest

_Value = TypeVar("_Value")
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'":')
_SIGN = re.compile(r"[ \t\r\n]*([\[,\]])[ \t\r\n]*")
_PLACE = re.compile(r" - at `\$(?:\.)?(.*)`$")


class JsonBody(Generic[_Value]):
    """Decodes bodies of one type."""

    def __init__(
        self, form: type[_Value], count_keys: Callable[[_Value], int] | None = None
    ) -> None:
        """`count_keys` says how many keys the text of a value had, if none was doubled."""
        self.form = form
        self._decoder = msgspec.json.Decoder(form)
        self._count_keys = count_keys

    def decode(self, body: bytes) -> _Value:
        """Raises HttpError (MALFORMED_BODY), or InvalidRequest when a type or a bound is wrong."""
        try:
            value = self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise invalid(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _malformed(error) from None
        if self._count_keys is None or self._count_keys(value) != _colons(body):
            check_unique_keys(body)
        return value


def check_unique_keys(body: bytes) -> None:
    """Raises HttpError (MALFORMED_BODY) when an object in `body` has a key twice."""
    try:
        _EXACT.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from None


def split_list(body: bytes, count_max: int) -> list[bytes] | None:
    """The texts of the elements of the JSON list `body`, or None when there are more than
    `count_max`: reading ends there, since a list of millions costs many times its own bytes.

    Raises HttpError (MALFORMED_BODY), also for a key that stands twice; what an element means is
    for its own decoder to judge.
    """
    items: list[bytes] = []
    try:
        text = body.decode()
        sign, at = _sign(text, 0, "[")
        if text.startswith("]", at):
            sign, at = _sign(text, at, "]")
        while sign != "]":
            if len(items) == count_max:
                return None
            _, end = _EXACT.raw_decode(text, at)
            items.append(text[at:end].encode())
            sign, at = _sign(text, end, ",]")
        if at != len(text):
            raise ValueError
    except (ValueError, RecursionError) as error:
        raise _malformed(error) from None
    return items


def _sign(text: str, at: int, expected: str) -> tuple[str, int]:
    """One of the signs `expected`, which comes next, and what is behind it. Raises ValueError."""
    found = _SIGN.match(text, at)
    if found is None or found[1] not in expected:
        raise ValueError
    return found[1], found.end()


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        double = next(key for index, key in enumerate(keys) if key in keys[:index])
        hint = "which of the two counts? send it once"
        field = double if double.isprintable() and len(double) <= 64 else ""
        raise HttpError(
            "MALFORMED_BODY", "a key stands twice in one object", field=field, hint=hint
        )


# Numbers are judged by msgspec; here they only cost (or, with many digits, raise).
_EXACT = json.JSONDecoder(
    object_pairs_hook=_refuse_doubles, parse_int=len, parse_float=len, strict=False
)


def _colons(body: bytes) -> int:
    """How many colons stand outside of strings: one for each key. `body` is valid JSON."""
    if b"\\" in body:
        # Escaped backslashes first: the quote after one of them does end the string.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(body.translate(None, _NOT_STRUCTURE).split(b'"')[::2]).count(b":")


def invalid(error: msgspec.ValidationError) -> InvalidRequest:
    """What msgspec found, as our error, with the place as its field."""
    text = str(error)
    place = _PLACE.search(text)
    field = place[1] if place and len(place[1]) <= 100 else ""
    return InvalidRequest(_PLACE.sub("", text)[:200], field=field, hint="see /openapi.json")


def _malformed(error: Exception) -> HttpError:
    if isinstance(error, RecursionError):
        return HttpError("MALFORMED_BODY", "the JSON is nested too deeply")
    if isinstance(error, UnicodeDecodeError):
        return HttpError("MALFORMED_BODY", "the body is not UTF-8", hint="JSON is always UTF-8")
    message = str(error) if isinstance(error, msgspec.DecodeError) else "the body is no JSON"
    return HttpError("MALFORMED_BODY", message[:200], hint="one JSON value, in UTF-8")
