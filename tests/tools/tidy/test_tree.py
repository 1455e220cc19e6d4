"""The tree reads what it should, once, and nothing else."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy.tree import Finding, module_name, words_of


def test_reads_the_named_folders_and_the_roots_documents(plant: Plant) -> None:
    wanted = ["README.md", "docs/a.md", "pyproject.toml", "src/mobilesync/a.py", "tests/test_a.py"]
    tree = plant(dict.fromkeys(wanted, ""))
    assert sorted(tree.files) == wanted


def test_skips_hidden_folders_caches_and_everything_else(plant: Plant) -> None:
    tree = plant(
        {
            ".venv/lib/a.py": "",
            "src/.hidden/a.py": "",
            "src/__pycache__/a.py": "",
            "scratch/a.py": "",
            "docs/picture.png": "",
        }
    )
    assert not tree.files


def test_a_file_that_does_not_parse_is_a_finding_and_hides_no_other(plant: Plant) -> None:
    tree = plant({"src/mobilesync/bad.py": "def (", "src/mobilesync/good.py": "x = 1\n"})
    assert [finding.rule for finding in tree.broken] == ["syntax"]
    assert list(tree.files) == ["src/mobilesync/good.py"]


def test_prose_is_comments_and_docstrings_but_no_other_string(plant: Plant) -> None:
    text = '"""First.\n\nThird."""\nx = "not prose"  # a remark\n'
    file = plant({"src/mobilesync/a.py": text}).files["src/mobilesync/a.py"]
    assert file.prose == [(1, "First."), (2, ""), (3, "Third."), (4, "# a remark")]


def test_a_finding_prints_its_place_rule_and_sentence() -> None:
    assert str(Finding("a.py", 3, "rule", "why.")) == "a.py:3: rule: why."
    assert str(Finding("a.py", 0, "rule", "why.")) == "a.py: rule: why."


@pytest.mark.parametrize(
    "path, name",
    [
        ("src/mobilesync/a/b.py", "mobilesync.a.b"),
        ("src/mobilesync/a/__init__.py", "mobilesync.a"),
        ("tests/test_a.py", "tests.test_a"),
    ],
)
def test_module_name(path: str, name: str) -> None:
    assert module_name(path) == name


@pytest.mark.parametrize(
    "name, words",
    [
        ("msg_id", ["msg", "id"]),
        ("SyncKeyStore", ["sync", "key", "store"]),
        ("HTTPServer", ["http", "server"]),
        ("IDLE_TIMEOUT_S", ["idle", "timeout", "s"]),
        ("database", ["database"]),
    ],
)
def test_words_of(name: str, words: list[str]) -> None:
    assert words_of(name) == words
