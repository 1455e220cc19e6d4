"""What there is at the end of a run: the store, the journal, and what the service says of them.

Strategy: the disk is read as it is, since nothing is under way any more; then the service that runs
is asked about a seeded sample of oplogs and devices, as an operator would ask it.

Not here: what devices hold (device.py), whether all of it agrees (checkers/).
"""

import random

from mobilesync.domain.channel import Channel, session_targets
from mobilesync.domain.sync_point import Advance
from mobilesync.engine.explain import Explanation
from mobilesync.engine.service import Service
from mobilesync.sim import history as h
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.device import SimDevice
from mobilesync.sim.server import SimServer
from mobilesync.storage.disk import Disk

EXPLAINED_MAX = 40
"""Oplogs and devices that are asked about: each costs a commit and several reads."""
GIVE_UP_S = 60.0


def take_stock(chronicle: Chronicle, disk: Disk) -> None:
    """Write down what is on the disk."""
    now_ms = chronicle.now_ms()
    for channel, oplogs in disk.oplogs.items():
        for oplog in oplogs:
            what = (oplog.id, oplog.message_id, digest_of(oplog.payload), oplog.details)
            chronicle.add(h.Held(now_ms, channel, *what))
    chronicle.add(h.HeldAll(now_ms))
    for channel, head in disk.heads.items():
        chronicle.add(h.Headed(now_ms, channel, head.last, head.trimmed))
    for (app, owner), points in disk.points.items():
        for channel, point in points.items():
            place = (point.epoch, point.received, point.processed)
            chronicle.add(h.KnownPoint(now_ms, f"{app}/{owner}", channel, *place))
    for (channel, owner), steps in disk.journal.items():
        for step in steps:
            chronicle.add(_journaled(now_ms, channel, owner, step))


def _journaled(now_ms: int, channel: Channel, owner: str, step: Advance) -> h.Journaled:
    place = (step.epoch, step.lap, step.before, step.received, step.processed)
    name = f"{channel.app}/{owner}"
    return h.Journaled(now_ms, name, channel, *place, step.at_ms, step.sends, step.skips)


async def ask_for_reasons(
    rng: random.Random, chronicle: Chronicle, server: SimServer, devices: list[SimDevice]
) -> None:
    """Have the service explain some oplogs on some devices."""
    asked = [
        (channel, oplog.id, device)
        for channel, oplogs in server.disk.oplogs.items()
        for oplog in oplogs
        for device in devices
        if channel.app == device.plan.app
        and channel.target in session_targets(device.user, device.plan.device)
    ]
    for channel, oplog_id, device in rng.sample(asked, min(EXPLAINED_MAX, len(asked))):
        name = device.plan.device

        async def work(
            service: Service, channel: Channel = channel, oplog_id: int = oplog_id, name: str = name
        ) -> Explanation:
            return await service.explainer.explain(channel, oplog_id, name)

        found = await server.ask(work, give_up_s=GIVE_UP_S)
        times = (found.received_at_ms, found.processed_at_ms)
        fact = h.Explained(
            chronicle.now_ms(), device.name, channel, oplog_id, int(found.reason), *times
        )
        chronicle.add(fact)
