"""The house rules as checks: `python -m tools.tidy`.

Strategy: a rule that is only written down is soon broken, so each rule of CONTRIBUTING.md that a
program can judge is a module here. A module offers `check(tree)`, a generator of findings over one
`SourceTree`, and keeps its own table of what is allowed and why. What must break a rule all the
same stands in `exceptions.py` with its reason; an exception that nothing needs any more is itself
a finding.

Not here: what ruff and mypy already judge.
"""
