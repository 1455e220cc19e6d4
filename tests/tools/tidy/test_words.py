"""Synonyms are caught where we bind a name or write to a person, and nowhere else."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import words

PATH = "src/mobilesync/a.py"


@pytest.mark.parametrize(
    "text",
    [
        "msg_id = 1\n",
        "self.last_seq_no = 1\n",
        "def f(sync_key): ...\n",
        "def read_topic(): ...\n",
        "class OplogRecord: ...\n",
        "class A:\n    oplog_offset: int\n",
        "for topics in x: ...\n",
    ],
)
def test_a_name_that_we_bind(plant: Plant, text: str) -> None:
    assert [finding.rule for finding in words.check(plant({PATH: text}))] == ["word"]


@pytest.mark.parametrize(
    "text",
    [
        "mqtt.publish(topic=name)\n",
        "x = theirs.msg_id\n",
        "offset = view.find(b'x')\n",
        "message_id = 1\n",
        "def f(record, event): ...\n",
        "x = 'sync key'\n",
    ],
)
def test_names_of_others_and_words_with_another_meaning_are_fine(plant: Plant, text: str) -> None:
    assert list(words.check(plant({PATH: text}))) == []


@pytest.mark.parametrize(
    "text", ["Each oplog event is kept.", "the Sync-Key", "one topic per biz", "its msg_id"]
)
def test_a_phrase(plant: Plant, text: str) -> None:
    tree = plant({"docs/a.md": f"# A\n\n{text}\n", PATH: f'"""A.\n\n{text}\n"""\n# {text}\n'})
    assert [(f.path, f.line) for f in words.check(tree)] == [
        ("docs/a.md", 3),
        (PATH, 3),
        (PATH, 5),
    ]


def test_the_right_words_pass(plant: Plant) -> None:
    text = "The oplog id of the oplog is its place; the message id makes publishing safe.\n"
    assert list(words.check(plant({"README.md": text}))) == []
