"""The memory store's disk: what each commit does to it, its copies and backups."""

from pathlib import Path
from random import Random

import pytest
from msgspec import structs

from mobilesync.domain.oplog import Draft, WithdrawalReason, oplog_of
from mobilesync.domain.sync_point import Fork, Head, Sent, Skip, SyncPoint
from mobilesync.storage.contract import Document
from mobilesync.storage.disk import Disk, is_about, restore_memory, select, write_backup
from tests.storage.drafts import BIG, CHAT, NEWS, draft, drafts, step, withdrawal


def filled(*drafted: Draft) -> Disk:
    disk = Disk((7,))
    for each in drafted:
        head = disk.heads.get(each.channel)
        disk.append(each, head.last + 1 if head else 1)
    return disk


class TestOplogs:
    def test_an_append_moves_the_head_and_keeps_the_message_id(self) -> None:
        disk = filled(draft("a"), draft("b"), draft("n", NEWS))
        assert disk.heads == {CHAT: Head(2, 7), NEWS: Head(1, 7)}
        assert disk.message_ids == {(CHAT, "a"): 1, (CHAT, "b"): 2, (NEWS, "n"): 1}
        disk.lineage = (7, 8)
        disk.append(draft("c"), 3)
        assert disk.heads[CHAT] == Head(3, 8, 0, 0, (Fork(7, 2),))

    @pytest.mark.parametrize(
        "after, count_max, bytes_max, found, upto",
        [
            (0, 9, BIG, [1, 2, 3, 4], 4),
            (2, 9, BIG, [3, 4], 4),
            (0, 2, BIG, [1, 2], 2),
            (0, 9, 25, [1, 2], 2),
            (0, 9, 0, [1], 1),
            (4, 9, BIG, [], 4),
            (9, 9, BIG, [], 9),
        ],
    )
    def test_a_page_has_its_bounds(
        self, after: int, count_max: int, bytes_max: int, found: list[int], upto: int
    ) -> None:
        page = filled(*drafts(4, size=10)).page(CHAT, after, count_max, bytes_max)
        assert ([oplog.id for oplog in page.oplogs], page.upto) == (found, upto)

    def test_the_newest_of_a_key(self) -> None:
        disk = filled(*(draft(f"m{n}", key="ab"[n % 2]) for n in range(5)))
        assert [oplog.id for oplog in disk.newest_of_key(CHAT, "a", 2)] == [5, 3]
        assert disk.newest_of_key(NEWS, "a", 2) == []


class TestWithdraw:
    def test_it_stops_at_what_was_durable(self) -> None:
        w = withdrawal("w", (2, 9))
        disk = filled(*drafts(4), w)
        disk.withdraw(w, 5, 3)
        assert [oplog.id for oplog in disk.oplogs[CHAT] if oplog.withdrawn] == [2, 3]
        assert [oplog.payload == b"" for oplog in disk.oplogs[CHAT][:4]] == [
            *(False, True, True, False)
        ]

    def test_of_what_is_trimmed_leaves_nothing(self) -> None:
        w = withdrawal("w", (1, 3), reason=WithdrawalReason.CONSUMED)
        disk = filled(draft("a", expires_at_ms=1), draft("b"), draft("c"), w)
        disk.trim(CHAT, 1)
        disk.withdraw(w, 4, 3)
        found = [(oplog.id, oplog.withdrawn is not None) for oplog in disk.oplogs[CHAT]]
        assert found == [(2, True), (3, True), (4, False)]

    def test_a_plain_draft_withdraws_nothing(self) -> None:
        disk = filled(*drafts(2))
        disk.withdraw(draft("m2"), 2, 2)
        assert disk.oplogs[CHAT] == [oplog_of(each, n) for n, each in enumerate(drafts(2), 1)]


class TestTrim:
    def test_it_forgets_everything_about_what_ended(self) -> None:
        disk = filled(draft("a", expires_at_ms=1), draft("b", expires_at_ms=2), draft("c"))
        disk.step(step(7, 1))
        disk.step(step(7, 2))
        disk.step(step(7, 1, device="tablet"))
        disk.step(step(7, 1, channel=NEWS))
        assert disk.trim(CHAT, 1) == 1
        assert disk.heads[CHAT] == Head(3, 7, 1, 1)
        assert disk.message_ids == {(CHAT, "b"): 2, (CHAT, "c"): 3}
        assert disk.journal == {
            (CHAT, "phone"): [step(7, 2)],
            (NEWS, "phone"): [step(7, 1, channel=NEWS)],
        }
        assert disk.trim(CHAT, 1) == 0

    def test_a_channel_whose_oplogs_all_ended_keeps_its_head(self) -> None:
        disk = filled(draft("a", expires_at_ms=1, by_retention=False))
        assert disk.trim(CHAT, 1) == 1
        assert (disk.oplogs, disk.heads) == ({}, {CHAT: Head(1, 7, 0, 1)})
        assert disk.trim(CHAT, 1) == 0

    def test_a_step_is_about_what_it_received_or_sent(self) -> None:
        assert not is_about(step(7, 3), 3)
        assert is_about(step(7, 4), 3)
        assert is_about(structs.replace(step(7, 0), sent=4), 3)


def test_a_document_is_kept_replaced_and_deleted() -> None:
    disk = Disk((7,))
    for value, left in ((b"1", b"1"), (b"2", b"2"), (None, None), (None, None)):
        disk.keep(Document("k", "a", value))
        assert disk.documents.get(("k", "a")) == left


def test_select_passes_over_what_is_deleted_or_of_another_kind() -> None:
    documents = {("k", "b"): b"2", ("k", "a"): b"1", ("k", "c"): None, ("j", "a"): b"0"}
    assert list(select(documents, "k", "", "", 0).items()) == [("a", b"1"), ("b", b"2")]
    assert select(documents, "k", "", "", 1) == {"a": b"1"}
    assert select(documents, "k", "b", "c", 0) == {"b": b"2"}


def everything() -> Disk:
    w = withdrawal("w", (2, 2), reason=WithdrawalReason.CONSUMED, by="tablet")
    disk = filled(draft("gone", expires_at_ms=1), draft("a", key="k"), w, draft("n", NEWS))
    disk.withdraw(w, 3, 2)
    disk.trim(CHAT, 1)
    disk.points["shop", "phone"] = {CHAT: SyncPoint(7, 2, 1, 5, 1, 2, 1)}
    disk.step(structs.replace(step(7, 2), sent=5, sends=(Sent(5, 1),), skips=(Skip(1, 1, 2),)))
    disk.keep(Document("k", "a", b"\x00\xff"))
    return disk


def test_a_copy_changes_by_itself() -> None:
    disk = everything()
    copy = disk.copy()
    assert copy == disk
    copy.append(draft("b"), 4)
    copy.step(step(7, 4))
    copy.points["shop", "phone"][NEWS] = SyncPoint(7, 1)
    copy.keep(Document("k", "a", None))
    copy.trim(NEWS, 10**13)
    assert disk == everything()


def test_a_backup_holds_everything(tmp_path: Path) -> None:
    report = write_backup(everything(), tmp_path / "deep" / "backup")
    assert report.epoch == 7
    assert report.bytes > 0
    disk = restore_memory(report.path, random=Random(1))
    assert disk.lineage[:-1] == (7,)
    disk.lineage = (7,)
    assert disk == everything()
