"""Where connections wait between being accepted and their TLS handshake.

Strategy: a handshake is dear, and accepting is cheap. When ten thousand devices come back at once,
whoever finds the kernel's backlog full is told nothing, and tries again after one, three, seven
seconds; so all are taken from it at once, and wait here. A TLS client speaks first: who has said
nothing yet is only watched for its first byte, and takes no handshake's place. Those who have
spoken are served in that order.

Not here: accepting, and handshakes (tls.py).

Invariants:
- at most `guests_max` wait; the rest is the kernel's to keep;
- a guest is either silent, watched and under a deadline, or has spoken and is neither;
- whoever has spoken waits for us, and is not given up.
"""

import socket
from collections import deque
from collections.abc import Callable

from mobilesync.transports.deadlines import Deadlines
from mobilesync.transports.poller import Poller


class Guest:
    """An accepted connection, of which nothing was read."""

    __slots__ = ("_heard", "peer", "socket")

    def __init__(
        self, accepted: socket.socket, peer: str, heard: Callable[["Guest"], None]
    ) -> None:
        self.socket = accepted
        self.peer = peer
        self._heard = heard

    def ready(self, events: int) -> None:
        """It has spoken, or is gone; whoever reads will know which."""
        self._heard(self)


class Lobby:
    """Connections that wait for their handshake."""

    def __init__(
        self,
        poller: Poller,
        *,
        guests_max: int,
        silence_s: float,
        spoken: Callable[[], None],
        left: Callable[[Guest], None],
    ) -> None:
        """Who is silent for `silence_s`, or given up, is closed, and `left` is told. `spoken` is
        called when somebody may be taken. Neither must raise."""
        assert guests_max > 0
        self._poller = poller
        self._guests_max = guests_max
        self._tell_spoken = spoken
        self._tell_left = left
        self._silent = Deadlines[Guest](silence_s, self._give_up)
        self._spoken: deque[Guest] = deque()

    def __len__(self) -> int:
        return len(self._silent) + len(self._spoken)

    @property
    def has_spoken(self) -> bool:
        """Whether somebody may be taken."""
        return bool(self._spoken)

    @property
    def is_full(self) -> bool:
        """Whether no more may be added."""
        return len(self) >= self._guests_max

    def add(self, accepted: socket.socket, peer: str) -> None:
        """Let it wait. Raises OSError when the kernel watches no more; then it is the caller's to
        close."""
        guest = Guest(accepted, peer, self._heard)
        self._poller.add(accepted.fileno(), guest)
        self._silent.add(guest)

    def take(self) -> Guest | None:
        """The one that spoke first, which is the caller's from now on; None if all are silent."""
        return self._spoken.popleft() if self._spoken else None

    def give_up_silent(self, since_s: float) -> bool:
        """Close the one that was silent longest, if it came by `since_s` of the loop's clock;
        answer whether."""
        oldest = self._silent.oldest()
        if oldest is None or oldest[1] > since_s:
            return False
        self._silent.discard(oldest[0])
        self._give_up(oldest[0])
        return True

    def close(self) -> None:
        """Close all of them, and tell nobody."""
        for guest in tuple(self._silent):
            self._silent.discard(guest)
            self._turn_out(guest)
        while (spoken := self.take()) is not None:
            spoken.socket.close()

    def _heard(self, guest: Guest) -> None:
        self._silent.discard(guest)
        # Or it would be told again and again.
        self._poller.remove(guest.socket.fileno())
        self._spoken.append(guest)
        self._tell_spoken()

    def _give_up(self, guest: Guest) -> None:
        self._turn_out(guest)
        self._tell_left(guest)

    def _turn_out(self, guest: Guest) -> None:
        self._poller.remove(guest.socket.fileno())
        guest.socket.close()
