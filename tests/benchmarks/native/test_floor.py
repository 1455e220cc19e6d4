"""The floor really does the least that it claims: on disk before the answer, ids in order, acks."""

import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.peers.floor import FLOOR
from benchmarks.peers.peer import PeerMissing, Running, running

OPLOG, ACK = 1, 2
EVERYONE = 0xFFFFFFFF
_HEAD = struct.Struct(">BIQI")
_ITEM = struct.Struct(">IH")


@pytest.fixture
def floor() -> Iterator[Running]:
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        pytest.skip("there is no C compiler")
    try:
        with running(FLOOR) as server:
            yield server
    except PeerMissing as missing:
        pytest.skip(str(missing))


def _logged(folder: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, device, id and payload of each entry."""
    log = (folder / "log").read_bytes()
    at = 0
    while at < len(log):
        kind, device, oplog_id, size = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        payload = log[at : at + size] if kind == OPLOG else b""
        at += len(payload)
        yield kind, device, oplog_id, payload


def _request(*items: tuple[int, bytes]) -> bytes:
    body = b"".join(_ITEM.pack(device, len(payload)) + payload for device, payload in items)
    return struct.pack(">I", len(body)) + body


def test_what_is_answered_is_in_the_log(floor: Running) -> None:
    address = ("127.0.0.1", floor.place.publish_port)
    with socket.create_connection(address, timeout=5) as line:
        line.sendall(_request((5, b"a"), (6, b"b"), (5, b"c")) + _request((EVERYONE, b"all")))
        answers = b""
        while len(answers) < 8:
            answers += line.recv(8)
    assert struct.unpack(">II", answers) == (3, 1)
    assert list(_logged(floor.place.folder)) == [
        (OPLOG, 5, 1, b"a"),
        (OPLOG, 6, 1, b"b"),
        (OPLOG, 5, 2, b"c"),
        (OPLOG, EVERYONE, 1, b"all"),
    ]


def test_a_request_that_contradicts_itself_ends_its_line(floor: Running) -> None:
    address = ("127.0.0.1", floor.place.publish_port)
    with socket.create_connection(address, timeout=5) as line:
        line.sendall(struct.pack(">I", 7) + _ITEM.pack(5, 100) + b"a")
        assert line.recv(8) == b""


def test_ids_ascend_and_acks_are_saved(floor: Running) -> None:
    report = Load.against(floor, devices=20, seconds=0.5, warm_seconds=0, rate=2000, ack_ms=20).run(
        30
    )
    assert (report.lost, report.out_of_order, report.repeated) == (0, 0, 0)
    last_ids: dict[int, int] = {}
    acked: dict[int, int] = {}
    for kind, device, oplog_id, _ in _logged(floor.place.folder):
        if kind == OPLOG:
            assert oplog_id == last_ids.get(device, 0) + 1
            last_ids[device] = oplog_id
        else:
            assert acked.get(device, 0) <= oplog_id <= last_ids[device]
            acked[device] = oplog_id
    assert sum(last_ids.values()) == report.published == 1000
    assert acked == last_ids
