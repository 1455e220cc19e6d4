"""The simulator from the command line."""

from collections.abc import Iterator

import pytest

from mobilesync.cli import sim
from mobilesync.sim.checkers.finding import Finding
from mobilesync.sim.run import Report
from tests.cli.conftest import Cli


def test_seeds_that_pass(cli: Cli) -> None:
    ended = cli("sim", "--seed", "1", "--seeds", "2", "--jobs", "1")
    assert ended.code == 0
    assert ended.out == "2 seeds, 0 broke a guarantee.\n"


def test_for_a_script_and_again_the_same(cli: Cli) -> None:
    first, second = (cli("sim", "--seed", "7", "--json").lines() for _ in range(2))
    assert first == second
    assert (first[0]["seed"], first[0]["passed"], first[0]["findings"]) == (7, True, [])


def _broken(*arguments: object) -> Iterator[Report]:
    finding = Finding("G2", 1234, "a handler saw #2 before #1")
    yield Report(5, (finding,), "hash", ("something [odd] happened",), 10, 1.0, 3, ("cut",))


def test_a_broken_guarantee_is_told_with_how_to_replay_it(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim, "run_seeds", _broken)
    ended = cli("sim", "--seed", "5")
    assert ended.code == 1
    assert "Seed 5: replay with mobilesync sim --seed 5\n" in ended.out
    assert "G2 at 1234 ms: a handler saw #2 before #1" in ended.out
    assert "something [odd] happened" in ended.out
    (line,) = cli("sim", "--seed", "5", "--json").lines()
    assert line["findings"][0]["guarantee"] == "G2"


def test_the_trace(cli: Cli) -> None:
    assert len(cli("sim", "--seed", "1", "--trace").out.splitlines()) > 50


@pytest.mark.parametrize("arguments", [("--seeds", "0"), ("--seed", "-1"), ("--plant", "none")])
def test_mistakes(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli("sim", *arguments).code == 2
