"""Sync configs: durable before they are in effect, bounded, and never lost to one another."""

import asyncio

import pytest

from mobilesync.domain.errors import InvalidRequest, StoreUnavailable, UnknownBiz
from mobilesync.domain.sync_config import SyncConfig
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
