"""Feature flags: published once for everyone, for new and old versions, and for who joins late.

A flag change is one oplog for the target `everyone`: stored once, however many devices there are. A
device that is installed a week later gets all that are still valid. A flag that only new versions
understand is never shown to an old one.
"""

import asyncio

from mobilesync.client import Client, ReceivedOplog
from mobilesync.publishing import AsyncPublisher
from mobilesync.testing import LocalServer


class Flags:
    """An app's flags, as far as it has been told."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.values: dict[str, object] = {}
        self.changed = asyncio.Event()
        client.on("FLAGS")(self.change)

    def change(self, oplog: ReceivedOplog) -> None:
        """The newest value of a flag counts: oplogs come in the order they were published."""
        self.values.update(oplog.json())
        self.changed.set()

    async def known(self, name: str, value: object) -> None:
        """Wait until a flag has a value."""
        async with asyncio.timeout(10):
            while self.values.get(name) != value:
                await self.changed.wait()
                self.changed.clear()


async def roll_out(publisher: AsyncPublisher) -> None:
    """What the backend publishes over a week."""
    await publisher.publish("FLAGS", "everyone", {"dark-mode": False, "checkout": "v1"})
    await publisher.publish("FLAGS", "everyone", {"checkout": "v2"}, app_version_min="2.0")
    await publisher.publish("FLAGS", "everyone", {"dark-mode": True})


async def main() -> dict[str, dict[str, object]]:
    """Flags of a new app, an old app, and one that is installed after all is published."""
    async with LocalServer() as server, server.publisher() as publisher:
        new = Flags(server.client("ada", "phone", app_version="2.1"))
        old = Flags(server.client("bob", "phone-of-bob", app_version="1.10"))
        async with new.client, old.client:
            await new.client.connected(10)
            await roll_out(publisher)
            await new.known("dark-mode", True)
            await old.known("dark-mode", True)
        late = Flags(server.client("eve", "phone-of-eve", app_version="2.1"))
        async with late.client:
            await late.known("dark-mode", True)
        return {"new": new.values, "old": old.values, "late": late.values}


if __name__ == "__main__":
    for app, flags in asyncio.run(main()).items():
        print(f"{app:>5}: {flags}")
