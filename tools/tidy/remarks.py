"""A comment that switches a check off says why; work to do lives in an issue.

Forms that pass:
    value = parse(text)  # type: ignore[arg-type]  # the stub forgets bytes
    except Exception:  # noqa: BLE001 - a handler of the app's may raise anything
    if sys.platform == "win32":  # pragma: no cover - our machines are Linux
"""

import re
from collections.abc import Iterator

from tools.tidy.tree import Finding, SourceFile, SourceTree

REASON_CHARACTERS_MIN = 8
_REASON = rf"[\s#:,–—-]+(?P<reason>\S.{{{REASON_CHARACTERS_MIN - 1},}})$"

# What switches a check off, and the same with a code and a reason.
_SWITCHES = (
    (re.compile(r"\btype:\s*ignore"), re.compile(r"\btype: ignore\[[\w, -]+\]" + _REASON)),
    (
        re.compile(r"\bnoqa\b"),
        re.compile(r"\bnoqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*" + _REASON),
    ),
    (re.compile(r"\bpragma: no (?:cover|branch)"), re.compile(r"\bpragma: no \w+" + _REASON)),
)
_TO_DO = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
_TO_DO_IN_DOCUMENT = re.compile(r"\b(?:TODO|FIXME)[:(]")


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.python:
        for line, comment in file.comments:
            yield from _check_comment(file, line, comment)
    for file in tree.documents:
        for line, text in file.prose:
            if _TO_DO_IN_DOCUMENT.search(text):
                yield Finding(file.path, line, "to-do", "file an issue instead.")


def _check_comment(file: SourceFile, line: int, comment: str) -> Iterator[Finding]:
    for off, explained in _SWITCHES:
        if off.search(comment) and not explained.search(comment):
            sentence = f"`{comment}`: name the code and give a reason."
            yield Finding(file.path, line, "suppression", sentence)
    if _TO_DO.search(comment):
        yield Finding(file.path, line, "to-do", "file an issue instead.")
