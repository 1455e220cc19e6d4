"""One run: everything together, through faults into calm and quiet.

Phases:
1. faults: publishes and trouble of all kinds, for a seeded while; what must never happen is
   written down by everybody and judged afterwards;
2. calm: nothing fails any more; a few more publishes, and within a bounded time everybody must
   have everything that they should;
3. quiet: nothing new; only heartbeats may be sent.
"""

import random
from dataclasses import dataclass

from mobilesync.engine.publisher import Publication
from mobilesync.sim import history as h
from mobilesync.sim.app import TRANSACTIONAL_BIZ
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.chronicle import Chronicle, digest_of
from mobilesync.sim.device import SimDevice
from mobilesync.sim.faults import Faults
from mobilesync.sim.links import Network
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.plants import PLANTS, Plant
from mobilesync.sim.publisher import SimPublisher
from mobilesync.sim.scenario import BEAT_MIN_S, CONVERGE_S, QUIET_S, Scenario, scenario
from mobilesync.sim.server import SimServer
from mobilesync.sim.tap import WireTap

CALM_PUBLISHES = 5
SETTLE_S = 60.0
"""Between convergence and quiet: a heartbeat may still tell what was passed over."""


@dataclass(slots=True)
class World:
    """One run's parts."""

    loop: VirtualLoop
    rng: random.Random
    scenario: Scenario
    chronicle: Chronicle
    tap: WireTap
    network: Network
    server: SimServer
    publisher: SimPublisher
    devices: list[SimDevice]
    faults: Faults
    published: int = 0


def build(seed: int, plant: str, loop: VirtualLoop, chronicle: Chronicle) -> World:
    """The world that `seed` stands for, with the planted bug called `plant`, if any."""
    rng = random.Random(seed)
    drawn = scenario(rng)
    parts = PLANTS[plant]() if plant else Plant()
    drawn = parts.scenario(drawn)
    tap = WireTap(chronicle)
    network = Network(loop, _fork(rng), tap)
    server = SimServer(
        loop,
        _fork(rng),
        network,
        chronicle,
        apps=drawn.apps,
        options=drawn.service,
        lose_wakes=drawn.lose_wakes,
        parts=parts,
    )
    publisher = SimPublisher(loop, _fork(rng), server, chronicle)
    bizzes = tuple(config.biz for config in drawn.bizzes if config.persistent)
    devices = [
        SimDevice(
            plan,
            loop,
            _fork(rng),
            network,
            chronicle,
            options=drawn.client,
            bizzes=bizzes,
            store_class=parts.store_class,
        )
        for plan in drawn.devices
    ]
    faults = Faults(drawn, loop, _fork(rng), chronicle, network, server, devices, publisher)
    return World(loop, rng, drawn, chronicle, tap, network, server, publisher, devices, faults)


async def live(world: World) -> None:
    """All phases, from the first start to the last fact."""
    await open_doors(world)
    await _go_through_faults(world)
    await _find_calm(world)
    await _be_quiet(world)
    _take_stock(world)


async def open_doors(world: World) -> None:
    """Start the server, and define every biz."""
    now_ms = world.chronicle.now_ms()
    await world.server.start()
    for app in world.scenario.apps:
        for config in world.scenario.bizzes:
            rules = h.BizDefined(now_ms, app, config.biz, config.retention_s, config.persistent)
            world.chronicle.add(rules)
            defined = world.server.define(app, config)
            assert defined is not None
            await defined


async def _go_through_faults(world: World) -> None:
    world.faults.begin()
    end_s = world.loop.time() + world.scenario.fault_s
    publishing = world.loop.create_task(_publish_until(world, end_s))
    arriving = world.loop.create_task(_arrive(world))
    await world.faults.strike_until(end_s)
    await publishing
    await arriving


async def _arrive(world: World) -> None:
    """Devices come one after the other; late ones too get what is still valid."""
    for device in world.devices:
        await pause(world.rng.choice((0.0, 0.0, 1.0, 15.0)) * world.rng.random())
        if not device.is_up and not device.is_installed:
            device.start()


async def _publish_until(world: World, end_s: float) -> None:
    each_s = world.scenario.fault_s / world.scenario.publishes
    while world.loop.time() < end_s:
        await pause(world.rng.expovariate(1 / each_s))
        _publish(world)


def _publish(world: World) -> None:
    rng = world.rng
    count = rng.choice((1, 1, 1, 2, 6))
    app = rng.choice(world.scenario.apps)
    world.publisher.begin(app, [_publication(world, app) for _ in range(count)])


