"""Pages that tell all of something do tell all of it."""

import re
from pathlib import Path

from mobilesync.domain.config_change import rules_of
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.audit import ACTIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_rule_of_a_biz_is_explained() -> None:
    page = (DOCS / "guides/configs.md").read_text()
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == {*rules_of(SyncConfig(biz="X"))}


def test_every_default_is_told() -> None:
    page = (DOCS / "guides/configs.md").read_text()
    told = dict(re.findall(r"^### (\w+)\n\nDefault: `([^`]*)`", page, re.MULTILINE))
    for rule, value in rules_of(SyncConfig(biz="X")).items():
        expected = str(value).lower() if isinstance(value, bool) else str(value)
        assert told.get(rule, "") == expected, rule


def test_every_action_of_the_audit_is_explained() -> None:
    page = (DOCS / "operating/audit.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {*ACTIONS}
