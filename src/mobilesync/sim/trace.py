"""What happened in a run, line by line, and a hash that says whether two runs were the same.

Strategy: every line goes into the hash; only the last ones are kept, for the person who looks at
a failing seed. A line is made of values whose text is the same in every process (no object ids,
no hash order).
"""

import hashlib
from collections import deque

TAIL_LINES_MAX = 400


class Trace:
    """The lines of one run."""

    def __init__(self, *, lines_max: int = TAIL_LINES_MAX) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._tail: deque[str] = deque(maxlen=lines_max)
        self.count = 0

    def add(self, at_s: float, who: str, what: str) -> None:
        """Note that `who` did `what` at `at_s` of virtual time."""
        line = f"{at_s:12.6f} {who:<16} {what}"
        self._hash.update(line.encode("utf-8", "backslashreplace"))
        self._hash.update(b"\n")
        self._tail.append(line)
        self.count += 1

    def hash(self) -> str:
        """The same for two runs that did the same."""
        return self._hash.hexdigest()

    def tail(self) -> list[str]:
        """The last lines, oldest first."""
        return list(self._tail)
