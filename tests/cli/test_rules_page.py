"""The page of rules holds every reason once, in the order in which the server asks."""

import re

from mobilesync.cli.rules_page import rules_page
from mobilesync.domain.reasons import SENTENCES, Reason
from mobilesync.domain.rules import CHANNEL_RULES, OPLOG_RULES

PAGE = rules_page("<!-- made -->")


def test_every_reason_has_one_row() -> None:
    rows = re.findall(r"^\|(?: \d+ \|)? `([A-Z_]+)` \|", PAGE, re.MULTILINE)
    assert sorted(rows) == sorted(reason.name for reason in Reason)


def test_rules_are_in_the_order_in_which_they_are_asked() -> None:
    for rules in (CHANNEL_RULES, OPLOG_RULES):
        places = [PAGE.index(f"| `{rule.reason.name}` |") for rule in rules]
        assert places == sorted(places)
        assert all(rule.when in PAGE for rule in rules)


def test_every_reason_is_told_in_words() -> None:
    for reason, sentence in SENTENCES.items():
        (row,) = [line for line in PAGE.splitlines() if f"| `{reason.name}` |" in line]
        assert sentence in row
