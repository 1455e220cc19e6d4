"""Payment results: the phone is offline when the money moves, and still learns it exactly once.

Two things make it exactly once. The backend names each result (`message_id`), so that publishing
again after a timeout stores nothing twice. The app books the result inside the transaction that the
SDK offers, so that a crash at any moment leaves it booked and done, or neither.
"""

import asyncio
import sqlite3
from pathlib import Path

from mobilesync.client import ReceivedOplog, Transaction
from mobilesync.testing import LocalServer

BOOKS = "CREATE TABLE IF NOT EXISTS receipts (payment TEXT PRIMARY KEY, cents INTEGER NOT NULL)"


async def phone_is_on(server: LocalServer, receipts: int) -> None:
    """The app runs until it has booked `receipts` in all."""
    client = server.client("ada", "phone")
    booked = asyncio.Event()

    @client.on("PAYMENT", transactional=True)
    def book(oplog: ReceivedOplog, transaction: Transaction) -> None:
        result = oplog.json()
        transaction.execute(BOOKS)
        # A plain INSERT: a second call with the same payment would fail, and be seen.
        values = (result["payment"], result["cents"])
        transaction.execute("INSERT INTO receipts VALUES (?, ?)", values)
        if transaction.execute("SELECT count(*) FROM receipts").fetchone()[0] == receipts:
            booked.set()

    async with client, asyncio.timeout(10):
        await booked.wait()


async def main() -> list[tuple[str, int]]:
    """One payment while the phone is on, two while it is off; what the phone's books say."""
    async with LocalServer() as server, server.publisher() as publisher:

        async def paid(payment: str, cents: int) -> bool:
            result = {"payment": payment, "cents": cents, "state": "paid"}
            answer = await publisher.publish("PAYMENT", "user:ada", result, message_id=payment)
            return answer.duplicate

        await paid("p-1", 1250)
        await phone_is_on(server, receipts=1)

        print("the phone is off")
        await paid("p-2", 399)
        await paid("p-3", 89_00)
        # The backend timed out and does not know whether p-3 was stored: it simply asks again.
        assert await paid("p-3", 89_00), "the second publish of p-3 is answered as a duplicate"

        print("the phone is on again")
        await phone_is_on(server, receipts=3)
        return read_books(server.folder / "device-phone.db")


def read_books(path: Path) -> list[tuple[str, int]]:
    """What the phone has booked, in its own local store."""
    books = sqlite3.connect(path)
    rows: list[tuple[str, int]] = books.execute("SELECT * FROM receipts ORDER BY rowid").fetchall()
    books.close()
    return rows


if __name__ == "__main__":
    for payment, cents in asyncio.run(main()):
        print(f"{payment}: {cents / 100:.2f}")
