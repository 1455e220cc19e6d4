"""Who waits at the native door: bounded, in turn, and never at the cost of who is honest."""

import asyncio
from contextlib import suppress

import pytest

from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.device_link import DeviceLink
from tests.transports.door import (
    FIRST_BYTE,
    SOON_S,
    client_hello,
    on_both_loops,
    open_door,
    until,
)


@on_both_loops
async def test_a_silent_client_is_cut_in_time(files: CertificateFiles) -> None:
    async with open_door(files, handshake_timeout_s=0.1) as door:
        phones = [await door.plain() for _ in range(5)]
        for phone in phones:
            assert await phone.ended() == b""
            await phone.close()
        await until(lambda: door.metrics.connections_failed == 5)


@on_both_loops
async def test_a_hello_byte_by_byte_is_cut_in_time(files: CertificateFiles) -> None:
    async with open_door(files, handshake_timeout_s=0.2) as door:
        phone = await door.plain()

        async def dribble() -> None:
            with suppress(OSError):
                for byte in client_hello(0x0303) * 100:
                    phone.writer.write(bytes([byte]))
                    await phone.writer.drain()
                    await asyncio.sleep(0.01)

        dribbling = asyncio.ensure_future(dribble())
        await phone.ended()
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
        await phone.close()
        await until(lambda: door.metrics.connections_failed == 1)


@on_both_loops
async def test_handshakes_are_bounded_and_the_rest_waits(files: CertificateFiles) -> None:
    async with open_door(files, handshakes_max=2, handshake_fair_s=5.0) as door:
        silent = [await door.plain(FIRST_BYTE) for _ in range(2)]
        await until(lambda: len(door.gateway.handshakes) == 2)
        waiting = [asyncio.ensure_future(door.device(f"d{number}")) for number in range(4)]
        await asyncio.wait(waiting, timeout=0.2)
        assert len(door.gateway.handshakes) == 2
        assert len(door.sessions) == 0
        for phone in silent:
            await phone.close()
        for phone in await asyncio.gather(*waiting):
            await phone.close()
        assert door.metrics.connections_failed == 2


@on_both_loops
async def test_who_says_nothing_takes_no_handshakes_place(files: CertificateFiles) -> None:
    async with open_door(files, handshakes_max=1, handshake_fair_s=SOON_S) as door:
        silent = [await door.plain() for _ in range(20)]
        phone = await asyncio.wait_for(door.device("d1"), 5)
        assert len(door.gateway.lobby) == 20
        assert not door.gateway.handshakes
        for each in (*silent, phone):
            await each.close()
        await until(lambda: not len(door.gateway.lobby))


@on_both_loops
async def test_guests_are_bounded_and_the_silent_make_room(files: CertificateFiles) -> None:
    async with open_door(files, guests_max=3, handshake_fair_s=0.2) as door:
        silent = [await door.plain() for _ in range(8)]
        await until(lambda: len(door.gateway.lobby) == 3)
        await asyncio.sleep(0.05)
        assert len(door.gateway.lobby) == 3
        assert door.metrics.connections_failed == 0
        phone = await asyncio.wait_for(door.device("d1"), 5)
        assert len(door.gateway.lobby) <= 3
        assert door.metrics.connections_failed >= 5
        for each in (*silent, phone):
            await each.close()


@on_both_loops
async def test_a_storm_is_taken_from_the_kernel_at_once(files: CertificateFiles) -> None:
    async with open_door(files, handshakes_max=2, handshake_fair_s=SOON_S) as door:
        coming = [await door.plain(FIRST_BYTE) for _ in range(300)]
        await until(lambda: len(door.gateway.lobby) == 298)
        assert len(door.gateway.handshakes) == 2
        for phone in coming:
            await phone.close()
        await until(lambda: not len(door.gateway.lobby) and not door.gateway.handshakes)
        assert door.metrics.connections_failed == 300


@on_both_loops
async def test_the_silent_cannot_keep_a_device_out(files: CertificateFiles) -> None:
    async with open_door(files, handshakes_max=2, handshake_fair_s=0.1) as door:
        silent = [await door.plain(FIRST_BYTE) for _ in range(6)]
        phone = await asyncio.wait_for(door.device("d1"), 5)
        assert len(door.gateway.handshakes) <= 2
        for each in (*silent, phone):
            await each.close()


@on_both_loops
async def test_a_handshake_that_waits_for_us_is_not_given_up(files: CertificateFiles) -> None:
    async with open_door(files, handshakes_max=2, handshake_fair_s=0.05) as door:
        with pytest.MonkeyPatch.context() as patch:
            # As when this server is too busy to read what they say.
            patch.setattr(DeviceLink, "has_unread", lambda _link: True)
            held = [await door.plain(FIRST_BYTE) for _ in range(2)]
            await until(lambda: len(door.gateway.handshakes) == 2)
            waiting = asyncio.ensure_future(door.device("d1"))
            await asyncio.wait([waiting], timeout=0.4)
            assert door.metrics.connections_failed == 0
            assert len(door.gateway.handshakes) == 2
        phone = await asyncio.wait_for(waiting, 5)
        for each in (*held, phone):
            await each.close()
