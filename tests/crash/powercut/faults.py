"""The switches of the disk: what is broken at the moment.

Strategy: plain flags that the control channel sets and the disk asks; nothing happens here.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    full: bool = False
    """Writes that would make a file larger fail with ENOSPC."""
    ioerror: bool = False
    """Syncs fail with EIO, and what they should have written is never written."""
    nosync: bool = False
    """Syncs are acknowledged and do nothing: a disk that lies."""
    cut: bool = False
    """No power: everything fails with EIO. Final."""

    def heal(self) -> None:
        """Switch everything off but the cut. What failed syncs dropped stays dropped."""
        self.full = self.ioerror = self.nosync = False
