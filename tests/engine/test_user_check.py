"""User checks: asked once, in line, repeated while nobody can tell, dropped when nobody waits."""

import asyncio
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

from structlog.testing import capture_logs

from mobilesync.engine.apps import App, Apps, SecretKey, UserCallback
from mobilesync.engine.login import CREDENTIAL_ATTRIBUTE
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.ticker import Ticker
from mobilesync.engine.user_check import (
    RETRY_FIRST_S,
    RETRY_MAX_S,
    TICK_S,
    CannotTell,
    UserChecks,
    UserQuestion,
)
from mobilesync.sim.clock import SimClock
from mobilesync.sim.loop import VirtualLoop
from tests.engine.device import Device
from tests.engine.world import Gate, World, failing, passes, settle, simulated

SECRET = "whsec_" + "a2" * 22


@dataclass(eq=False)
class Visit:
    """What the check sees of a session."""

    id: str
    app: str = "demo"
    user: str = "u1"
    device: str = "d1"
    credential: str = "s1"
    generation: int = 0
    ended: bool = False

    def has_ended(self) -> bool:
        return self.ended

    def bind(self, user: str, credential: str = "s1") -> None:
        self.user, self.credential = user, credential
        self.generation += 1


class Callback:
    """Answers by credential: `good…` or `bad…`, else it cannot tell; slow while it has a gate."""

    def __init__(self) -> None:
        self.questions: list[UserQuestion] = []
        self.gate: Gate | None = None
        self.is_down = False
        self.under_way = self.most = 0
        self.takes_s = 0.0

    async def validate(self, question: UserQuestion) -> bool:
        self.questions.append(question)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            if self.gate is not None:
                await self.gate.passed()
            if self.takes_s:
                await asyncio.sleep(self.takes_s)
        finally:
            self.under_way -= 1
        if self.is_down or not question.credential.startswith(("good", "bad")):
            raise CannotTell("nobody answers")
        return question.credential.startswith("good")


class Checks:
    """Checks of two apps with a callback and one without, and what they decided."""

    def __init__(self, concurrent_max: int = 4, metrics: Metrics | None = None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.callback = Callback()
        self.verdicts: list[tuple[str, str, bool]] = []
        key = SecretKey(b"k" * 32)
        at = UserCallback("https://a.example", SECRET, "demo", concurrent_max=concurrent_max)
        apps = Apps(
            [
                App("demo", (key,), user_check=at),
                App("other", (key,), user_check=at),
                App("plain", (key,)),
            ]
        )
        self.checks: UserChecks[Visit] = UserChecks(
            self.callback, apps, self.verdict, clock=SimClock(loop), entropy=random.Random(1),
            metrics=metrics,
        )  # fmt: skip
        self.on_verdict: Callable[[], None] | None = None
        self.ticker = Ticker("user check", TICK_S, self.checks.tick)
        self.ticker.start()

    def verdict(self, visit: Visit, valid: bool) -> None:
        self.verdicts.append((visit.id, visit.user, valid))
        if self.on_verdict is not None:
            self.on_verdict()

    def at_rest(self) -> bool:
        """Whether nobody is asked about, by any task."""
        lines = self.checks._lines.values()
        return not (len(self.checks) or self.checks._tasks or any(line.queue for line in lines))


@simulated
async def test_a_session_is_asked_about_once_and_its_verdict_is_told() -> None:
    world = Checks()
    world.checks.ask(Visit("a", credential="good-1"))
    world.checks.ask(Visit("b", user="u2", device="d2", credential="bad-1", app="other"))
    await settle()
    assert world.verdicts == [("a", "u1", True), ("b", "u2", False)]
    assert world.callback.questions == [
        UserQuestion("demo", "u1", "d1", "a", "good-1"),
        UserQuestion("other", "u2", "d2", "b", "bad-1"),
    ]
    await passes(3600)
    assert len(world.callback.questions) == 2
    assert world.at_rest()


@simulated
async def test_who_has_nothing_to_check_is_not_asked_about() -> None:
    world = Checks()
    world.checks.ask(Visit("a", app="plain"))
    world.checks.ask(Visit("b", user=""))
    world.checks.ask(Visit("c", credential=""))
    await passes(60)
    assert world.callback.questions == []
    assert world.at_rest()


@simulated
async def test_thousands_wait_in_line_and_no_more_are_asked_at_once_than_allowed() -> None:
    world = Checks(concurrent_max=4)
    world.callback.takes_s = 0.01
    visits = [Visit(f"v{number}", credential="good") for number in range(3000)]
    for visit in visits:
        world.checks.ask(visit)
    assert len(world.checks._tasks) == 4
    await passes(1)
    for visit in visits[1000:2000]:
        visit.ended = True
    await passes(10)
    assert world.callback.most == 4
    asked = [question.session for question in world.callback.questions]
    assert asked == [visit.id for visit in visits if not visit.ended], "first come, first served"
    assert [each[0] for each in world.verdicts] == asked
    assert world.at_rest()


@simulated
async def test_an_app_whose_callback_hangs_holds_up_no_other() -> None:
    world = Checks(concurrent_max=2)
    gate = world.callback.gate = Gate()
    for number in range(10):
        world.checks.ask(Visit(f"v{number}", credential="good"))
    await settle()
    world.callback.gate = None
    world.checks.ask(Visit("o", app="other", credential="good"))
    await settle()
    assert world.verdicts == [("o", "u1", True)]
    assert gate.waiting == 2
    gate.open()
    await settle()
    assert len(world.verdicts) == 11


@simulated
async def test_while_nobody_can_tell_it_asks_again_ever_more_seldom() -> None:
    world = Checks()
    visit = Visit("a", credential="good")
    world.callback.is_down = True
    loop = asyncio.get_running_loop()
    times: list[float] = []
    world.checks.ask(visit)
    for _ in range(4000):
        await passes(1)
        times += [loop.time()] * (len(world.callback.questions) - len(times))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    bound = RETRY_FIRST_S
    for gap in gaps:
        assert bound / 2 <= gap <= bound + 2 * TICK_S
        bound = min(RETRY_MAX_S, bound * 2)
    assert bound == RETRY_MAX_S
    assert world.verdicts == []
    assert world.checks.unknown == len(times)
    world.callback.is_down = False
    await passes(RETRY_MAX_S + 2)
    assert world.verdicts == [("a", "u1", True)]
    assert world.at_rest()


@simulated
async def test_those_who_failed_together_do_not_come_back_together() -> None:
    world = Checks(concurrent_max=1000)
    world.callback.is_down = True
    for number in range(1000):
        world.checks.ask(Visit(f"v{number}", credential="good"))
    await passes(1)
    counts: list[int] = []
    for _ in range(6):
        before = len(world.callback.questions)
        await passes(1)
        counts.append(len(world.callback.questions) - before)
    assert sum(counts) >= 1000
    assert max(counts) < 600


@simulated
async def test_an_ended_session_is_dropped_wherever_it_stands() -> None:
    world = Checks(concurrent_max=1)
    gate = world.callback.gate = Gate()
    asked, waiting = Visit("a", credential="good"), Visit("b", credential="good")
    for visit in (asked, waiting):
        world.checks.ask(visit)
    await settle()
    asked.ended = waiting.ended = True
    gate.open()
    await settle()
    world.callback.gate = None
    late = Visit("c", credential="unknown")
    world.checks.ask(late)
    await passes(1)
    assert len(world.checks) == 1
    late.ended = True
    await passes(10)
    assert [question.session for question in world.callback.questions] == ["a", "c"]
    assert world.verdicts == []
    assert world.at_rest()


@simulated
async def test_a_verdict_that_a_change_of_user_overtook_is_dropped() -> None:
    world = Checks()
    gate = world.callback.gate = Gate()
    visit = Visit("a", user="old", credential="good")
    world.checks.ask(visit)
    await settle()
    visit.bind("new", "bad")
    world.callback.gate = None
    gate.open()
    await settle()
    assert world.verdicts == [], "of the old user, and the new one has had no Welcome yet"
    world.checks.ask(visit)
    await settle()
    assert world.verdicts == [("a", "new", False)]
    assert world.at_rest()


@simulated
async def test_a_new_user_is_asked_about_when_the_old_ones_answer_has_come() -> None:
    world = Checks()
    gate = world.callback.gate = Gate()
    visit = Visit("a", user="old", credential="bad")
    world.checks.ask(visit)
    await settle()
    visit.bind("new", "good")
    world.checks.ask(visit)
    await settle()
    assert len(world.callback.questions) == 1, "one question of a session at a time"
    gate.open()
    await settle()
    assert world.verdicts == [("a", "new", True)]
    assert [question.user for question in world.callback.questions] == ["old", "new"]
    assert world.at_rest()


@simulated
async def test_logging_out_ends_the_asking() -> None:
    world = Checks()
    visit = Visit("a", credential="unknown")
    world.checks.ask(visit)
    await passes(1)
    visit.bind("")
    world.checks.ask(visit)
    await passes(60)
    assert len(world.callback.questions) == 1
    assert world.at_rest()


@simulated
async def test_a_new_user_does_not_wait_for_the_old_ones_next_try() -> None:
    world = Checks()
    visit = Visit("a", user="old", credential="unknown")
    world.checks.ask(visit)
    await passes(1)
    visit.bind("new", "unknown")
    world.checks.ask(visit)
    await settle()
    assert [question.user for question in world.callback.questions] == ["old", "new"]
    visit.credential = "good"
    await passes(RETRY_FIRST_S + 2)
    assert world.verdicts == [("a", "new", True)]
    await passes(60)
    assert len(world.callback.questions) == 3, "the old one's turn of the wheel asks nobody"
    assert world.at_rest()


@simulated
async def test_the_old_ones_turn_does_not_hasten_the_new_ones_next_try() -> None:
    world = Checks(concurrent_max=100)
    visits = [Visit(f"v{number}", user="old", credential="unknown") for number in range(50)]
    for visit in visits:
        world.checks.ask(visit)
    await passes(1)
    for visit in visits:
        visit.bind("new", "unknown")
        world.checks.ask(visit)
    await passes(RETRY_FIRST_S / 2 - 0.1)
    assert len(world.callback.questions) == 100
    await passes(RETRY_FIRST_S)
    assert len(world.callback.questions) == 150


@simulated
async def test_the_old_ones_turn_asks_nothing_while_the_new_one_is_asked_about() -> None:
    world = Checks()
    visit = Visit("a", user="old", credential="unknown")
    world.checks.ask(visit)
    await passes(1)
    gate = world.callback.gate = Gate()
    visit.bind("new", "good")
    world.checks.ask(visit)
    await passes(RETRY_FIRST_S + 2)
    assert gate.waiting == 1
    gate.open()
    await settle()
    assert world.verdicts == [("a", "new", True)]


@simulated
async def test_whatever_a_device_does_it_stands_in_line_once() -> None:
    world = Checks(concurrent_max=1)
    gate = world.callback.gate = Gate()
    world.checks.ask(Visit("first", credential="good"))
    visit = Visit("a", credential="good")
    for number in range(1000):
        visit.bind(f"u{number}", "good")
        world.checks.ask(visit)
    await settle()
    (line,) = [line for line in world.checks._lines.values() if line.queue]
    assert len(line.queue) == 1
    assert len(world.checks) == 2
    gate.open()
    await settle()
    assert world.verdicts == [("first", "u1", True), ("a", "u999", True)]


@failing("user_check_failed")
async def test_what_nobody_foresaw_is_as_not_knowing() -> None:
    world = Checks()

    async def broken(question: UserQuestion) -> bool:
        raise ZeroDivisionError

    sound = world.callback.validate
    world.callback.validate = broken  # type: ignore[method-assign]  # as a bug would
    world.checks.ask(Visit("a", credential="good"))
    await passes(1)
    world.callback.validate = sound  # type: ignore[method-assign]  # mended
    await passes(RETRY_FIRST_S + 2)
    assert world.verdicts == [("a", "u1", True)]


@failing("user_check_failed")
async def test_a_verdict_that_cannot_be_taken_stops_nobody_behind_it() -> None:
    world = Checks(concurrent_max=1)

    def refuse() -> None:
        world.on_verdict = None
        raise ZeroDivisionError

    world.on_verdict = refuse
    for name in ("a", "b"):
        world.checks.ask(Visit(name, credential="good"))
    await settle()
    assert [each[0] for each in world.verdicts] == ["a", "b"]
    assert world.at_rest()


@simulated
async def test_a_callback_that_fails_is_one_line_in_the_log_and_its_return_another() -> None:
    world = Checks()
    with capture_logs() as entries:
        world.callback.is_down = True
        for number in range(100):
            world.checks.ask(Visit(f"v{number}", user="secret", credential="good-secret"))
        await passes(30)
        world.callback.is_down = False
        await passes(60)
    assert [(entry["event"], entry["app"]) for entry in entries] == [
        ("user_check_fails", "demo"),
        ("user_check_works_again", "demo"),
    ]
    assert "secret" not in f"{entries}"


@simulated
async def test_stop_gives_up_what_is_under_way() -> None:
    world = Checks()
    world.callback.gate = Gate()
    for number in range(10):
        world.checks.ask(Visit(f"v{number}", credential="good"))
    await settle()
    await world.checks.stop()
    await world.checks.stop()
    assert world.callback.under_way == 0
    assert not world.checks._tasks


@simulated
async def test_metrics() -> None:
    metrics = Metrics()
    world = Checks(metrics=metrics)
    for name in ("good", "good", "bad", "unknown"):
        world.checks.ask(Visit(f"v{len(world.checks)}", credential=name))
    await settle()
    values = {
        family.name.removeprefix("mobilesync_user_checks_"): family.samples[0][2]
        for family in metrics.families()
        if family.name.startswith("mobilesync_user_checks_")
    }
    assert values == {"waiting": 1, "valid_total": 2, "invalid_total": 1, "unknown_total": 1}


# In a service ----------------------------------------------------------------------------------


@simulated
async def test_only_a_validated_session_gets_what_is_withheld_from_others() -> None:
    callback = Callback()
    async with World(user_check=callback) as world:
        await world.config("BANK", user_check=True, target_kind="user")
        good, bad, late = (
            _connected(world, name, f"{name}-session") for name in ("good", "bad", "late")
        )
        for device in (good, bad, late):
            await world.publish(f"user:{device.user}", b"secret", biz="BANK")
            await world.publish(f"user:{device.user}", b"hello")
        await settle()
        assert [len(_got(each, "CHAT")) for each in (good, bad, late)] == [1, 1, 1]
        assert [len(_got(each, "BANK")) for each in (good, bad, late)] == [1, 0, 0]
        callback.validate = _yes  # type: ignore[method-assign]  # it can tell now
        await passes(RETRY_FIRST_S + 2)
        assert [len(_got(each, "BANK")) for each in (good, bad, late)] == [1, 0, 1]
        good.bind("bad")
        await settle()
        await world.publish("user:bad", b"more", biz="BANK")
        await settle()
        assert good.got("BANK", "user:bad") == [b"secret", b"more"], "asked anew, and good"


@simulated
async def test_a_server_that_asks_nobody_withholds() -> None:
    async with World() as world:
        await world.config("BANK", user_check=True, target_kind="user")
        device = _connected(world, "good", "good-session")
        await world.publish("user:good", b"secret", biz="BANK")
        await passes(60)
        assert _got(device, "BANK") == []
        assert len(world.service.user_checks) == 1


def _connected(world: World, user: str, credential: str) -> Device:
    device = world.device(f"{user}-phone", user)
    device.attributes = {CREDENTIAL_ATTRIBUTE: credential}
    device.connect()
    return device


def _got(device: Device, biz: str) -> list[bytes]:
    return device.got(biz, f"user:{device.user}")


async def _yes(question: UserQuestion) -> bool:
    return True
