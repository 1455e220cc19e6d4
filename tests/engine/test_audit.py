"""The audit: in order, together with what it tells of, found again, and bounded."""

import asyncio
from pathlib import Path

import pytest

from mobilesync.domain.errors import InvalidRequest, StoreUnavailable
from mobilesync.engine.audit import (
    ACTIONS,
    DETAILS_BYTES_MAX,
    SERVER,
    SLACK,
    Audit,
    AuditEntry,
)
from mobilesync.engine.options import AuditOptions
from mobilesync.storage.contract import Document
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import simulated
from tests.storage.makers import MAKERS, EmbeddedMaker, MemoryMaker

DAY_S = 24 * 3600
NOW_MS = 1_700_000_000_000


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1000


def _audit(disk: Disk, clock: Clock, **options: int) -> Audit:
    return Audit(MemoryStore(disk), clock, AuditOptions(**options))


def _bizzes(entries: list[AuditEntry]) -> list[str]:
    return [entry.details["biz"] for entry in entries]


async def _note(audit: Audit, app: str, *names: str, action: str = "biz_created") -> None:
    for name in names:
        await audit.note(app, "tests", action, {"biz": name})


@simulated
async def test_entries_come_newest_first_and_by_app() -> None:
    clock = Clock()
    audit = _audit(Disk((1,)), clock)
    await _note(audit, "a", "ONE", "TWO")
    clock.now_ms += 5
    await _note(audit, "a", "THREE")
    await _note(audit, "b", "OTHER")
    await _note(audit, SERVER, "ALL")
    entries = await audit.read("a")
    assert _bizzes(entries) == ["THREE", "TWO", "ONE"]
    assert [entry.at_ms - NOW_MS for entry in entries] == [5, 0, 0]
    assert [entry.id - NOW_MS * 1000 for entry in entries] == [5000, 1, 0]
    assert {entry.who for entry in entries} == {"tests"}
    assert _bizzes(await audit.read("b")) == ["OTHER"]
    assert _bizzes(await audit.read(SERVER)) == ["ALL"]
    assert await audit.read("nobody") == []


@simulated
async def test_a_part_is_read_by_ids_and_action() -> None:
    audit = _audit(Disk((1,)), Clock())
    await _note(audit, "a", *"ABC")
    await _note(audit, "a", *"DE", action="biz_removed")
    ids = [entry.id for entry in await audit.read("a")]
    assert _bizzes(await audit.read("a", limit=2)) == ["E", "D"]
    assert _bizzes(await audit.read("a", before=ids[1], limit=2)) == ["C", "B"]
    assert _bizzes(await audit.read("a", after=ids[2])) == ["E", "D"]
    assert _bizzes(await audit.read("a", after=ids[3], before=ids[0])) == ["D", "C"]
    assert await audit.read("a", after=ids[0], before=ids[4]) == []
    assert await audit.read("a", before=0) == []
    assert _bizzes(await audit.read("a", action="biz_created")) == ["C", "B", "A"]
    assert await audit.read("a", action="key_created") == []
    with pytest.raises(InvalidRequest) as caught:
        await audit.read("a", action="nonsense")
    assert caught.value.field == "action"
    assert all(action in caught.value.hint for action in ACTIONS)


@simulated
async def test_a_rare_action_is_found_behind_many_others() -> None:
    audit = _audit(Disk((1,)), Clock())
    await _note(audit, "a", "RARE", action="biz_removed")
    await _note(audit, "a", *(f"B{number}" for number in range(1200)))
    assert _bizzes(await audit.read("a", action="biz_removed")) == ["RARE"]
    assert len(await audit.read("a", limit=1000)) == 1000


@simulated
async def test_ids_grow_over_a_restart_and_a_clock_that_goes_back() -> None:
    disk, clock = Disk((1,)), Clock()
    await _note(_audit(disk, clock), "a", "ONE")
    clock.now_ms -= 60_000
    again = _audit(disk, clock)
    await _note(again, "a", "TWO")
    entries = await again.read("a")
    assert _bizzes(entries) == ["TWO", "ONE"]
    assert entries[0].at_ms == NOW_MS - 60_000, "the time is what the clock said"


@simulated
async def test_it_is_kept_with_what_it_tells_of_or_not_at_all() -> None:
    store = MemoryStore(Disk((1,)))
    audit = Audit(store, Clock())
    made = await audit.documents("a", "tests", [("biz_created", {"biz": "X"})])
    assert await audit.read("a") == [], "nothing is kept before the caller keeps it"
    commits = store.stats().commits
    await store.put_documents([Document("sync_config", "a/X", b"{}"), *made])
    assert store.stats().commits == commits + 1
    assert _bizzes(await audit.read("a")) == ["X"]
    assert await audit.documents("a", "tests", []) == []
    await store.close()
    with pytest.raises(StoreUnavailable):
        await _note(audit, "a", "Y")
    assert _bizzes(await audit.read("a")) == ["X"]


