"""A device of user 42 that talks to the service of the API's tests."""

import asyncio
from typing import Any, Self

from mobilesync.engine.service import Service
from mobilesync.engine.tokens import sign_token
from mobilesync.protocol import messages as m
from mobilesync.protocol.connection import Connection
from mobilesync.protocol.transitions import Role


class FakeLink:
    """Keeps what the server writes."""

    peer = "test"

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def buffered_bytes(self) -> int:
        return 0

    def close(self) -> None:
        return

    def abort(self) -> None:
        return


class Phone:
    """Welcomed by `online`."""

    def __init__(self, service: Service, device: str) -> None:
        self.device = device
        self._link = FakeLink()
        self._connection = Connection(Role.CLIENT)
        self._session = service.sessions.connected(self._link)
        self._service = service

    @classmethod
    async def online(cls, service: Service, device: str, user: str = "42", **said: Any) -> Self:
        """Log in; `said` are members of Hello."""
        phone = cls(service, device)
        now_ms = service.clock.wall_ms()
        token = sign_token(
            b"s" * 32,
            app="demo",
            user=user,
            device=device,
            issued_at_ms=now_ms,
            expires_at_ms=now_ms + 60_000,
        )
        hello = m.Hello(
            1, 1, token, device, user, [], **({"os": "ios", "app_version": "2.1"} | said)
        )
        phone._session.received(phone._connection.send(hello))
        (welcome,) = await phone.heard()
        assert isinstance(welcome, m.Welcome)
        return phone

    async def heard(self) -> list[m.Message]:
        """What the server says next."""
        async with asyncio.timeout(10):
            while not self._link.written:
                await asyncio.sleep(0)
        return self.hear()

    def hear(self) -> list[m.Message]:
        """What it has said by now."""
        data, self._link.written = self._link.written, b""
        return list(self._connection.receive_data(data))

    async def takes(self, biz: str, target: str, upto: int) -> None:
        """Wait for the pushes up to `upto`, and ack them."""
        told = 0
        while told < upto:
            pushes = [said for said in await self.heard() if isinstance(said, m.Push)]
            told = max([told, *(push.upto for push in pushes)])
        self.ack(biz, target, told, told)

    def ack(self, biz: str, target: str, received: int, processed: int, waits: int = 0) -> None:
        acked = m.Acked(biz, target, received, processed, waits)
        self._session.received(self._connection.send(m.Ack([acked])))

    def hang_up(self) -> None:
        self._session.lost()
