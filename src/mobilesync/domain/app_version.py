"""App versions, compared as versions and not as text: 1.10 is above 1.9.

The rule (spec §10.2): a version is numbers parted by dots, then optionally `-` and a pre-release
of words parted by dots (SemVer 2.0 §11), then optionally `+` and a build, which is ignored.
Missing numbers count as 0, so 1.2 equals 1.2.0. A pre-release is below its release; inside a
pre-release numbers are below words, numbers compare as numbers, and a longer one is above.
"""

import re
from functools import total_ordering

from mobilesync.domain.errors import InvalidRequest

_FORM = re.compile(
    r"v?(\d{1,18}(?:\.\d{1,18}){0,7})(?:-([0-9A-Za-z.-]{1,40}))?(?:\+[0-9A-Za-z.-]*)?"
)


@total_ordering
class AppVersion:
    """One parsed version."""

    __slots__ = ("_key", "text")

    def __init__(self, text: str) -> None:
        """Raises InvalidRequest when `text` is no version."""
        match = _FORM.fullmatch(text.strip()) if len(text) <= 64 and text.isascii() else None
        if match is None:
            hint = "like 2.10.1 or 2.10.1-beta.2"
            raise InvalidRequest("not an app version", field="app_version", hint=hint)
        numbers = [int(number) for number in match[1].split(".")]
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        self.text = text
        self._key = (tuple(numbers), _pre_release_key(match[2]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AppVersion) and self._key == other._key

    def __lt__(self, other: "AppVersion") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"AppVersion({self.text!r})"


def _pre_release_key(words: str | None) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    if words is None:
        return (1, ())
    parts = ((0, int(word), "") if word.isdigit() else (1, 0, word) for word in words.split("."))
    return (0, tuple(parts))
