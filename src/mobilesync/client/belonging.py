"""Whose a session is, while users come and go on a living connection (spec §6.4).

Strategy: one request (Hello, Bind or Unbind) is in flight at a time; the last wish wins and is
asked for when the answer to the one before has come. Until the answer, what is for a user may be
for the old one or the new one, so it is neither taken nor told.

Not here: sending and receiving (session.py).
"""

from mobilesync.protocol.codes import CloseCode
from mobilesync.protocol.errors import ProtocolFault

_USER = "user:"
_EVERYONE = "everyone"


def targets_of(user: str, device: str) -> frozenset[str]:
    """The targets that `device` is part of while `user` (empty for nobody) is logged in."""
    targets = {f"device:{device}", _EVERYONE}
    return frozenset({_USER + user, *targets} if user else targets)


class Belonging:
    """Begins with Hello in flight."""

    def __init__(self, device: str, user: str, token: str) -> None:
        self._device = device
        self._wish = (user, token)
        self.user = user
        self.token = token
        """The last token shown to the server."""
        self.targets = targets_of(user, device)
        self.in_flight = True

    def wish(self, user: str, token: str) -> None:
        """The device is to belong to `user`."""
        self._wish = (user, token)

    def due(self) -> bool:
        """Whether a Bind or Unbind is to be sent now."""
        return not self.in_flight and self._wish != (self.user, self.token)

    def ask(self) -> None:
        """It is being sent."""
        assert self.due()
        self.user, self.token = self._wish
        self.targets = targets_of(self.user, self._device)
        self.in_flight = True

    def check(self, user: str) -> None:
        """A Welcome for `user` has come. Raises ProtocolFault when it answers nothing."""
        if not self.in_flight:
            raise ProtocolFault(CloseCode.UNEXPECTED_MESSAGE, "a Welcome that nobody asked for")
        if user != self.user:
            raise ProtocolFault(CloseCode.UNEXPECTED_MESSAGE, "a Welcome for another user")

    def answered(self) -> None:
        """What the Welcome said is done: from here on the user's targets count."""
        assert self.in_flight
        self.in_flight = False

    def takes(self, target: str) -> bool:
        """Whether what comes for `target` is to be taken, or dropped.

        Raises ProtocolFault for a target that never was this session's.
        """
        if self.in_flight and target.startswith(_USER):
            return False
        if target in self.targets:
            return True
        raise ProtocolFault(CloseCode.INVALID_FIELD, "a target that is not this device's")

    def tells(self, target: str) -> bool:
        """Whether the server is to hear of `target` now."""
        return target in self.targets and not (self.in_flight and target.startswith(_USER))
