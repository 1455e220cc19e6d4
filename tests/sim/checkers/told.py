"""Hand-made histories, told briefly: what each checker must let pass, and what it must not."""

from mobilesync.domain.channel import Channel
from mobilesync.sim import history as h

CHAT = Channel("shop", "CHAT", "user:ann")
ALL = Channel("shop", "FLAGS", "everyone")
D1 = "shop/d1"
D2 = "shop/d2"
CONVERGE_MS = 1000


class Tale:
    """Writes a history; every fact comes 10 ms after the one before."""

    def __init__(self) -> None:
        self.facts: list[h.Fact] = []
        self.now_ms = 1_000_000
        self._calls = 0
        self.add(h.BizDefined(self.now_ms, "shop", "CHAT", 3600))
        self.add(h.BizDefined(self.now_ms, "shop", "FLAGS", 3600))
        self.add(h.ServerStarted(self.now_ms, (1,)))

    def add(self, fact: h.Fact) -> None:
        self.facts.append(fact)
        self.now_ms += 10

    def wait(self, ms: int) -> None:
        self.now_ms += ms

    def ask(
        self,
        message_id: str,
        channel: Channel = CHAT,
        *,
        valid_ms: int = 0,
        os: tuple[str, ...] = (),
        batch: int = 0,
    ) -> int:
        self._calls += 1
        until_ms = self.now_ms + valid_ms if valid_ms else 0
        digest = f"digest of {message_id}"
        asked = (self._calls, channel, message_id, digest, until_ms, os, "", "", batch)
        self.add(h.Asked(self.now_ms, *asked))
        return self._calls

    def answer(self, call: int, oplog_id: int, *, duplicate: bool = False) -> None:
        self.add(h.Answered(self.now_ms, call, oplog_id, duplicate))

    def publish(
        self,
        message_id: str,
        oplog_id: int,
        channel: Channel = CHAT,
        *,
        duplicate: bool = False,
        valid_ms: int = 0,
        os: tuple[str, ...] = (),
    ) -> None:
        call = self.ask(message_id, channel, valid_ms=valid_ms, os=os)
        self.answer(call, oplog_id, duplicate=duplicate)

    def restore(self, lineage: tuple[int, ...], heads: dict[Channel, int]) -> None:
        self.add(h.Restored(self.now_ms, lineage, tuple(heads.items())))
        self.add(h.ServerStarted(self.now_ms, lineage))

    def device(self, device: str = D1, user: str = "ann", os: str = "ios") -> None:
        self.add(h.Installed(self.now_ms, device))
        self.add(h.DeviceStarted(self.now_ms, device, os, "1.0"))
        self.add(h.LoggedIn(self.now_ms, device, user))

    def wire(self, device: str = D1, user: str = "ann", os: str = "ios", wire: int = 1) -> None:
        self.add(h.SaidHello(self.now_ms, wire, device, os, "1.0"))
        self.add(h.Welcomed(self.now_ms, wire, device, user))

    def push(
        self,
        after: int,
        upto: int,
        oplogs: dict[int, str],
        *,
        channel: Channel = CHAT,
        device: str = D1,
        wire: int = 1,
    ) -> None:
        pushed = (wire, device, channel, after, upto, tuple(oplogs.items()))
        self.add(h.Pushed(self.now_ms, *pushed))

    def save(
        self,
        after: int,
        upto: int,
        *ids: int,
        channel: Channel = CHAT,
        device: str = D1,
        epoch: int = 1,
    ) -> None:
        self.add(h.Saved(self.now_ms, device, channel, epoch, after, upto, ids))

    def begin(
        self,
        oplog_id: int,
        message_id: str,
        *,
        channel: Channel = CHAT,
        device: str = D1,
        epoch: int = 1,
    ) -> None:
        digest = f"digest of {message_id}"
        named = (device, channel, oplog_id, message_id, digest, epoch)
        self.add(h.HandlerBegan(self.now_ms, *named))

    def finish(
        self,
        oplog_id: int,
        message_id: str,
        *,
        channel: Channel = CHAT,
        device: str = D1,
        epoch: int = 1,
    ) -> None:
        named = (device, channel, oplog_id, message_id, epoch)
        self.add(h.HandlerFinished(self.now_ms, *named))

    def handle(
        self,
        oplog_id: int,
        message_id: str,
        *,
        channel: Channel = CHAT,
        device: str = D1,
        epoch: int = 1,
        marked: bool = True,
    ) -> None:
        self.begin(oplog_id, message_id, channel=channel, device=device, epoch=epoch)
        self.finish(oplog_id, message_id, channel=channel, device=device, epoch=epoch)
        if marked:
            named = (device, channel, oplog_id, message_id, epoch)
            self.add(h.Marked(self.now_ms, *named))

    def kill(self, device: str = D1) -> None:
        self.add(h.DeviceKilled(self.now_ms, device))

    def reset(self, epoch: int, floor: int, reason: int, *, channel: Channel = CHAT) -> None:
        self.add(h.WasReset(self.now_ms, D1, channel, epoch, floor, reason))

    def hold(self, oplogs: dict[int, str], channel: Channel = CHAT) -> None:
        for oplog_id, message_id in oplogs.items():
            digest = f"digest of {message_id}"
            self.add(h.Held(self.now_ms, channel, oplog_id, message_id, digest))

    def held_all(self) -> None:
        self.add(h.HeldAll(self.now_ms))

    def calm(self) -> None:
        self.add(h.CalmBegan(self.now_ms, CONVERGE_MS))

    def end(self) -> None:
        self.wait(2 * CONVERGE_MS)
        self.add(h.Ended(self.now_ms))
