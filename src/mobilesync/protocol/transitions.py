"""Who may say what when: the whole legality of a conversation on one screen (spec §6).

Both roles run the same table, each for what it sends and for what it receives. The diagram in
the spec and the tests of illegal steps are generated from it.
"""

from enum import Enum

from mobilesync.protocol import messages as m


class Role(Enum):
    """The two sides of a connection."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def other(self) -> "Role":
        """The side at the other end."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class ConversationState(Enum):
    """Where a conversation stands."""

    NEW = "new"
    """Connected; Hello is due."""
    GREETED = "greeted"
    """Hello was said; Welcome or Close is due."""
    OPEN = "open"
    """Oplogs flow."""
    CLOSED = "closed"
    """Nothing more may be said."""


_S = ConversationState
_C, _V = Role.CLIENT, Role.SERVER

TRANSITIONS: dict[ConversationState, dict[tuple[Role, type], ConversationState]] = {
    _S.NEW: {
        (_C, m.Hello): _S.GREETED,
        (_C, m.Close): _S.CLOSED,
        (_V, m.Close): _S.CLOSED,
    },
    _S.GREETED: {
        (_V, m.Welcome): _S.OPEN,
        (_C, m.Close): _S.CLOSED,
        (_V, m.Close): _S.CLOSED,
    },
    _S.OPEN: {
        (_C, m.Ack): _S.OPEN,
        (_C, m.Ping): _S.OPEN,
        (_C, m.State): _S.OPEN,
        (_C, m.Bind): _S.OPEN,
        (_C, m.Unbind): _S.OPEN,
        (_V, m.Welcome): _S.OPEN,
        (_V, m.Push): _S.OPEN,
        (_V, m.Reset): _S.OPEN,
        (_V, m.Notice): _S.OPEN,
        (_V, m.Pong): _S.OPEN,
        (_C, m.Close): _S.CLOSED,
        (_V, m.Close): _S.CLOSED,
    },
    _S.CLOSED: {},
}
assert set(TRANSITIONS) == set(ConversationState)
