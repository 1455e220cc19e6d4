"""For tests of apps and backends: the real server, in the test's own process."""

from mobilesync.testing.local_server import LocalServer

__all__ = ["LocalServer"]
