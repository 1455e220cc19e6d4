"""Each limit lets its own number pass and refuses one more."""

from tests.tools.tidy.conftest import Plant
from tools.tidy import sizes
from tools.tidy.tree import SourceTree

PATH = "src/mobilesync/a.py"


def rules(tree: SourceTree) -> list[str]:
    return [finding.rule for finding in sizes.check(tree)]


def test_module(plant: Plant) -> None:
    assert rules(plant({PATH: "x = 1\n" * sizes.MODULE_LINES_MAX})) == []
    assert rules(plant({PATH: "x = 1\n" * (sizes.MODULE_LINES_MAX + 1)})) == ["module-size"]


def test_function(plant: Plant) -> None:
    body = "    x = 1\n"
    full = "async def f():\n" + body * (sizes.FUNCTION_LINES_MAX - 1)
    assert rules(plant({PATH: full})) == []
    assert rules(plant({PATH: full + body})) == ["function-size"]


def test_class(plant: Plant) -> None:
    full = "class A:\n" + "".join(
        f"    def m{i}(self): ...\n" for i in range(sizes.CLASS_METHODS_MAX)
    )
    assert rules(plant({PATH: full})) == []
    assert rules(plant({PATH: full + "    async def more(self): ...\n"})) == ["class-size"]


def test_a_class_of_tests_may_be_long(plant: Plant) -> None:
    methods = "".join(f"    def test_{i}(self): ...\n" for i in range(sizes.CLASS_METHODS_MAX + 1))
    assert rules(plant({"tests/test_a.py": "class TestA:\n" + methods})) == []


def test_columns(plant: Plant) -> None:
    full = "#" * sizes.COLUMNS_MAX + "\n"
    assert rules(plant({PATH: full})) == []
    assert rules(plant({PATH: "#" + full})) == ["columns"]
    assert rules(plant({PATH: "# see https://example.org/" + full})) == []


def test_columns_count_in_recipes_but_not_in_documents(plant: Plant) -> None:
    wide = "w" * (sizes.COLUMNS_MAX + 1) + "\n"
    tree = plant({"Makefile": wide, "README.md": wide})
    assert [finding.path for finding in sizes.check(tree)] == ["Makefile"]
