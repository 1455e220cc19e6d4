"""Drawers are refused as a whole name and as a part of one."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import names

P = "src/mobilesync"


@pytest.mark.parametrize(
    "path",
    [f"{P}/utils.py", f"{P}/common/a.py", f"{P}/session_manager.py", "tests/test_helpers.py"],
)
def test_a_file_or_folder(plant: Plant, path: str) -> None:
    assert [(f.rule, f.path) for f in names.check(plant({path: ""}))] == [("name", path)]


@pytest.mark.parametrize("name", ["SessionManager", "BaseStore", "Utils", "_CommonFields"])
def test_a_class(plant: Plant, name: str) -> None:
    tree = plant({f"{P}/a.py": f"\nclass {name}: ...\n"})
    assert [finding.line for finding in names.check(tree)] == [2]


def test_a_word_that_only_contains_one_is_fine(plant: Plant) -> None:
    tree = plant({f"{P}/database.py": "class Database: ...\nclass UncommonCase: ...\n"})
    assert list(names.check(tree)) == []
