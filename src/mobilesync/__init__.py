"""Mobilesync: an open, self-hosted mobile sync service.

A business server publishes a change; it is stored durably as an oplog and pushed, in order, to
every app that should have it. Start at `mobilesync.client` (in an app), `mobilesync.publishing`
(in a business server) or the command `mobilesync` (the service itself).

Not here: any code. Every part of the package may import this module, so it imports none of them.
"""

__version__ = "0.1.0"
