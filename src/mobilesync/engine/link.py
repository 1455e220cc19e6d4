"""What a session needs from a transport, and nothing more."""

from typing import Protocol


class Link(Protocol):
    """One living connection to a device. The transport fits it; the engine drives it."""

    @property
    def peer(self) -> str:
        """The other end's address, for logs."""

    def write(self, data: bytes) -> None:
        """Send `data` after what was written before. Never blocks; ignored when closed."""

    def buffered_bytes(self) -> int:
        """How much of what was written the kernel has not taken yet."""

    def close(self) -> None:
        """End the connection after what was written has been sent."""

    def abort(self) -> None:
        """End the connection now."""