def _publication(world: World, app: str) -> Publication:
    rng, drawn = world.rng, world.scenario
    world.published += 1
    devices = [plan.device for plan in drawn.devices if plan.app == app]
    targets = [
        "everyone",
        f"user:{rng.choice(drawn.users)}",
        f"device:{rng.choice(devices)}",
    ]
    valid_s = rng.choice((0, 0, 0, rng.randint(2, 60), 3600))
    until_ms = world.chronicle.now_ms() + valid_s * 1000 if valid_s else None
    low = rng.choice(("", "", "", "1.2", "1.5"))
    high = rng.choice(("", "", "", "1.5", "1.9"))
    return Publication(
        biz=rng.choice(drawn.bizzes).biz,
        target=rng.choice(targets),
        payload=payload(world),
        message_id=f"m{world.published}",
        valid_until_ms=until_ms,
        os=rng.choice(((), (), (), ("ios",), ("ios", "android"))),
        app_version_min=low,
        app_version_max=high,
    )


def payload(world: World) -> bytes:
    """A payload whose first byte tells the simulated handler what to do (app.py)."""
    rng = world.rng
    habit = rng.choice("nnnnnnnnnssssffh")
    if rng.random() < world.scenario.poison_share:
        habit = "p"
    size = rng.choice((0, 0, 0, 20, 300, 3000))
    return f"{habit}{world.published}".encode() + b"." * size


async def _find_calm(world: World) -> None:
    await world.faults.heal()
    world.chronicle.add(h.CalmBegan(world.chronicle.now_ms(), round(CONVERGE_S * 1000)))
    for _ in range(CALM_PUBLISHES):
        await pause(world.rng.random() * 5)
        _publish(world)
    # The last publishes must have their time too.
    await pause(CONVERGE_S + 60)


async def _be_quiet(world: World) -> None:
    await pause(SETTLE_S)
    world.tap.counts_frames = True
    now_ms = world.chronicle.now_ms
    world.chronicle.add(h.QuietBegan(now_ms(), BEAT_MIN_S * 1000))
    await pause(QUIET_S)
    world.chronicle.add(h.QuietEnded(now_ms()))
    world.tap.counts_frames = False


def _take_stock(world: World) -> None:
    chronicle, disk = world.chronicle, world.server.disk
    now_ms = chronicle.now_ms()
    for channel, oplogs in disk.oplogs.items():
        for oplog in oplogs:
            digest = digest_of(oplog.payload)
            chronicle.add(h.Held(now_ms, channel, oplog.id, oplog.message_id, digest))
    chronicle.add(h.HeldAll(now_ms))
    for (app, device), points in disk.points.items():
        for channel, point in points.items():
            place = (point.epoch, point.received, point.processed)
            chronicle.add(h.KnownPoint(now_ms, f"{app}/{device}", channel, *place))
    for simulated in world.devices:
        simulated.take_stock()
    session = world.scenario.service.session
    # One turn of the pump, its largest oplog, and a few small answers may come on top.
    bound = session.buffered_bytes_max + 2 * session.push_bytes + 8 * 1024
    most = world.tap.buffered_bytes_most
    chronicle.add(h.Filled(now_ms, "the server's write buffer", most, bound))
    chronicle.add(h.Ended(now_ms))


def own_findings(world: World) -> list[Finding]:
    """What the world sees that no history tells."""
    now_ms = world.chronicle.now_ms()
    findings: list[Finding] = []
    for device in world.devices:
        rows = device.done_rows()
        if len(rows) != len(set(rows)):
            twice = sorted({row for row in rows if rows.count(row) > 1})
            sentence = f"{device.name}: {TRANSACTIONAL_BIZ} was done twice for {twice}"
            findings.append(Finding("G2", now_ms, sentence))
    if world.publisher.busy():
        sentence = f"{world.publisher.busy()} publishes never came to an end"
        findings.append(Finding("G1", now_ms, sentence))
    failures = (Finding("BUG", now_ms, _sentence(failure)) for failure in world.loop.failures)
    return [*findings, *failures]


def _sentence(failure: dict[str, object]) -> str:
    return f"{failure.get('message')}: {failure.get('exception')!r}"


def _fork(rng: random.Random) -> random.Random:
    """A stream of chance of its own, so that one part's draws do not move another's."""
    return random.Random(rng.getrandbits(64))
