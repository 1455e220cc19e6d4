"""Sync configs: durable before they are in effect, bounded, and never lost to one another."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from mobilesync.domain.config_change import ConfigChange, InvalidConfigs
from mobilesync.domain.errors import Conflict, InvalidRequest, StoreUnavailable, UnknownBiz
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.audit import Audit
from mobilesync.engine.configs import SyncConfigs
from mobilesync.protocol.limits import BIZZES_MAX
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.world import Gate, settle, simulated

CHAT = SyncConfig(biz="CHAT", description="talk", retention_s=60)


class SlowSync:
    """A sync that waits for its gate, if it has one."""

    def __init__(self) -> None:
        self.gate: Gate | None = None

    async def __call__(self) -> None:
        if self.gate is not None:
            await self.gate.passed()


@simulated
async def test_what_was_put_is_there_after_a_restart() -> None:
    disk = Disk((1,))
    configs = SyncConfigs(MemoryStore(disk))
    await configs.put("a", CHAT)
    await configs.put("b", SyncConfig(biz="CHAT"))
    await configs.put("a", SyncConfig(biz="ALERT", status="offline"))
    again = SyncConfigs(MemoryStore(disk))
    await again.load()
    assert again.get("a", "CHAT") == CHAT
    assert [config.biz for config in again.list("a")] == ["ALERT", "CHAT"]
    alert, chat = again.find("a", "ALERT"), again.find("a", "CHAT")
    assert alert is not None
    assert alert.status == "offline"
    assert chat is not None
    assert chat.status == "online"
    assert again.find("b", "ALERT") is None


@simulated
async def test_unknown_bizzes_are_told_with_a_hint() -> None:
    configs = SyncConfigs(MemoryStore(Disk((1,))))
    with pytest.raises(UnknownBiz) as caught:
        configs.get("a", "CHAT")
    assert caught.value.hint
    with pytest.raises(UnknownBiz):
        await configs.remove("a", "CHAT")
    with pytest.raises(UnknownBiz):
        configs.first_use("a", "CHAT")
    await configs.create("a", ["CHAT"])
    assert configs.list("a") == []


@simulated
async def test_in_development_a_biz_comes_into_being_when_it_is_created() -> None:
    configs = SyncConfigs(MemoryStore(Disk((1,))), create_on_first_use=True)
    config = configs.first_use("a", "CHAT")
    assert configs.list("a") == [], "looking is not creating"
    await configs.create("a", ["CHAT", "ALERT", "CHAT"])
    assert configs.get("a", "CHAT") == config
    assert len(configs.list("a")) == 2
    with pytest.raises(InvalidRequest):
        configs.first_use("a", "no name")


@simulated
async def test_wrong_rules_are_refused_and_change_nothing() -> None:
    configs = SyncConfigs(MemoryStore(Disk((1,))))
    for wrong in (SyncConfig(biz="a/b"), SyncConfig(biz="X", retention_s=0)):
        with pytest.raises(InvalidRequest):
            await configs.put("a", wrong)
    assert configs.list("a") == []


@simulated
async def test_listeners_hear_of_changes_once_they_are_durable() -> None:
    sync = SlowSync()
    configs = SyncConfigs(MemoryStore(Disk((1,)), sync=sync))
    heard: list[tuple[str, SyncConfig | None]] = []
    configs.on_change(lambda app, config: heard.append((app, config)))
    sync.gate = Gate()
    putting = asyncio.ensure_future(configs.put("a", CHAT))
    await settle()
    assert heard == []
    assert configs.list("a") == []
    sync.gate.open()
    await putting
    await configs.remove("a", "CHAT")
    assert heard == [("a", CHAT), ("a", None)]


@simulated
async def test_a_store_that_refuses_leaves_the_old_rules() -> None:
    store = MemoryStore(Disk((1,)))
    configs = SyncConfigs(store)
    await configs.put("a", CHAT)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await configs.put("a", SyncConfig(biz="CHAT", status="offline"))
    with pytest.raises(StoreUnavailable):
        await configs.remove("a", "CHAT")
    assert configs.get("a", "CHAT") == CHAT


async def _filled() -> tuple[SyncConfigs, SlowSync]:
    sync = SlowSync()
    configs = SyncConfigs(MemoryStore(Disk((1,)), sync=sync), create_on_first_use=True)
    await configs.create("a", [f"B{number}" for number in range(BIZZES_MAX - 1)])
    return configs, sync


@simulated
async def test_an_app_has_no_more_bizzes_than_a_hello_can_list() -> None:
    configs, _ = await _filled()
    with pytest.raises(InvalidRequest, match="too many"):
        await configs.create("a", ["X1", "X2"])
    assert len(configs.list("a")) == BIZZES_MAX - 1, "none was created"
    await configs.put("a", SyncConfig(biz="LAST"))
    with pytest.raises(InvalidRequest, match="too many"):
        await configs.put("a", SyncConfig(biz="MORE"))
    await configs.put("a", SyncConfig(biz="LAST", description="changed"))
    await configs.put("b", SyncConfig(biz="MORE"))
    await configs.remove("a", "B0")
    await configs.put("a", SyncConfig(biz="MORE"))


@simulated
async def test_the_bound_holds_for_changes_at_the_same_time() -> None:
    configs, sync = await _filled()
    sync.gate = Gate()
    puts = [configs.put("a", SyncConfig(biz=f"X{number}")) for number in range(5)]
    waiting = asyncio.gather(*puts, return_exceptions=True)
    await settle()
    sync.gate.open()
    answers = await waiting
    assert [type(answer) for answer in answers] == [type(None), *[InvalidRequest] * 4]
    assert len(configs.list("a")) == BIZZES_MAX


@simulated
async def test_a_first_use_never_overwrites_what_an_operator_puts() -> None:
    sync = SlowSync()
    disk = Disk((1,))
    configs = SyncConfigs(MemoryStore(disk, sync=sync), create_on_first_use=True)
    sync.gate = Gate()
    changes = asyncio.gather(configs.put("a", CHAT), configs.create("a", ["CHAT"]))
    await settle()
    sync.gate.open()
    await changes
    assert configs.get("a", "CHAT") == CHAT
    again = SyncConfigs(MemoryStore(disk))
    await again.load()
    assert again.get("a", "CHAT") == CHAT


@simulated
async def test_a_biz_is_removed_once() -> None:
    sync = SlowSync()
    configs = SyncConfigs(MemoryStore(Disk((1,)), sync=sync))
    await configs.put("a", CHAT)
    sync.gate = Gate()
    removes = asyncio.gather(
        configs.remove("a", "CHAT"), configs.remove("a", "CHAT"), return_exceptions=True
    )
    await settle()
    sync.gate.open()
    assert [type(answer) for answer in await removes] == [type(None), UnknownBiz]


# Several at once ------------------------------------------------------------------------------

NEWS = SyncConfig(biz="NEWS", scope="global")


class StandingClock:
    """Time does not matter here."""

    def wall_ms(self) -> int:
        return 1_000

    def monotonic_s(self) -> float:
        return 1.0


def _actions(changes: Sequence[ConfigChange]) -> list[tuple[str, str]]:
    return [(change.biz, change.action) for change in changes]


@simulated
async def test_what_is_applied_is_one_commit() -> None:
    disk = Disk((1,))
    store = MemoryStore(disk)
    configs = SyncConfigs(store, audit=Audit(store, StandingClock()))
    heard: list[str | None] = []
    configs.on_change(lambda app, config: heard.append(config.biz if config else None))
    await configs.put("a", CHAT)
    await configs.put("b", CHAT)
    commits = store.stats().commits
    wanted = [NEWS, SyncConfig(biz="ALERT")]
    changes = await configs.apply("a", wanted, prune=True)
    assert _actions(changes) == [("ALERT", "create"), ("CHAT", "remove"), ("NEWS", "create")]
    assert store.stats().commits == commits + 1, "with what the audit tells of it"
    assert heard == ["CHAT", "CHAT", "ALERT", None, "NEWS"]
    again = SyncConfigs(MemoryStore(disk))
    await again.load()
    assert again.list("a") == configs.list("a") == [SyncConfig(biz="ALERT"), NEWS]
    assert again.list("b") == [CHAT], "another app's stay"


@simulated
async def test_a_listener_sees_all_changes_of_a_call() -> None:
    configs = SyncConfigs(MemoryStore(Disk((1,))))
    seen: list[list[str]] = []
    configs.on_change(lambda app, _: seen.append([each.biz for each in configs.list(app)]))
    await configs.apply("a", [CHAT, NEWS])
    assert seen == [["CHAT", "NEWS"]] * 2


@simulated
async def test_what_changes_nothing_writes_nothing_and_tells_nobody() -> None:
    store = MemoryStore(Disk((1,)))
    configs = SyncConfigs(store)
    await configs.put("a", CHAT)
    heard: list[str] = []
    configs.on_change(lambda app, _: heard.append(app))
    commits = store.stats().commits
    await configs.put("a", CHAT)
    assert _actions(await configs.apply("a", [CHAT], prune=True)) == [("CHAT", "none")]
    assert (store.stats().commits, heard) == (commits, [])


@simulated
async def test_one_wrong_biz_changes_nothing() -> None:
    configs = SyncConfigs(MemoryStore(Disk((1,))))
    with pytest.raises(InvalidConfigs):
        await configs.apply("a", [CHAT, SyncConfig(biz="X", priority=1000)])
    assert configs.list("a") == []


@simulated
async def test_a_store_that_refuses_leaves_all_as_they_were() -> None:
    store = MemoryStore(Disk((1,)))
    configs = SyncConfigs(store, audit=Audit(store, StandingClock()))
    await configs.apply("a", [CHAT])
    heard: list[str] = []
    configs.on_change(lambda app, _: heard.append(app))
    await store.close()
    with pytest.raises(StoreUnavailable):
        await configs.apply("a", [NEWS], prune=True)
    assert (configs.list("a"), heard) == ([CHAT], [])


@simulated
async def test_a_plan_is_what_apply_does_unless_somebody_was_faster() -> None:
    configs = SyncConfigs(MemoryStore(Disk((1,))))
    await configs.put("a", CHAT)
    planned = configs.plan("a", [NEWS], prune=True)
    revision = configs.revision("a")
    assert configs.list("a") == [CHAT], "planning changes nothing"
    await configs.put("b", CHAT)
    assert configs.revision("a") == revision, "another app does not matter"
    await configs.put("a", SyncConfig(biz="ALERT"))
    with pytest.raises(Conflict):
        configs.plan("a", [NEWS], prune=True, revision=revision)
    with pytest.raises(Conflict) as caught:
        await configs.apply("a", [NEWS], prune=True, revision=revision)
    assert caught.value.field == "revision"
    assert caught.value.hint
    await configs.remove("a", "ALERT")
    assert await configs.apply("a", [NEWS], prune=True, revision=revision) == planned
    assert configs.list("a") == [NEWS]


@simulated
async def test_of_two_at_the_same_time_with_one_revision_one_is_refused() -> None:
    sync = SlowSync()
    configs = SyncConfigs(MemoryStore(Disk((1,)), sync=sync))
    revision = configs.revision("a")
    sync.gate = Gate()
    both = asyncio.gather(
        configs.apply("a", [CHAT], revision=revision),
        configs.apply("a", [NEWS], revision=revision),
        return_exceptions=True,
    )
    await settle()
    sync.gate.open()
    answers = await both
    assert isinstance(answers[1], Conflict)
    assert configs.list("a") == [CHAT]


@simulated
async def test_a_file_fills_an_app_to_its_bound_and_no_further() -> None:
    configs, _ = await _filled()
    full = [SyncConfig(biz=f"N{number}") for number in range(BIZZES_MAX)]
    with pytest.raises(InvalidRequest, match="too many"):
        configs.plan("a", full)
    with pytest.raises(InvalidRequest, match="too many"):
        await configs.apply("a", full)
    assert len(await configs.apply("a", full, prune=True)) == 2 * BIZZES_MAX - 1
    assert configs.list("a") == sorted(full, key=lambda config: config.biz)


# Who did it -----------------------------------------------------------------------------------


@simulated
async def test_the_audit_tells_what_was_changed_and_by_whom() -> None:
    store = MemoryStore(Disk((1,)))
    audit = Audit(store, StandingClock())
    configs = SyncConfigs(store, audit=audit)
    await configs.put("a", NEWS, who="ann")
    await configs.put("a", SyncConfig(biz="NEWS", priority=1), who="bob")
    await configs.put("a", SyncConfig(biz="NEWS", priority=1, status="offline"), who="bob")
    await configs.put("a", SyncConfig(biz="NEWS", priority=1), who="bob")
    await configs.put("a", SyncConfig(biz="NEWS", priority=2, status="offline"), who="bob")
    await configs.apply("a", [CHAT], prune=True, who="cleo")
    await configs.remove("a", "CHAT", who="dan")
    entries = [
        (entry.who, entry.action, entry.details) for entry in reversed(await audit.read("a"))
    ]
    scope = {"rule": "scope", "from": None, "to": "global"}
    assert entries[:5] == [
        ("ann", "biz_created", {"biz": "NEWS", "rules": [scope]}),
        (
            "bob",
            "biz_changed",
            {
                "biz": "NEWS",
                "rules": [
                    {"rule": "scope", "from": "global", "to": "any"},
                    {"rule": "priority", "from": 0, "to": 1},
                ],
            },
        ),
        ("bob", "biz_offline", {"biz": "NEWS"}),
        ("bob", "biz_online", {"biz": "NEWS"}),
        (
            "bob",
            "biz_changed",
            {
                "biz": "NEWS",
                "rules": [
                    {"rule": "status", "from": "online", "to": "offline"},
                    {"rule": "priority", "from": 1, "to": 2},
                ],
            },
        ),
    ]
    assert [(who, action) for who, action, _ in entries[5:]] == [
        ("cleo", "biz_created"),
        ("cleo", "biz_removed"),
        ("dan", "biz_removed"),
    ]


@simulated
async def test_a_biz_that_comes_by_itself_is_told_everywhere() -> None:
    store = MemoryStore(Disk((1,)))
    audit = Audit(store, StandingClock())
    configs = SyncConfigs(store, create_on_first_use=True, audit=audit)
    with capture_logs() as logs:
        await configs.create("a", ["CHAT", "NEWS"])
        await configs.create("a", ["CHAT"])
    assert store.stats().commits == 1
    assert [(line["event"], line["biz"]) for line in logs] == [
        ("biz_created_on_first_use", "CHAT"),
        ("biz_created_on_first_use", "NEWS"),
    ]
    entries = await audit.read("a")
    assert [(entry.who, entry.details["biz"]) for entry in entries] == [
        ("first use", "NEWS"),
        ("first use", "CHAT"),
    ]
