"""The program prints what all rules find; the project itself obeys them."""

from pathlib import Path

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import __main__ as program
from tools.tidy.tree import Finding

CLEAN = {
    "CHANGELOG.md": "## 1.0.0 (unreleased)\n",
    "src/mobilesync/__init__.py": '__version__ = "1.0.0"\n',
}
ONE_OF_EACH = {
    "src/mobilesync/bad.py": "def (",
    "src/mobilesync/engine/utils.py": "import time\nimport mobilesync.cli.a\n" + "x = 1\n" * 500,
    "src/mobilesync/engine/cycle.py": "import mobilesync.engine.cycle2\n",
    "src/mobilesync/engine/cycle2.py": "import mobilesync.engine.cycle\nnow = time\nimport time\n",
    "src/mobilesync/cli/a.py": "import time\ntopic = 1  # noqa\n# TODO this\n" + "#" * 101,
    "src/mobilesync/engine/clocked.py": "import time\ntime.time()\n",
    "README.md": "[a](b.md) pump.py" + ":3 /" + "root/x\n",
}


def test_a_clean_tree_has_no_findings(plant: Plant) -> None:
    tree = plant(CLEAN)
    assert program.findings_in(tree.root, exemptions=()) == []


def test_every_rule_is_called(plant: Plant) -> None:
    tree = plant(ONE_OF_EACH)
    rules = {finding.rule for finding in program.findings_in(tree.root, exemptions=())}
    assert rules == {
        "syntax", "layer", "cycle", "orphan", "module-size", "columns", "effect", "name", "word",
        "mirror", "suppression", "to-do", "link", "line-reference", "machine-path", "version",
    }  # fmt: skip


@pytest.mark.parametrize("findings, code", [([], 0), ([Finding("a.py", 1, "rule", "why.")], 1)])
def test_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    findings: list[Finding],
    code: int,
) -> None:
    def found(root: Path) -> list[Finding]:
        assert (root / "pyproject.toml").exists()
        return findings

    monkeypatch.setattr(program, "findings_in", found)
    assert program.main() == code
    assert capsys.readouterr().out.splitlines() == [str(finding) for finding in findings]
