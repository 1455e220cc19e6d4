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

from mobilesync.protocol.codes import ResetReason
from mobilesync.sim import history as h
from mobilesync.sim.app import TRANSACTIONAL_BIZ
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.chronicle import Chronicle
from mobilesync.sim.device import SimDevice
from mobilesync.sim.faults import Faults
from mobilesync.sim.links import Network
from mobilesync.sim.loop import VirtualLoop, pause
from mobilesync.sim.operator import SimOperator
from mobilesync.sim.plant import Plant
from mobilesync.sim.plants import PLANTS
from mobilesync.sim.publications import Publications
from mobilesync.sim.publisher import SimPublisher
from mobilesync.sim.scenario import BEAT_MIN_S, CONVERGE_S, QUIET_S, Scenario, scenario
from mobilesync.sim.server import SimServer
from mobilesync.sim.stock import ask_for_reasons, take_stock
from mobilesync.sim.tap import WireTap
from mobilesync.sim.user_check import SimUserCheck

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
    operator: SimOperator
    user_check: SimUserCheck
    publications: Publications
    devices: list[SimDevice]
    faults: Faults


def build(seed: int, plant: str, loop: VirtualLoop, chronicle: Chronicle) -> World:
    """The world that `seed` stands for, with the planted bug called `plant`, if any."""
    rng = random.Random(seed)
    drawn = scenario(rng)
    parts = PLANTS[plant]() if plant else Plant()
    drawn = parts.scenario(drawn)
    tap = WireTap(chronicle)
    network = Network(loop, _fork(rng), tap)
    user_check = SimUserCheck(_fork(rng), chronicle)
    server = SimServer(
        loop,
        _fork(rng),
        network,
        chronicle,
        apps=drawn.apps,
        options=drawn.service,
        lose_wakes=drawn.lose_wakes,
        parts=parts,
        user_check=user_check,
        questions_max=drawn.questions_max,
    )
    publisher = SimPublisher(loop, _fork(rng), server, chronicle)
    operator = SimOperator(loop, _fork(rng), server, chronicle)
    bizzes = tuple(config.biz for config in drawn.bizzes)
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
    faults = Faults(
        drawn,
        loop,
        _fork(rng),
        chronicle,
        network,
        server,
        devices,
        publisher,
        operator,
        user_check,
    )
    publications = Publications(_fork(rng), drawn)
    return World(
        loop,
        rng,
        drawn,
        chronicle,
        tap,
        network,
        server,
        publisher,
        operator,
        user_check,
        publications,
        devices,
        faults,
    )


async def live(world: World) -> None:
    """All phases, from the first start to the last fact."""
    await open_doors(world)
    await _go_through_faults(world)
    await _find_calm(world)
    await _be_quiet(world)
    await _take_stock(world)


async def open_doors(world: World) -> None:
    """Start the server, and define every biz."""
    await world.server.start()
    for app in world.scenario.apps:
        for config in world.scenario.bizzes:
            world.operator.put_rules(app, config)
    await world.operator.settled()


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
    now_ms = world.chronicle.now_ms()
    world.publisher.begin(app, [world.publications.draw(app, now_ms) for _ in range(count)])


async def _find_calm(world: World) -> None:
    await world.faults.heal()
    world.chronicle.add(h.CalmBegan(world.chronicle.now_ms(), round(CONVERGE_S * 1000)))
    for _ in range(CALM_PUBLISHES):
        await pause(world.rng.random() * 5)
        _publish(world)
        world.faults.act_in_calm()
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


async def _take_stock(world: World) -> None:
    chronicle, server = world.chronicle, world.server
    take_stock(chronicle, server.disk)
    for simulated in world.devices:
        simulated.take_stock()
    await ask_for_reasons(world.rng, chronicle, server, world.devices)
    session = world.scenario.service.session
    # One turn of the pump, its largest oplog, and a few small answers may come on top.
    bound = session.buffered_bytes_max + 2 * session.push_bytes + 8 * 1024
    most = world.tap.buffered_bytes_most
    now_ms = chronicle.now_ms()
    chronicle.add(h.Filled(now_ms, "the server's write buffer", most, bound))
    chronicle.add(h.Ended(now_ms))


def own_findings(world: World) -> list[Finding]:
    """What the world sees that no history tells."""
    now_ms = world.chronicle.now_ms()
    findings: list[Finding] = []
    for device in world.devices:
        rows = device.done_rows()
        twice = sorted({row for row in rows if rows.count(row) > _copies(world, device, row[0])})
        if twice:
            sentence = f"{device.name}: {TRANSACTIONAL_BIZ} was done twice for {twice}"
            findings.append(Finding("G2", now_ms, sentence))
    if world.publisher.busy():
        sentence = f"{world.publisher.busy()} publishes never came to an end"
        findings.append(Finding("G1", now_ms, sentence))
    if world.operator.busy():
        sentence = f"{world.operator.busy()} wishes of the operator never came to an end"
        findings.append(Finding("OPERATOR", now_ms, sentence))
    failures = (Finding("BUG", now_ms, _sentence(failure)) for failure in world.loop.failures)
    return [*findings, *failures]


def _copies(world: World, device: SimDevice, target: str) -> int:
    """How often an oplog for `target` may have been done: once, and once more for each rewind."""
    copies = 1
    for fact in world.chronicle.history:
        if isinstance(fact, h.Installed) and fact.device == device.name:
            copies = 1
        elif isinstance(fact, h.WasReset) and fact.device == device.name:
            is_here = (fact.channel.biz, fact.channel.target) == (TRANSACTIONAL_BIZ, target)
            copies += is_here and fact.reason == ResetReason.REWOUND
    return copies


def _sentence(failure: dict[str, object]) -> str:
    return f"{failure.get('message')}: {failure.get('exception')!r}"


def _fork(rng: random.Random) -> random.Random:
    """A stream of chance of its own, so that one part's draws do not move another's."""
    return random.Random(rng.getrandbits(64))
