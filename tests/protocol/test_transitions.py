"""The table of steps: what must hold of any conversation, whatever is added to it."""

from typing import get_args

import pytest

from mobilesync.protocol import messages as m
from mobilesync.protocol.transitions import TRANSITIONS, ConversationState, Role

STEPS = [
    (state, *step, after) for state, steps in TRANSITIONS.items() for step, after in steps.items()
]
CLIENT_SAYS = {m.Hello, m.Ack, m.Bind, m.Unbind, m.State, m.Ping, m.Close}
SERVER_SAYS = {m.Welcome, m.Push, m.Reset, m.Notice, m.Pong, m.Close}


def test_each_role_says_its_own_messages_only() -> None:
    for role, says in ((Role.CLIENT, CLIENT_SAYS), (Role.SERVER, SERVER_SAYS)):
        assert {kind for _, sender, kind, _ in STEPS if sender is role} == says


def test_every_message_has_its_place() -> None:
    assert (
        {kind for _, _, kind, _ in STEPS} == set(get_args(m.Message)) == CLIENT_SAYS | SERVER_SAYS
    )


def test_close_and_only_close_ends_a_conversation() -> None:
    for state, sender, kind, after in STEPS:
        assert (after is ConversationState.CLOSED) == (kind is m.Close), (state, sender)


@pytest.mark.parametrize(
    "state", [state for state in ConversationState if state is not ConversationState.CLOSED]
)
def test_the_server_may_close_at_any_time(state: ConversationState) -> None:
    assert (Role.SERVER, m.Close) in TRANSITIONS[state]


def test_nothing_follows_the_end() -> None:
    assert TRANSITIONS[ConversationState.CLOSED] == {}


def test_nothing_flows_before_welcome() -> None:
    data = {m.Push, m.Ack, m.Reset, m.Notice, m.Bind}
    assert {state for state, _, kind, _ in STEPS if kind in data} == {ConversationState.OPEN}


def test_hello_is_said_once() -> None:
    assert [state for state, _, kind, _ in STEPS if kind is m.Hello] == [ConversationState.NEW]
    assert all(after is not ConversationState.NEW for _, _, _, after in STEPS)


def test_every_state_can_be_reached() -> None:
    assert {after for *_, after in STEPS} == set(ConversationState) - {ConversationState.NEW}


def test_the_other_role() -> None:
    assert [role.other for role in Role] == [Role.SERVER, Role.CLIENT]
