"""What a publish call brings: its defaults are those of an oplog for all who watch its target."""

from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.oplog import Draft
from mobilesync.engine.publication import Checked, InvalidBatch, Publication

DRAFT = Draft(Channel("a", "CHAT", "user:u"), b"x", "m", 1, 2)


def test_by_default_it_is_for_everybody_and_now() -> None:
    publication = Publication(biz="CHAT", target="user:u", payload=b"x")
    assert publication.valid_from_ms is None
    assert publication.rollout_percent == 100
    assert not publication.attributes


def test_what_is_scheduled_or_a_notice_is_not_due() -> None:
    assert Checked(DRAFT, 0, is_notice=False).is_due
    assert not Checked(DRAFT, 5, is_notice=False).is_due
    assert not Checked(DRAFT, 0, is_notice=True).is_due


def test_a_wrong_batch_tells_of_each_wrong_item() -> None:
    error = InvalidBatch([(3, InvalidRequest("bad", field="biz", hint="?"))])
    assert error.items[0][0] == 3
    assert "nothing was stored" in str(error)
