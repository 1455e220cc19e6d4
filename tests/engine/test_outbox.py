"""The outbox: events reach those who subscribe, and nobody else, and `wants` says so at once."""

from collections.abc import Sequence

import pytest

from mobilesync.domain.errors import (
    InvalidRequest,
    Overloaded,
    StoreUnavailable,
    UnknownWebhook,
)
from mobilesync.engine.event_queue import PAGE
from mobilesync.engine.happenings import Kind, Listener
from mobilesync.storage.contract import Document
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.receivers import HANG, REFUSE, Hooks, numbered
from tests.engine.world import APP, EPOCH, Gate, passes, settle, simulated

COMMIT_S = 0.2


@simulated
async def test_only_subscribers_get_an_event() -> None:
    async with Hooks() as hooks:
        await hooks.hook("all", "oplog.delivered", "oplog.processed")
        await hooks.hook("chat", "oplog.delivered", bizzes=("CHAT",))
        await hooks.hook("offline", "oplog.delivered", status="offline")
        await hooks.hook("foreign", "oplog.delivered", app="other")
        hooks.put(1)
        hooks.put(1, biz="NEWS")
        hooks.put(1, kind="oplog.processed")
        hooks.put(1, kind="device.online", biz="")
        await settle()
        numbers = hooks.receivers.numbers
        assert numbers("all") == [1, 2, 3]
        assert numbers("chat") == [1]
        assert numbers("offline") == numbers("foreign") == []


@simulated
async def test_events_about_no_biz_pass_every_filter() -> None:
    async with Hooks() as hooks:
        await hooks.hook("hook", "device.online", bizzes=("CHAT",))
        assert hooks.outbox.wants(APP, "device.online")
        hooks.put(1, kind="device.online", biz="")
        hooks.put(1, kind="device.online", biz="NEWS")
        await settle()
        assert hooks.receivers.numbers() == [1]


@simulated
async def test_wants_follows_every_change() -> None:
    async with Hooks() as hooks:
        wants = hooks.outbox.wants
        assert not wants(APP, "oplog.delivered")
        await hooks.hook("hook", "oplog.delivered", bizzes=("CHAT",))
        assert wants(APP, "oplog.delivered")
        assert wants(APP, "oplog.delivered", "CHAT")
        assert not wants(APP, "oplog.delivered", "NEWS")
        assert not wants(APP, "oplog.processed", "CHAT")
        assert not wants("other", "oplog.delivered", "CHAT")
        await hooks.hook("hook", "oplog.processed")
        assert not wants(APP, "oplog.delivered", "CHAT")
        assert wants(APP, "oplog.processed", "NEWS")
        await hooks.hook("hook", "oplog.processed", status="offline")
        assert not wants(APP, "oplog.processed")
        await hooks.hook("hook", "oplog.processed")
        assert wants(APP, "oplog.processed")
        await hooks.webhooks.remove(APP, "hook")
        assert not wants(APP, "oplog.processed")


@simulated
async def test_wants_is_known_again_after_a_restart() -> None:
    async with Hooks() as hooks:
        await hooks.hook()
    async with Hooks(disk=hooks.disk) as again:
        assert again.outbox.wants(APP, "oplog.delivered", "CHAT")


@simulated
async def test_one_named_webhook_gets_an_event_whatever_it_subscribes_to() -> None:
    async with Hooks() as hooks:
        await hooks.hook("one", "device.online")
        await hooks.hook("two", "oplog.outcome")
        await hooks.hook("foreign", "device.online", app="other")
        put_for = hooks.outbox.put_for
        put_for(APP, "one", "oplog.outcome", {**numbered(1), "biz": "CHAT"})
        put_for(APP, "gone", "oplog.outcome", numbered(2))
        put_for("other", "one", "oplog.outcome", numbered(3))
        await settle()
        (event,) = hooks.receivers.got("one")
        assert (event["type"], event["biz"], event["data"]) == (
            "oplog.outcome",
            "CHAT",
            numbered(1),
        )
        await hooks.hook("one", "device.online", status="offline")
        put_for(APP, "one", "oplog.outcome", numbered(4))
        await hooks.hook("one", "device.online")
        await settle()
        assert len(hooks.receivers.posts) == 1


@simulated
async def test_which_webhooks_there_are() -> None:
    async with Hooks() as hooks:
        await hooks.hook("one")
        await hooks.hook("two", status="offline")
        has: Listener = hooks.outbox
        assert has.has(APP, "one")
        assert has.has(APP, "two"), "what is put for it is lost, but nobody misspelled it"
        assert not has.has(APP, "three")
        assert not has.has("other", "one")


@simulated
async def test_a_full_queue_takes_nothing_and_never_fails_the_caller() -> None:
    async with Hooks(queue_max=100) as hooks:
        url = await hooks.hook()
        hooks.receivers.always[url] = REFUSE
        hooks.put(150)
        hooks.outbox.put_for(APP, "hook", "oplog.outcome", numbered(999))
        with pytest.raises(Overloaded):
            hooks.outbox.test(APP, "hook")
        assert hooks.queue().length == 100
        hooks.receivers.always[url] = 200
        await passes(5)
        assert hooks.receivers.numbers()[-100:] == list(range(1, 101))
        gap = hooks.receivers.got()[-1]
        assert (gap["type"], gap["data"]) == ("gap", {"webhook": "hook", "lost": 52})


