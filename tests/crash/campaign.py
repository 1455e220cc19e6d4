"""One run of everything: server, business servers, phones; then calm, stock-taking, and judgement.

Strategy: a test opens a campaign, does its harm under load, and asks for the findings. Before it
judges, the campaign lets everything come to rest: every publish is acknowledged, one last oplog
went to every channel and through the handlers of every phone, and a phone that was never seen
before has fetched all that its user may have. Then the store's own content is listed through the
API, and the checkers of the simulator look at the whole history.

Not here: the harm (the tests).
"""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Self

import httpx

from mobilesync.cli.control import STORE_NAME
from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h
from mobilesync.sim.checkers import check_all
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.checkers.ledger import Ledger
from mobilesync.sim.chronicle import digest_of
from mobilesync.storage.embedded import open_embedded
from tests.crash.business import Business
from tests.crash.chronicle import Chronicle, merged, now_ms
from tests.crash.phone import Plan
from tests.crash.phones import Phones
from tests.crash.recorded_store import Death
from tests.crash.server_process import APP, ServerProcess

PLANS = (
    Plan("phone", "alice", "ios"),
    Plan("tablet", "alice", "android"),
    Plan("laptop", "bob", "web"),
    Plan("kiosk", "", "android"),
)
NEWCOMERS = (Plan("new-phone", "alice", "ios"), Plan("new-laptop", "bob", "web"))
"""Known to nobody before the end."""
TARGETS = tuple(dict.fromkeys(target for plan in PLANS for target in plan.targets()))
_LOOK_S = 0.1
_PAGE = 1000


