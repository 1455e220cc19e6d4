"""A switched-off check without a reason is caught, and so is work left in a comment."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import remarks

PATH = "src/mobilesync/a.py"


@pytest.mark.parametrize(
    "comment",
    [
        "# type: ignore",
        "# type: ignore[arg-type]",
        "# type: ignore  # because of the stub",
        "# type: ignore[arg-type]  # why",
        "# noqa",
        "# noqa: BLE001",
        "# pragma: no cover",
    ],
)
def test_a_switch_without_code_or_reason(plant: Plant, comment: str) -> None:
    findings = remarks.check(plant({PATH: f"x = 1  {comment}\n"}))
    assert [finding.rule for finding in findings] == ["suppression"]


@pytest.mark.parametrize(
    "comment",
    [
        "# type: ignore[arg-type]  # the stub forgets bytes",
        "# type: ignore[arg-type, misc]  # the stub forgets bytes",
        "# noqa: BLE001 - a handler may raise anything",
        "# noqa: BLE001, S110  # a handler may raise anything",
        "# pragma: no cover - only on Windows",
        "# an ordinary remark about types",
    ],
)
def test_a_switch_with_both(plant: Plant, comment: str) -> None:
    assert list(remarks.check(plant({PATH: f"x = 1  {comment}\n"}))) == []


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_work_left_in_a_comment(plant: Plant, word: str) -> None:
    tree = plant({PATH: f"\n# {word} do it\n"})
    assert [(f.rule, f.line) for f in remarks.check(tree)] == [("to-do", 2)]


def test_documents_may_speak_of_it_but_not_leave_it(plant: Plant) -> None:
    tree = plant({"README.md": "We keep no TODO comments.\n\nTODO: write this.\n"})
    assert [(f.rule, f.line) for f in remarks.check(tree)] == [("to-do", 3)]
