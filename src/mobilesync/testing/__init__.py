"""For tests of apps and backends: the real server, in the test's own process.

Begin with `LocalServer`; the guide is docs/guides/testing.md.
"""

from mobilesync.testing.local_server import LocalServer

__all__ = ["LocalServer"]
