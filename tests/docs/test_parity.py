"""The page on MSS covers F1 to F20, and what it names as proof exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/mss-parity.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+(?:\.py)?/?)(?:::(\w+))?`", PAGE)))


def test_every_feature_has_its_row() -> None:
    rows = re.findall(r"^\| (F\d+) \|", PAGE, re.MULTILINE)
    assert rows == [f"F{number}" for number in range(1, 21)]


@pytest.mark.parametrize("path, name", NAMED)
def test_what_is_named_exists(path: str, name: str) -> None:
    file = ROOT / path
    assert file.exists()
    if name:
        tree = ast.parse(file.read_text())
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions
