"""Coming back: every range of close codes, tokens, nudges, and stops."""

import asyncio
import random

import pytest

from mobilesync.client import ClientStopped, Connected, Connecting, Paused, Stopped, Waiting
from mobilesync.client.errors import LinkLost, NotConnected
from mobilesync.client.options import ClientOptions
from mobilesync.protocol import messages as m
from mobilesync.protocol.codes import CloseCode, Reaction, ResetReason, reaction
from tests.client.scripted import (
    EPOCH,
    PATIENCE_S,
    Script,
    Seen,
    States,
    client_of,
    eventually,
    push,
    welcome_for,
)

SLOW = ClientOptions(reconnect_s=1_000, reconnect_max_s=1_000)


class Clock:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def wall_ms(self) -> int:
        return round(self.now_s * 1_000)

    def monotonic_s(self) -> float:
        return self.now_s


RETRY = [each for each in CloseCode if reaction(each) is Reaction.RETRY]
STOP = [each for each in CloseCode if reaction(each) is Reaction.STOP]
REAUTHENTICATE = [each for each in CloseCode if reaction(each) is Reaction.REAUTHENTICATE]


@pytest.mark.parametrize("code", [*RETRY, 0, 1999, 4000, 65535])
async def test_retry_codes_come_back(code: int) -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(m.Close(code, "not now"))
        waiting = await states.until(Waiting)
        assert (waiting.code, waiting.why) == (code, "not now")
        await (await script.accept()).welcome()
        await client.connected(5)


@pytest.mark.parametrize("code", [*STOP, 3999])
async def test_stop_codes_stop_and_say_what_to_do(code: int) -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(m.Close(code, "for good"))
        stopped = await states.until(Stopped)
        assert (stopped.code, stopped.reason) == (code, "for good")
        assert stopped.hint
        client.foreground()
        await asyncio.sleep(0.01)
        assert script.connects == 1
        with pytest.raises(ClientStopped, match="for good"):
            await client.connected(5)
        await client.login("alice", "another")
        hello = await (await script.accept()).welcome()
        assert hello.token == "another"
        await client.connected(5)


@pytest.mark.parametrize("code", [*REAUTHENTICATE, 2999])
async def test_reauthenticate_codes_get_a_new_token(code: int) -> None:
    script, tokens = Script(), iter(f"t{n}" for n in range(100))
    async with client_of(script, token=lambda: next(tokens), options=SLOW) as client:
        talk = await script.accept()
        assert (await talk.hear(m.Hello)).token == "t0"
        talk.say(m.Close(code))
        # At once, although every wait of its own would take long.
        hello = await (await script.accept()).welcome()
        assert hello.token == "t1"
        await client.connected(5)


async def test_a_token_that_cannot_be_renewed_stops() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(m.Close(CloseCode.TOKEN_EXPIRED))
        stopped = await states.until(Stopped)
        assert (stopped.code, script.connects) == (CloseCode.TOKEN_EXPIRED, 1)
        assert "callable" in stopped.hint


@pytest.mark.parametrize("same", [True, False])
async def test_refused_tokens_are_no_hot_loop(same: bool) -> None:
    script, states = Script(), States()
    asked = 0

    def source() -> str:
        nonlocal asked
        asked += 1
        return "t" if same else f"t{asked}"

    async with client_of(script, token=source, options=SLOW) as client:
        client.on_state(states)
        for _ in range(1 if same else 2):
            talk = await script.accept()
            await talk.welcome(m.Close(CloseCode.TOKEN_EXPIRED))
        await asyncio.sleep(0.01)
        assert script.connects == (1 if same else 2)
        assert isinstance(client.stats().state, Waiting)


async def test_a_token_callable_that_fails_is_told_and_asked_again() -> None:
    script, states = Script(), States()
    asked = 0

    async def source() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise OSError("no network")
        return "t1"

    async with client_of(script, token=source) as client:
        client.on_state(states)
        assert "token" in (await states.until(Waiting)).why
        await (await script.accept()).welcome()
        await client.connected(5)
        assert asked == 3


async def test_a_bind_that_is_refused_gets_a_new_token() -> None:
    script, tokens = Script(), iter(["b1", "b2"])
    async with client_of(script) as client:
        talk = await script.accept()
        await talk.welcome()
        await client.connected(5)
        await client.login("bob", lambda: next(tokens))
        assert (await talk.hear(m.Bind)).token == "b1"
        talk.say(m.Close(CloseCode.TOKEN_EXPIRED))
        hello = await (await script.accept()).welcome()
        assert (hello.user, hello.token) == ("bob", "b2")
        await client.connected(5)


# Waits.


@pytest.mark.parametrize("refusal", [ConnectionRefusedError("no"), LinkLost("no"), TimeoutError()])
async def test_a_failed_attempt_is_followed_by_another(refusal: Exception) -> None:
    script = Script()
    script.refuse = refusal
    async with client_of(script) as client:
        await eventually(lambda: script.connects > 5)
        script.refuse = None
        await (await script.accept()).welcome()
        await client.connected(5)


async def test_a_bug_in_connect_is_no_lost_link() -> None:
    script, states = Script(), States()
    script.refuse = TypeError("unexpected keyword")
    async with client_of(script) as client:
        client.on_state(states)
        assert "TypeError" in (await states.until(Stopped)).reason
        assert script.connects == 1


async def test_a_connect_that_hangs_is_given_up() -> None:
    states = States()

    class Hanging(Script):
        async def connect(self) -> None:  # type: ignore[override]  # it never returns
            self.connects += 1
            await asyncio.Event().wait()

    options = ClientOptions(connect_timeout_s=0.005, reconnect_s=0.001, reconnect_max_s=0.001)
    script = Hanging()
    async with client_of(script, options=options) as client:
        client.on_state(states)
        await states.until(Waiting)
        await eventually(lambda: script.connects > 1)


async def test_coming_to_the_foreground_shortens_the_own_wait_only() -> None:
    script, states = Script(), States()
    async with client_of(script, options=SLOW) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.end.close()
        await states.until(Waiting)
        client.foreground()
        talk = await script.accept()
        await talk.hear(m.Hello)
        # The server's advice is obeyed whoever asks.
        talk.say(m.Close(CloseCode.DRAINING, "", 60_000, 0))
        await states.until(Waiting)
        client.foreground()
        await client.login("alice", "t2")
        await asyncio.sleep(0.01)
        assert script.connects == 2


async def test_the_advice_is_added_to_the_clock() -> None:
    script, states = Script(), States()
    async with client_of(script, clock=Clock()) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(m.Close(CloseCode.OVERLOADED, "", 60_000, 30_000))
        until_ms = (await states.until(Waiting)).until_ms
        assert until_ms is not None
        assert 1_060_000 <= until_ms <= 1_090_000


async def test_only_a_stable_session_forgives_earlier_failures() -> None:
    script, states, clock = Script(), States(), Clock()
    async with client_of(script, clock=clock, random=random.Random(3)) as client:
        client.on_state(states)
        for expected in (1, 2, 3):
            assert (await states.until(Connecting)).attempt == expected
            talk = await script.accept()
            await talk.welcome()
            await states.until(Connected)
            talk.end.close()
        assert (await states.until(Connecting)).attempt == 4
        talk = await script.accept()
        await talk.welcome()
        await states.until(Connected)
        clock.now_s += 61
        talk.end.close()
        assert (await states.until(Connecting)).attempt == 2


async def test_a_device_that_is_to_be_rewound_comes_back_at_once() -> None:
    script, seen, states = Script(), Seen(), States()
    async with client_of(script, options=SLOW) as client:
        client.on_state(states)
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1, 2, 3))
        assert await seen.until(3) == [1, 2, 3]
        talk.say(m.Close(CloseCode.RESUME, "rewind"))
        assert (await states.until(Waiting)).code == CloseCode.RESUME
        # At once, although every wait of its own would take long.
        talk = await script.accept()
        hello = await talk.hear(m.Hello)
        rewound = m.Reset("CHAT", "user:alice", EPOCH, 1, ResetReason.REWOUND)
        talk.say(m.Welcome(1, EPOCH, "s2", "alice", 0, 60, 540, [rewound]), push(1, 2, 3))
        assert await seen.until(5) == [1, 2, 3, 2, 3]
        assert [each.received for each in hello.points] == [3]
        assert isinstance(client.stats().state, Connected)


# Attributes.


async def test_new_attributes_are_told_by_a_new_hello_at_once() -> None:
    script, seen = Script(), Seen()
    async with client_of(script, attributes={"a": "1"}, options=SLOW) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        assert (await talk.welcome(push(0, 1))).attributes == {"a": "1"}
        await seen.until(1)
        client.set_attributes({"a": "1"})
        assert isinstance(client.stats().state, Connected)
        client.set_attributes({"fcm_token": "x"})
        waiting = client.stats().state
        assert isinstance(waiting, Waiting)
        assert "attributes" in waiting.why
        heard = await talk.ended()
        assert heard[-1] == m.Close(CloseCode.NORMAL)
        talk.end.close()
        hello = await (await script.accept()).welcome(push(1, 2))
        assert hello.attributes == {"fcm_token": "x"}
        assert [each.received for each in hello.points] == [1]
        await client.connected(5)
        assert await seen.until(2) == [1, 2]
        assert script.connects == 2


async def test_a_server_that_does_not_part_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobilesync.client.session.LINGER_S", 0.1)
    script, started_s = Script(), asyncio.get_running_loop().time()
    async with client_of(script, options=SLOW) as client:
        talk = await script.accept()
        await talk.hear(m.Hello)
        client.set_attributes({"a": "1"})
        client.set_attributes({"a": "2"})
        # What comes now is for a session that is over.
        talk.say(welcome_for("alice"), push(0, 1))
        hello = await (await script.accept()).welcome()
        assert hello.attributes == {"a": "2"}
        assert hello.points == []
        assert asyncio.get_running_loop().time() - started_s >= 0.1


async def test_a_session_that_is_being_left_is_no_connection_again() -> None:
    script, states = Script(), States()
    async with client_of(script, options=ClientOptions(inbox_count_max=1)) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await states.until(Paused)
        client.set_attributes({"a": "2"})
        client.on("CHAT")(Seen())
        await talk.ended()
        talk.end.close()
        await states.until(Waiting)
        talk = await script.accept()
        await eventually(lambda: any(isinstance(each, Connecting) for each in states.events))
        assert not any(isinstance(each, Connected) for each in states.events)
        await talk.welcome()
        await states.until(Connected)


async def test_attributes_that_change_while_connecting_are_in_hello() -> None:
    script, started, go = Script(), asyncio.Event(), asyncio.Event()

    async def source() -> str:
        started.set()
        await go.wait()
        return "t-alice"

    async with client_of(script, token=source) as client:
        await started.wait()
        client.set_attributes({"a": "2"})
        go.set()
        assert (await (await script.accept()).welcome()).attributes == {"a": "2"}
        assert script.connects == 1


async def test_new_attributes_neither_heal_a_stop_nor_shorten_the_servers_advice() -> None:
    script, states = Script(), States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(m.Close(CloseCode.DRAINING, "", 60_000, 0))
        await states.until(Waiting)
        client.set_attributes({"a": "2"})
        await asyncio.sleep(0.01)
        assert script.connects == 1
    states = States()
    async with client_of(script) as client:
        client.on_state(states)
        talk = await script.accept()
        await talk.hear(m.Hello)
        talk.say(m.Close(CloseCode.UNKNOWN_APP))
        await states.until(Stopped)
        client.set_attributes({"a": "3"})
        await asyncio.sleep(0.01)
        assert script.connects == 2


# Users while there is no session.


async def test_a_login_while_connecting_is_what_hello_says() -> None:
    script, started, go = Script(), asyncio.Event(), asyncio.Event()

    async def source() -> str:
        started.set()
        await go.wait()
        return "t-alice"

    async with client_of(script, token=source) as client:
        await started.wait()
        await client.login("bob", "t-bob")
        go.set()
        hello = await (await script.accept()).welcome()
        assert (hello.user, hello.token) == ("bob", "t-bob")


async def test_after_a_logout_the_device_reconnects_as_nobody() -> None:
    script, seen = Script(), Seen()
    async with client_of(script) as client:
        client.on("CHAT")(seen)
        talk = await script.accept()
        await talk.welcome(push(0, 1))
        await seen.until(1)
        await client.logout("t-device")
        await talk.skip_to(m.Unbind)
        talk.say(welcome_for(""))
        await client.connected(5)
        talk.end.close()
        hello = await (await script.accept()).welcome()
        assert (hello.user, hello.token, hello.points) == ("", "t-device", [])


async def test_a_device_that_began_as_nobody_goes_back_to_its_own_token() -> None:
    script = Script()
    async with client_of(script, user="", token="t-device") as client:
        talk = await script.accept()
        assert (await talk.welcome()).user == ""
        await client.connected(5)
        await client.login("bob", "t-bob")
        await talk.hear(m.Bind)
        talk.end.close()
        talk = await script.accept()
        assert (await talk.welcome()).token == "t-bob"
        await client.logout()
        await talk.hear(m.Unbind)
        talk.end.cut()
        assert (await (await script.accept()).welcome()).token == "t-device"


async def test_waiting_for_a_connection_has_a_bound() -> None:
    script = Script()
    async with client_of(script) as client:
        with pytest.raises(NotConnected):
            await client.connected(0.005)
        talk = await script.accept()
        waiters = [asyncio.ensure_future(client.connected(PATIENCE_S)) for _ in range(3)]
        await talk.welcome()
        await asyncio.gather(*waiters)
