"""Bounds and times of a client: who needs another value passes `ClientOptions(...)`.

Every value has a reason to be turned; what has none is a constant where it is used.
"""

from dataclasses import dataclass

from mobilesync.client.errors import InvalidOption

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientOptions:
    """Raises InvalidOption when values cannot work together."""

    inbox_count_max: int = 10_000
    """Oplogs kept but not handled; at this bound nothing more is read from the server."""
    inbox_bytes_max: int = 64 * MIB
    """The same in bytes of payloads. One read's worth may come on top."""
    concurrency_max: int = 8
    """Handlers that run at one time, each of another channel."""
    handler_timeout_s: float = 60.0
    """A handler call that takes longer is cancelled and counts as failed."""
    attempts_max: int = 6
    """Failed calls after which an oplog is parked."""
    handler_backoff_s: float = 0.5
    """The first retry comes within this time, each further one within twice the last one's."""
    handler_backoff_max_s: float = 60.0
    notices_max: int = 256
    """Notices and states that wait for their listeners; beyond it the oldest is dropped."""
    ack_delay_s: float = 0.05
    """Acks of this time travel as one."""
    connect_timeout_s: float = 20.0
    """For the connection with its handshake, and again for the server's Welcome."""
    token_timeout_s: float = 30.0
    """For the app's token callable."""
    pong_timeout_s: float = 10.0
    """A link on which nothing comes for so long after a Ping is dead."""
    reconnect_s: float = 0.5
    """The first reconnect comes within this time, each further one within twice the last one's."""
    reconnect_max_s: float = 120.0
    stable_s: float = 60.0
    """A session that lasted so long lets the next reconnect begin at `reconnect_s` again."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise InvalidOption(f"{name} must be above 0", hint="leave it out for the default")
        if self.reconnect_s > self.reconnect_max_s:
            raise InvalidOption("reconnect_s is above reconnect_max_s")
        if self.handler_backoff_s > self.handler_backoff_max_s:
            raise InvalidOption("handler_backoff_s is above handler_backoff_max_s")
        # spec §11: the server counts on acks within 100 ms.
        if self.ack_delay_s > 0.1:
            raise InvalidOption("ack_delay_s is above 0.1")
