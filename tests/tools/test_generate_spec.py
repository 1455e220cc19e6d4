"""The spec's tables are what the code says, and its sections are what the code cites."""

import re
from pathlib import Path

import msgspec
import msgspec.inspect as mi
import pytest

from mobilesync.protocol import codes, limits
from tools.generate_spec import BLOCKS, SPEC, docstrings, generate, main, stale, type_in_words

ROOT = SPEC.parent
HEADING = re.compile(r"^#+ §([\d.]+)", re.MULTILINE)
PAGES = sorted(SPEC.glob("*.md"))


class Sized(msgspec.Struct):
    a: float


class Mixed(msgspec.Struct):
    a: str | int


def sections() -> set[str]:
    found = {number for page in PAGES for number in HEADING.findall(page.read_text("utf-8"))}
    return found | {number.split(".")[0] for number in found}


def test_no_page_is_stale() -> None:
    assert stale() == [], "run: python -m tools.generate_spec"


def test_every_block_is_used() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert sorted(re.findall(r"<!-- generated: ([a-z-]+) -->", text)) == sorted(BLOCKS)


def test_a_stale_block_is_seen_and_filled(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- generated: heartbeat -->\nold\n<!-- end -->\nb\n")
    assert stale(tmp_path) == [page]
    page.write_text(generate(page.read_text()))
    assert stale(tmp_path) == []
    assert "GRACE_S" in page.read_text()
    assert page.read_text().endswith("<!-- end -->\nb\n")


def test_an_unknown_block_is_an_error() -> None:
    with pytest.raises(KeyError):
        generate("<!-- generated: nonsense -->\n<!-- end -->")


def test_check_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_every_bound_and_reason_has_its_sentence() -> None:
    said = docstrings(limits)
    bounds = [name for name in vars(limits) if name.isupper() and not name.startswith("_")]
    assert [name for name in bounds if name not in said] == []
    for kind in (codes.ResetReason, codes.WithdrawalReason, codes.Waits):
        assert set(docstrings(codes, kind.__name__)) == set(kind.__members__)


def test_a_structure_that_may_be_missing_says_so() -> None:
    page = (SPEC / "messages.md").read_text("utf-8")
    assert "| `origin` | [Origin](#origin) or nil | `nil` |" in page
    assert "\n### Origin\n" in page


@pytest.mark.parametrize("kind", [Sized, Mixed])
def test_a_type_without_words_is_an_error(kind: type) -> None:
    [field] = mi.type_info(kind).fields  # type: ignore[attr-defined]  # every struct has them
    with pytest.raises(TypeError, match="no words"):
        type_in_words(field.type)


@pytest.mark.parametrize("folder", ["src", "tests", "tools", "spec"])
def test_cited_sections_exist(folder: str) -> None:
    cite = re.compile(r"§(\d+(?:\.\d+)?)" if folder == "spec" else r"spec §(\d+(?:\.\d+)?)")
    known = sections()
    files = [path for end in ("py", "md", "json") for path in (ROOT / folder).rglob(f"*.{end}")]
    wrong = [
        (path.name, number)
        for path in files
        for number in cite.findall(path.read_text("utf-8").replace("\\u00a7", "§"))
        # The version comparison leans on a section of somebody else's text.
        if number not in known and (path.name, number) != ("conditions.md", "11")
    ]
    assert files
    assert wrong == []
