"""An exemption excuses its own rule and files, and must be of use."""

from tools.tidy.exceptions import EXEMPTIONS, HOME, Exemption, excuse
from tools.tidy.tree import Finding

FINDING = Finding("src/mobilesync/a.py", 3, "word", "say x.")


def test_a_covered_finding_is_excused() -> None:
    for path in (FINDING.path, "src/mobilesync/*"):
        assert list(excuse([FINDING], [Exemption("word", path, "because")])) == []


def test_another_rule_or_file_is_not_covered() -> None:
    for exemption in (Exemption("name", FINDING.path, ""), Exemption("word", "src/b.py", "")):
        assert FINDING in list(excuse([FINDING], [exemption]))


def test_an_exemption_that_excuses_nothing_is_a_finding() -> None:
    (finding,) = excuse([], [Exemption("word", "src/b.py", "because")])
    assert (finding.path, finding.rule) == (HOME, "exception")


def test_every_exemption_gives_a_reason() -> None:
    assert all(len(exemption.reason) > 10 for exemption in EXEMPTIONS)
