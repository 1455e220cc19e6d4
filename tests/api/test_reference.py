"""The reference page in the repository is the one that the code makes."""

import runpy
from pathlib import Path

import pytest

from mobilesync.api.errors import CODES
from mobilesync.api.reference import page
from mobilesync.api.routes import OPERATIONS

FILE = Path(__file__).parents[2] / "docs/reference/http-api.md"


def test_the_page_has_not_drifted() -> None:
    hint = "run: python -m mobilesync.api > docs/reference/http-api.md"
    assert FILE.read_text(encoding="utf-8") == page(), hint


def test_everything_is_on_it() -> None:
    text = page()
    for operation in OPERATIONS:
        assert f"`{operation.method} {operation.path}`" in text
    for code in CODES:
        assert f"| `{code}` |" in text


def test_the_module_writes_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("mobilesync.api", run_name="__main__")
    assert capsys.readouterr().out == page()
