"""What the engine asks of a link is what transports and tests offer."""

from mobilesync.engine.link import Link
from tests.engine.link import MemoryLink
from tests.engine.world import settle, simulated


@simulated
async def test_a_link_sends_in_order_and_ends_after_what_was_written() -> None:
    link = MemoryLink()
    fitted: Link = link
    taken: list[bytes] = []
    lost: list[bool] = []
    link.deliver = taken.append
    link.on_lost = lambda: lost.append(True)
    link.hold()
    fitted.write(b"1")
    fitted.write(b"2")
    fitted.close()
    fitted.write(b"too late")
    await settle()
    assert (taken, lost, fitted.buffered_bytes()) == ([], [], 2)
    link.release()
    await settle()
    assert (b"".join(taken), lost, fitted.buffered_bytes()) == (b"12", [True], 0)


@simulated
async def test_abort_drops_what_was_not_sent() -> None:
    link = MemoryLink()
    taken: list[bytes] = []
    link.deliver = taken.append
    link.hold()
    link.write(b"1")
    link.abort()
    link.release()
    await settle()
    assert taken == []
    assert link.is_lost
