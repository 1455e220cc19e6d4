"""Every source file has its test file, where a reader expects it.

`src/mobilesync/a/b.py` is covered by `tests/a/test_b.py`, and `tools/a/b.py` by
`tests/tools/a/test_b.py`. A package's `__init__` and `__main__` hold nothing worth a file of tests.
The other way round is free: a test may be about the whole (crashes, examples, the spec).
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from tools.tidy.tree import SOURCE, Finding, SourceTree

_EXEMPT = frozenset({"__init__", "__main__"})


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.python:
        mirror = mirror_of(file.path)
        if mirror and mirror not in tree.files:
            yield Finding(file.path, 0, "mirror", f"has no test file `{mirror}`.")


def mirror_of(path: str) -> str | None:
    """Where the tests of `path` belong; None if it needs none."""
    pure = PurePosixPath(path)
    if pure.stem in _EXEMPT:
        return None
    test = f"test_{pure.stem.lstrip('_')}.py"
    if pure.is_relative_to(SOURCE):
        return str("tests" / pure.relative_to(SOURCE).with_name(test))
    if pure.is_relative_to("tools"):
        return str("tests" / pure.with_name(test))
    return None