@simulated
async def test_wake_ups_are_coalesced_and_cancelled_in_all_queues() -> None:
    async with Hooks() as hooks:
        urls = [await hooks.hook(name, "device.wake-up") for name in ("one", "two")]
        for url in urls:
            hooks.receivers.answers[url] = [REFUSE]
        wake: Kind = "device.wake-up"
        hooks.put(1, coalesce="user:a", kind=wake)
        await settle()
        hooks.put(1, coalesce="user:a", kind=wake)
        hooks.put(1, coalesce="user:b", kind=wake)
        hooks.outbox.cancel(APP, "user:b")
        hooks.outbox.cancel("other", "user:a")
        await passes(5)
        for name in ("one", "two"):
            assert hooks.receivers.numbers(name) == [1, 2]


@simulated
async def test_offline_withholds_what_waits_until_it_is_online_again() -> None:
    async with Hooks() as hooks:
        url = await hooks.hook()
        hooks.receivers.answers[url] = [REFUSE]
        hooks.put(2)
        await settle()
        await hooks.hook(status="offline")
        hooks.put(1)
        await passes(3600)
        assert hooks.receivers.numbers() == [1, 2]
        await hooks.hook()
        await settle()
        assert hooks.receivers.numbers() == [1, 2, 1, 2]


@simulated
async def test_a_removed_webhook_leaves_nothing_behind() -> None:
    async with Hooks() as hooks:
        url = await hooks.hook()
        gate = Gate()
        hooks.receivers.answers[url] = [gate]
        hooks.put(2 * PAGE)
        await settle()
        await hooks.webhooks.remove(APP, "hook")
        # Its answer comes when nobody asks for it any more.
        gate.open()
        await passes(COMMIT_S)
        assert hooks.disk.documents == {}
        assert len(hooks.receivers.posts) == 1
        await hooks.hook()
        await passes(5)
        assert len(hooks.receivers.posts) == 1, "the new one is not the old one"
        hooks.put(1)
        await settle()
        assert hooks.receivers.numbers()[-1] == 2 * PAGE + 1


@simulated
async def test_a_webhook_whose_removal_failed_works_again_once_it_is_online() -> None:
    class Refusing(MemoryStore):
        refused = 0

        async def put_documents(self, documents: Sequence[Document]) -> None:
            if documents[0].value is None:
                self.refused += 1
                raise StoreUnavailable("the disk is full")
            await super().put_documents(documents)

    disk = Disk((EPOCH,))
    store = Refusing(disk)
    async with Hooks(disk=disk, store=store) as hooks:
        url = await hooks.hook()
        hooks.receivers.answers[url] = [REFUSE]
        hooks.put(2)
        await settle()
        with pytest.raises(StoreUnavailable):
            await hooks.webhooks.remove(APP, "hook")
        assert store.refused == 1
        assert not hooks.outbox.wants(APP, "oplog.delivered")
        await hooks.hook()
        hooks.put(1)
        await settle()
        assert hooks.receivers.numbers() == [1, 2, 3]
        await passes(COMMIT_S)
        assert hooks.waiting() == 0


@simulated
async def test_a_test_event_ends_the_wait() -> None:
    async with Hooks() as hooks:
        url = await hooks.hook()
        hooks.receivers.always[url] = 500
        hooks.put(1)
        await passes(3600)
        hooks.receivers.always[url] = 200
        event = hooks.outbox.test(APP, "hook")
        other = hooks.outbox.test(APP, "hook")
        assert event.id != other.id
        await settle()
        assert [each["id"] for each in hooks.receivers.got()][-2:] == [event.id, other.id]
        assert hooks.receivers.got()[-1]["type"] == "test"


@simulated
async def test_whom_no_test_reaches() -> None:
    async with Hooks() as hooks:
        await hooks.hook(status="offline")
        with pytest.raises(InvalidRequest) as caught:
            hooks.outbox.test(APP, "hook")
        assert caught.value.hint
        with pytest.raises(UnknownWebhook):
            hooks.outbox.test(APP, "gone")


@simulated
async def test_the_report_says_how_delivery_goes() -> None:
    async with Hooks(queue_max=100) as hooks:
        url = await hooks.hook()
        report = await hooks.outbox.report(APP, "hook")
        assert (report.queued, report.oldest_age_s, report.tries, report.last_try_ms) == (
            0,
            None,
            0,
            0,
        )
        hooks.receivers.answers[url] = [503, HANG]
        hooks.put(103)
        await settle()
        report = await hooks.outbox.report(APP, "hook")
        assert (report.queued, report.lost, report.tries, report.failures) == (100, 3, 1, 1)
        assert (report.last_status, report.last_failure) == (503, "it answered 503")
        await passes(11.5)
        report = await hooks.outbox.report(APP, "hook")
        assert (report.tries, report.failures) == (2, 2)
        assert (report.last_status, report.last_failure) == (0, "no answer in time")
        assert report.oldest_age_s == pytest.approx(11.5, abs=0.1)
        await passes(60)
        report = await hooks.outbox.report(APP, "hook")
        assert (report.queued, report.oldest_age_s, report.failures) == (0, None, 0)
        assert (report.last_status, report.lost) == (200, 0)
        with pytest.raises(UnknownWebhook):
            await hooks.outbox.report(APP, "gone")


@simulated
async def test_figures() -> None:
    async with Hooks() as hooks:
        url = await hooks.hook()
        hooks.receivers.always[url] = 500
        hooks.put(3)
        await settle()
        figures = {f.name: f.samples[0][2] for f in hooks.metrics.families() if f.samples}
        assert figures["mobilesync_webhook_events_queued"] == 3
        assert figures["mobilesync_webhooks_failing"] == 1
        assert figures["mobilesync_webhook_events_total"] == 3
