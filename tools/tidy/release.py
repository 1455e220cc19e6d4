"""The version and the changelog say the same.

The top entry of CHANGELOG.md (`## 1.2.3 (2025-01-31)` or `## 1.2.3 (unreleased)`) is the
`__version__` of the package. So a release cannot be cut without telling its users what changed.
"""

import re
from collections.abc import Iterator

from tools.tidy.tree import SOURCE, Finding, SourceTree

CHANGELOG = "CHANGELOG.md"
VERSION_FILE = f"{SOURCE}/__init__.py"
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_ENTRY = re.compile(r"^## (\d\S*) \((?:unreleased|\d{4}-\d{2}-\d{2})\)$", re.MULTILINE)


def check(tree: SourceTree) -> Iterator[Finding]:
    version = _first(tree, VERSION_FILE, _VERSION)
    entry = _first(tree, CHANGELOG, _ENTRY)
    if version is None:
        yield Finding(VERSION_FILE, 0, "version", 'has no line `__version__ = "…"`.')
    if entry is None:
        yield Finding(CHANGELOG, 0, "version", "has no entry like `## 1.2.3 (unreleased)`.")
    if version and entry and version != entry:
        sentence = f"begins with {entry}, but the package is {version}."
        yield Finding(CHANGELOG, 0, "version", sentence)


def _first(tree: SourceTree, path: str, pattern: re.Pattern[str]) -> str | None:
    file = tree.files.get(path)
    found = pattern.search(file.text) if file else None
    return found[1] if found else None