@simulated
async def test_several_at_once_get_ids_of_their_own() -> None:
    audit = _audit(Disk((1,)), Clock())
    await asyncio.gather(*(_note(audit, "a", f"B{number}") for number in range(20)))
    assert len(await audit.read("a")) == 20


@simulated
async def test_the_oldest_go_when_there_are_too_many() -> None:
    disk = Disk((1,))
    audit = _audit(disk, Clock(), entries_max=700)
    await _note(audit, "a", *(str(number) for number in range(700 + SLACK)))
    assert len(disk.documents) == 700 + SLACK
    await _note(audit, "b", "OTHER")
    await _note(audit, "a", "LAST")
    entries = await audit.read("a", limit=5000)
    assert _bizzes(entries) == ["LAST", *(str(n) for n in range(699 + SLACK, SLACK - 1, -1))]
    assert _bizzes(await audit.read("b")) == ["OTHER"]


@simulated
async def test_what_an_earlier_run_has_left_counts() -> None:
    disk = Disk((1,))
    await _note(_audit(disk, Clock()), "a", *(str(number) for number in range(30)))
    again = _audit(disk, Clock(), entries_max=10)
    await _note(again, "a", "LAST")
    assert _bizzes(await again.read("a")) == ["LAST", *(str(n) for n in range(29, 19, -1))]


@simulated
async def test_each_goes_when_it_is_old() -> None:
    disk, clock = Disk((1,)), Clock()
    audit = _audit(disk, clock, age_s=10 * DAY_S, entries_max=1000)
    await _note(audit, "a", *(str(number) for number in range(600)))
    await _note(audit, SERVER, "ALL")
    clock.now_ms += 5 * DAY_S * 1000
    await _note(audit, "a", "YOUNG")
    await audit.prune(["a", "b"])
    assert len(disk.documents) == 602
    clock.now_ms += 5 * DAY_S * 1000 + 1
    await audit.prune(["a", "b"])
    assert _bizzes(await audit.read("a")) == ["YOUNG"]
    assert await audit.read(SERVER) == []
    # What is gone makes room.
    await _note(audit, "a", *(str(number) for number in range(999 + SLACK)))
    assert _bizzes(await audit.read("a", limit=5000))[-1] == "YOUNG"


@simulated
async def test_a_store_that_refuses_is_pruned_later() -> None:
    store, clock = MemoryStore(Disk((1,))), Clock()
    audit = Audit(store, clock, AuditOptions(age_s=1))
    await _note(audit, "a", "OLD")
    clock.now_ms += 2000
    await store.close()
    await audit.prune(["a"])
    assert _bizzes(await audit.read("a")) == ["OLD"]


@simulated
async def test_details_have_a_bound() -> None:
    audit = _audit(Disk((1,)), Clock())
    await audit.note("a", "tests", "biz_created", {"biz": "x" * DETAILS_BYTES_MAX})
    (entry,) = await audit.read("a")
    assert entry.details == {"left_out_bytes": DETAILS_BYTES_MAX + len('{"biz":""}')}


@simulated
async def test_what_nobody_has_named_is_a_bug() -> None:
    audit = _audit(Disk((1,)), Clock())
    with pytest.raises(AssertionError):
        await audit.note("a", "tests", "nonsense", {})


@pytest.mark.parametrize("chosen", MAKERS, ids=lambda maker: maker.name)
async def test_every_store_keeps_it_in_order(
    chosen: type[MemoryMaker | EmbeddedMaker], tmp_path: Path
) -> None:
    maker = chosen(tmp_path)
    try:
        store = await maker.open()
        audit = Audit(store, Clock(), AuditOptions(entries_max=5))
        await _note(audit, "a", *"ABC")
        await _note(audit, "a-b", "OTHER")
        ids = [entry.id for entry in await audit.read("a")]
        assert _bizzes(await audit.read("a", before=ids[0], limit=1)) == ["B"]
        assert await audit.read("a", after=ids[0], before=ids[0]) == []
        many = [("biz_created", {"biz": str(number)}) for number in range(SLACK + 3)]
        await store.put_documents(await audit.documents("a", "tests", many))
        await _note(audit, "a", "LAST")
        kept = ["LAST", *(str(number) for number in range(SLACK + 2, SLACK - 3, -1))]
        assert _bizzes(await audit.read("a")) == kept
        assert _bizzes(await audit.read("a-b")) == ["OTHER"]
    finally:
        await maker.close()