class Campaign:
    """An async context manager around one run."""

    def __init__(
        self,
        folder: Path,
        data: Path,
        *,
        seed: int,
        businesses: int = 3,
        think_s: float = 0.04,
        converge_s: float = 60.0,
    ) -> None:
        """`data` is the server's folder; `converge_s` how long the calm at the end may take."""
        self.chance = random.Random(seed)
        self.folder = folder
        self.chronicle = Chronicle(folder / "business")
        self.server = ServerProcess(folder / "server", data)
        door = self.server.door
        self.phones = Phones(folder / "phones", door, PLANS, self.chronicle)
        self.newcomers = Phones(folder / "newcomers", door, NEWCOMERS, self.chronicle)
        self._business: Business | None = None
        self._seed = seed
        self._businesses = businesses
        self._think_s = think_s
        self._converge_s = converge_s
        self._lineage: tuple[int, ...] = ()
        self._restored = False
        self._strange: list[Finding] = []

    @property
    def business(self) -> Business:
        assert self._business is not None, "only inside `async with`"
        return self._business

    async def __aenter__(self) -> Self:
        try:
            await self.start_server()
            await self.phones.start()
            self._business = Business(
                *(self.server.api_origin, self.server.api_key, APP, TARGETS),
                *(self.chronicle, self._seed),
                think_s=self._think_s,
            )
            self._business.begin(self._businesses)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        if self._business is not None:
            await self._business.close()
        for phones in (self.phones, self.newcomers):
            await phones.abandon()
        await self.server.abandon()
        self.chronicle.close()

    # --- harm

    async def start_server(self) -> None:
        """Start it, and see that it serves the store that it served before."""
        await self.server.start()
        lineage = self.server.lineage()
        if self._lineage not in {(), lineage}:
            sentence = f"the store had the epochs {self._lineage}, and now {lineage}"
            self._strange.append(Finding("G1", now_ms(), sentence))
        self._lineage = lineage
        self.chronicle.add(h.ServerStarted(now_ms(), lineage))

    async def kill_server(self, why: str) -> None:
        """End it with -9."""
        await self.server.kill()
        self.chronicle.add(h.ServerKilled(now_ms(), why))

    async def stop_server(self) -> None:
        """End it with SIGTERM."""
        await self.server.stop()
        self.chronicle.add(h.ServerKilled(now_ms(), "stopped"))

    async def kill_phones(self, death: Death | None = None) -> None:
        """End their process with -9 and start it anew; with `death`, to die there by itself."""
        await self.phones.kill()
        if death is not None:
            await self.phones.start(death)
            await self.phones.died()
        await self.phones.start()

    async def restore(self, backup: Path, data: Path) -> None:
        """Make a store in `data` from `backup`, for the next start. The server must be down."""
        await self.server.command("restore", str(backup), str(data))
        self.server.data = data
        self._lineage = self.server.lineage()
        self._restored = True
        store = await open_embedded(data / STORE_NAME, random=SystemRandom(), create=False)
        found = await store.heads(APP, TARGETS)
        await store.close()
        heads = tuple((channel, head.last) for channel, head in sorted(found.items()))
        self.chronicle.add(h.Restored(now_ms(), self._lineage, heads))

    # --- judgement

    async def findings(self) -> list[Finding]:
        """Come to rest with the server up, and judge. The run is over then."""
        await self.business.finish()
        self.chronicle.add(h.CalmBegan(now_ms(), 0))
        last = await self.business.publish_last()
        if not self.newcomers.is_up:
            await self.newcomers.start()
        await self._until_reached(last)
        await self.phones.stop()
        await self.newcomers.stop()
        await self._take_stock()
        self.chronicle.add(h.Ended(now_ms()))
        history = self.history()
        (self.folder / "history.jsonl").write_bytes(b"\n".join(h.to_lines(history)))
        return [*check_all(history), *self._strange, *untrue_refusals(history), *self._troubles()]

    def history(self) -> list[h.Fact]:
        """All that happened. No phone may live."""
        moments = self.chronicle.moments()
        return merged([*moments, *self.phones.moments(), *self.newcomers.moments()])

    async def _until_reached(self, last: dict[str, str]) -> None:
        """Until the last oplog of each channel is through the handlers of all who get it.

        Who does not come so far in time is for the checkers to name.
        """
        awaited = {
            (plan.name(APP), message_id)
            for plan in (*PLANS, *NEWCOMERS)
            for message_id, target in last.items()
            if target in plan.targets()
        }
        try:
            # A newcomer fetches all that there is.
            async with asyncio.timeout(self._converge_s + self.business.acknowledged / 100):
                while awaited - self.phones.reached() - self.newcomers.reached():
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return

    async def _take_stock(self) -> None:
        """List what the store holds, as an operator would."""
        headers = {"authorization": f"Bearer {self.server.api_key}"}
        url = f"{self.server.api_origin}/v1/apps/{APP}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as api:
            for target in TARGETS:
                answer = await api.get("/channels", params={"target": target})
                for head in answer.raise_for_status().json()["channels"]:
                    await self._list(api, Channel(APP, head["biz"], target), head["last"])
        self.chronicle.add(h.HeldAll(now_ms()))

    async def _list(self, api: httpx.AsyncClient, channel: Channel, last: int) -> None:
        upto = 0
        while upto < last:
            where: dict[str, str | int] = {
                "biz": channel.biz,
                "target": channel.target,
                "after": upto,
                "limit": _PAGE,
            }
            page = (await api.get("/oplogs", params=where)).raise_for_status().json()
            for oplog in page["oplogs"]:
                digest = digest_of(oplog["payload"].encode())
                held = h.Held(now_ms(), channel, oplog["id"], oplog["message_id"], digest)
                self.chronicle.add(held)
            assert page["upto"] > upto, "a page that does not go on"
            upto = page["upto"]

    def _troubles(self) -> list[Finding]:
        told = [
            trouble
            for phones in (self.phones, self.newcomers)
            for trouble in phones.troubles(may_repeat=self._restored)
        ]
        return [Finding("BUG", now_ms(), trouble) for trouble in told]


def untrue_refusals(history: Sequence[h.Fact]) -> list[Finding]:
    """Who was told that nothing is stored, and then that it is a duplicate."""
    ledger = Ledger(history)
    denied = {fact.call for fact in history if isinstance(fact, h.Denied)}
    found: list[Finding] = []
    for calls in ledger.by_message_id.values():
        answered = [call for call in calls if call.answered is not None]
        if not answered:
            continue
        first = min(answered, key=lambda call: call.ended_order)
        others = [call for call in calls if call is not first and call.order < first.ended_order]
        assert first.answered is not None
        if first.answered.duplicate and others and {c.asked.call for c in others} <= denied:
            sentence = f"{first.asked.message_id} was refused as not stored, and was stored"
            found.append(Finding("G1", first.answered.at_ms, sentence))
    return found
