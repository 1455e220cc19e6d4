"""PostgreSQL starts, syncs, takes rows, and pgbench's report is read."""

import pytest

from benchmarks.peers.peer import PeerMissing, Recipe, find, running
from benchmarks.peers.postgresql import (
    POSTGRESQL,
    PostgresqlFailed,
    insert,
    inserted,
    make_table,
    statement,
)

REPORT = """\
number of clients: 64
number of transactions actually processed: 4508
latency average = 57.170 ms
tps = 1119.474612 (without initial connection time)
"""


def _program() -> str:
    recipe = POSTGRESQL
    try:
        return find(Recipe(recipe.name, recipe.program, None, None, recipe.prepare))
    except PeerMissing as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_it_takes_rows_and_tells_what_they_cost() -> None:
    program = _program()
    with running(POSTGRESQL) as peer:
        make_table(peer, program)
        done = insert(peer, program, connections=4, batch=10, seconds=1, payload_bytes=200)
        assert done.rows >= 10
        assert done.rows_per_s > 0
        assert done.server_cpu_s > 0, "also of the processes that have ended"
    assert not peer.place.folder.exists()


def test_a_batch_is_one_statement() -> None:
    script = statement(3)
    assert script.count("INSERT") == 1
    assert script.count(":payload") == 3
    assert "(:c2, :payload);" in script


def test_its_report_counts_rows() -> None:
    done = inserted(REPORT, 100, 0.1, 2.0)
    assert (done.rows, done.mean_ms, done.load_cpu_share) == (450_800, 57.17, 0.1)
    assert done.rows_per_s == pytest.approx(111_947.4612)


def test_what_is_no_report_is_shown() -> None:
    with pytest.raises(PostgresqlFailed, match="no such table"):
        inserted("no such table", 1, 0.0, 0.0)
