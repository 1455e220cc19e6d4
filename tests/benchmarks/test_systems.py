"""Every system is in the table once, and the works name systems of the table."""

from benchmarks import systems
from benchmarks.ratios import DURABLE_PEERS, FLOOR, MOSQUITTO, OURS, POSTGRESQL


def test_names_are_those_that_the_ratios_know() -> None:
    names = [system.name for system in systems.ALL]
    assert len(set(names)) == len(names)
    assert {OURS, FLOOR, MOSQUITTO, POSTGRESQL, *DURABLE_PEERS} <= set(names)
    assert all(system.recipe for system in systems.ALL if system is not systems.OURS)


def test_every_peer_that_syncs_first_says_so() -> None:
    for system in systems.ALL:
        if system.name in DURABLE_PEERS:
            assert system.answers.startswith("synced")


def test_the_bars_are_about_all_that_sync_first_mosquitto_and_the_floor() -> None:
    judged = {system.name for system in systems.UNICAST_JUDGED}
    assert judged == {OURS, FLOOR, MOSQUITTO, *DURABLE_PEERS}


def test_works_are_done_by_ours_and_others_of_the_table() -> None:
    for group in (
        systems.UNICAST,
        systems.UNICAST_JUDGED,
        systems.BROADCAST,
        systems.STORM,
        systems.IDLE,
        systems.PUBLISH,
    ):
        assert group[0] is systems.OURS
        assert set(group) <= set(systems.ALL)


def test_titles() -> None:
    assert systems.titled("redis") == "Redis Streams, AOF always"
    assert systems.titled("else") == "else"
