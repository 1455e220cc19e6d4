"""Hand-made histories, told briefly: what each checker must let pass, and what it must not."""

from typing import Any

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions
from mobilesync.domain.oplog import Details, Origin, Withdrawal, WithdrawalReason
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.domain.sync_point import Sent, Skip
from mobilesync.sim import history as h

CHAT = Channel("shop", "CHAT", "user:ann")
ALL = Channel("shop", "FLAGS", "everyone")
D1 = "shop/d1"
D2 = "shop/d2"
CONVERGE_MS = 1000


class ServiceTale:
    """The half that businesses, operators and the server make."""

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
        **more: Any,
    ) -> int:
        self._calls += 1
        until_ms = self.now_ms + valid_ms if valid_ms else 0
        digest = f"digest of {message_id}"
        asked = (self._calls, channel, message_id, digest, until_ms)
        self.add(h.Asked(self.now_ms, *asked, os=os, batch=batch, **more))
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
        **more: Any,
    ) -> None:
        call = self.ask(message_id, channel, valid_ms=valid_ms, os=os, **more)
        self.answer(call, oplog_id, duplicate=duplicate)

    def rules(self, biz: str, **rules: Any) -> None:
        """From here on `biz` has these rules."""
        config = SyncConfig(biz=biz, retention_s=3600, **rules)
        self.add(h.BizDefined(self.now_ms, "shop", biz, 3600, config.persistent, config))

    def offer(
        self,
        oplog_id: int,
        channel: Channel,
        origin: tuple[str, int],
        *,
        conditions: Conditions | None = None,
        by_operator: bool = False,
    ) -> str:
        """The service appends an offer, and answers its message id."""
        message_id = f"mobilesync:offer:{channel.target}:{oplog_id}"
        details = Details(origin=Origin(*origin, by_operator))
        what = (channel, oplog_id, message_id, "digest", conditions, details)
        self.add(h.Stored(self.now_ms, *what))
        return message_id

    def withdraw(
        self,
        oplog_id: int,
        *ids: int,
        channel: Channel = CHAT,
        why: WithdrawalReason = WithdrawalReason.RECALLED,
        by: str = "",
    ) -> str:
        """The service appends a withdrawal of `ids`, and answers its message id."""
        message_id = f"mobilesync:withdraw:{oplog_id}"
        details = Details(withdraws=Withdrawal(tuple((each, each) for each in ids), why, by))
        self.add(h.Stored(self.now_ms, channel, oplog_id, message_id, "digest", None, details))
        return message_id

    def recall(self, oplog_id: int, by_id: int, *, channel: Channel = CHAT) -> None:
        """An operator has the oplog recalled, and is answered."""
        self._calls += 1
        call = self._calls
        self.add(h.RecallAsked(self.now_ms, call, channel, oplog_id))
        self.withdraw(by_id, oplog_id, channel=channel)
        self.add(h.Done(self.now_ms, call, channel.target, by_id))

    def rewind(self, to: int, *, device: str = D1, channel: Channel = CHAT, before: int = 9) -> int:
        """An operator has the device's point put back, and is answered."""
        self._calls += 1
        self.add(h.RewindAsked(self.now_ms, self._calls, channel, device, to))
        self.add(h.Done(self.now_ms, self._calls, channel.target, to, before))
        return self._calls

    def restore(self, lineage: tuple[int, ...], heads: dict[Channel, int]) -> None:
        self.add(h.Restored(self.now_ms, lineage, tuple(heads.items())))
        self.add(h.ServerStarted(self.now_ms, lineage))

    def hold(self, oplogs: dict[int, str], channel: Channel = CHAT) -> None:
        for oplog_id, message_id in oplogs.items():
            digest = f"digest of {message_id}"
            self.add(h.Held(self.now_ms, channel, oplog_id, message_id, digest))

    def held_all(self) -> None:
        self.add(h.HeldAll(self.now_ms))


class Tale(ServiceTale):
    """Writes a history; every fact comes 10 ms after the one before."""

    def device(self, device: str = D1, user: str = "ann", os: str = "ios") -> None:
        self.add(h.Installed(self.now_ms, device))
        self.add(h.DeviceStarted(self.now_ms, device, os, "1.0"))
        self.add(h.LoggedIn(self.now_ms, device, user))

    def wire(self, device: str = D1, user: str = "ann", os: str = "ios", wire: int = 1) -> None:
        self.add(h.SaidHello(self.now_ms, wire, device, os, "1.0"))
        self.add(h.Welcomed(self.now_ms, wire, device, user))

    def hello(
        self,
        wire: int,
        device: str = D1,
        user: str = "ann",
        *,
        points: dict[Channel, int] | None = None,
        session: str = "",
        asks_withdrawals: bool = True,
        **said: Any,
    ) -> None:
        """A Hello with points of epoch 1, and its Welcome."""
        listed = tuple((channel, 1, upto) for channel, upto in (points or {}).items())
        more = {"os": "ios", "app_version": "1.0", **said}
        self.add(
            h.SaidHello(
                self.now_ms,
                wire,
                device,
                asks_withdrawals=asks_withdrawals,
                points=listed,
                **more,
            )
        )
        self.add(h.Welcomed(self.now_ms, wire, device, user, session))

    def ack(
        self,
        received: int,
        processed: int | None = None,
        *,
        channel: Channel = CHAT,
        device: str = D1,
        wire: int = 1,
    ) -> int:
        """An ack reaches the server; answers when."""
        at_ms = self.now_ms
        upto = received if processed is None else processed
        self.add(h.SaidAck(at_ms, wire, device, channel, received, upto))
        return at_ms

    def journal(
        self,
        before: int,
        received: int,
        wall_ms: int,
        *,
        skips: tuple[Skip, ...] = (),
        sends: tuple[Sent, ...] = (),
        device: str = D1,
        channel: Channel = CHAT,
    ) -> None:
        """At the end this step stands in the journal."""
        step = (1, 0, before, received, received, wall_ms, sends, skips)
        self.add(h.Journaled(self.now_ms, device, channel, *step))

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

    def calm(self) -> None:
        self.add(h.CalmBegan(self.now_ms, CONVERGE_MS))

    def end(self) -> None:
        self.wait(2 * CONVERGE_MS)
        self.add(h.Ended(self.now_ms))
