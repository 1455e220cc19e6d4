"""What the SDK needs of a connection: five verbs that TLS, a test or the simulator can offer."""

from typing import Protocol


class Stream(Protocol):
    """A connected, secured byte stream."""

    async def read(self) -> bytes:
        """Some bytes as soon as there are any; b"" at the end. Raises OSError when it is lost."""

    def write(self, data: bytes) -> None:
        """Send `data` in time. Never blocks; raises OSError or nothing when the link is lost."""

    async def drain(self) -> None:
        """Return once the write buffer is low. Raises OSError when the link is lost."""

    def close(self) -> None:
        """End it after what was written. Idempotent."""

    def abort(self) -> None:
        """End it now: a read that waits returns b"" or raises OSError. Idempotent."""
