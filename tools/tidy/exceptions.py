"""Every place where a rule of this house is broken on purpose, and why.

Invariant: the table only shrinks. An exception that excuses nothing is reported, so it goes when
its cause goes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tools.tidy.tree import Finding

HOME = "tools/tidy/exceptions.py"


@dataclass(frozen=True)
class Exemption:
    """Findings of `rule` in files that match `path` are excused because of `reason`."""

    rule: str
    path: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        return finding.rule == self.rule and fnmatchcase(finding.path, self.path)


EXEMPTIONS: tuple[Exemption, ...] = (
    Exemption("word", "CONTRIBUTING.md", "lists the words that we do not use"),
)


def excuse(findings: Iterable[Finding], exemptions: Sequence[Exemption]) -> Iterator[Finding]:
    """Yield what no exemption covers, then one finding for each exemption that covered nothing."""
    idle = set(exemptions)
    for finding in findings:
        covering = [each for each in exemptions if each.covers(finding)]
        idle.difference_update(covering)
        if not covering:
            yield finding
    for each in sorted(idle, key=lambda each: (each.path, each.rule)):
        sentence = f"the exemption of `{each.path}` from `{each.rule}` is no longer needed."
        yield Finding(HOME, 0, "exception", sentence)
