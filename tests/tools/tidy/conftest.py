"""Plant a small tree of files, so that each rule is shown to catch what it is for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.tidy.tree import SourceTree

Plant = Callable[[dict[str, str]], SourceTree]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Write each path with its text below an empty root, and read them as a tree."""

    def write(files: dict[str, str]) -> SourceTree:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return SourceTree(tmp_path)

    return write
