"""Print what breaks a house rule, one finding a line; exit 1 if there is any."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.tidy import (
    documents,
    effects,
    layers,
    mirror,
    names,
    release,
    remarks,
    sizes,
    words,
)
from tools.tidy.exceptions import EXEMPTIONS, Exemption, excuse
from tools.tidy.tree import Finding, SourceTree

RULES = (layers, sizes, effects, names, words, mirror, remarks, documents, release)


def findings_in(root: Path, exemptions: Sequence[Exemption] = EXEMPTIONS) -> list[Finding]:
    """Everything that breaks a rule below `root`, sorted by path."""
    tree = SourceTree(root)
    return sorted(excuse(_all(tree), exemptions))


def _all(tree: SourceTree) -> Iterator[Finding]:
    yield from tree.broken
    for rule in RULES:
        yield from rule.check(tree)


def main() -> int:
    findings = findings_in(Path(__file__).resolve().parents[2])
    for finding in findings:
        print(finding)
    if findings:
        print(f"tidy: {len(findings)} findings", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
