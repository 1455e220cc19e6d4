"""Chat: what one user writes reaches every device of the other, in order, and the writer's own.

The backend is the only one who publishes: it checks who may write to whom, then publishes the line
to both users. Phones only listen.
"""

import asyncio
import json

from mobilesync.client import Client, ReceivedOplog
from mobilesync.publishing import AsyncPublisher, Publication
from mobilesync.testing import LocalServer


class ChatBackend:
    """What the business server does when somebody has written something."""

    def __init__(self, publisher: AsyncPublisher) -> None:
        self._publisher = publisher
        self._lines = 0

    async def say(self, writer: str, reader: str, text: str) -> None:
        """Deliver a line to both. Durable when it returns: all or nothing."""
        self._lines += 1
        payload = json.dumps({"from": writer, "to": reader, "text": text})
        await self._publisher.publish_batch(
            [
                Publication("CHAT", f"user:{user}", payload, message_id=f"line-{self._lines}")
                for user in (writer, reader)
            ]
        )


class Phone:
    """What the app does: show lines as they come."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.shown: list[str] = []
        self.changed = asyncio.Event()
        client.on("CHAT")(self.show)

    async def show(self, oplog: ReceivedOplog) -> None:
        """One line, in the order in which it was written."""
        line = oplog.json()
        self.shown.append(f"{line['from']}: {line['text']}")
        print(f"{self.name:>12} | {self.shown[-1]}")
        self.changed.set()

    async def has_shown(self, count: int) -> None:
        """Wait until `count` lines are on the screen."""
        async with asyncio.timeout(10):
            while len(self.shown) < count:
                await self.changed.wait()
                self.changed.clear()


async def main() -> dict[str, list[str]]:
    """Ada has a phone and a tablet, Bob has a phone; what each screen shows."""
    async with LocalServer() as server, server.publisher() as publisher:
        backend = ChatBackend(publisher)
        names = (("ada", "phone"), ("ada", "tablet"), ("bob", "mobile"))
        phones = [
            Phone(server.client(user, device), f"{user}'s {device}") for user, device in names
        ]
        async with phones[0].client, phones[1].client, phones[2].client:
            await backend.say("ada", "bob", "Lunch?")
            await backend.say("bob", "ada", "At noon, the usual place.")
            await backend.say("ada", "bob", "See you there!")
            for phone in phones:
                await phone.has_shown(3)
        return {phone.name: phone.shown for phone in phones}


if __name__ == "__main__":
    asyncio.run(main())
