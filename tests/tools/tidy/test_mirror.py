"""A source file without its test file is caught; one with it is not."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import mirror


@pytest.mark.parametrize(
    "source, test",
    [
        ("src/mobilesync/a/b.py", "tests/a/test_b.py"),
        ("src/mobilesync/c.py", "tests/test_c.py"),
        ("src/mobilesync/a/_inner.py", "tests/a/test_inner.py"),
        ("tools/d.py", "tests/tools/test_d.py"),
        ("tools/tidy/e.py", "tests/tools/tidy/test_e.py"),
    ],
)
def test_source_files(plant: Plant, source: str, test: str) -> None:
    assert [(f.rule, f.path) for f in mirror.check(plant({source: ""}))] == [("mirror", source)]
    assert list(mirror.check(plant({test: ""}))) == []


@pytest.mark.parametrize(
    "path",
    ["src/mobilesync/a/__init__.py", "src/mobilesync/cli/__main__.py", "examples/chat.py"],
)
def test_files_that_need_none(plant: Plant, path: str) -> None:
    assert list(mirror.check(plant({path: ""}))) == []
