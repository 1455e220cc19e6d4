"""The documents of a scheduled oplog: nothing of it is lost, and their keys are in its order."""

from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.channel import Channel
from mobilesync.domain.conditions import Conditions, Rollout
from mobilesync.domain.oplog import Details, Draft, Origin
from mobilesync.engine.scheduled import (
    BY_ID,
    BY_PLACE,
    END,
    Place,
    Scheduled,
    deletions_of,
    documents_of,
    id_key,
    place_key,
    read_id,
    read_item,
)
from mobilesync.protocol.limits import ID_MAX

PLACES = st.builds(Place, st.integers(0, ID_MAX - 1), st.integers(0, ID_MAX - 1))
FULL = Draft(
    Channel("demo", "CHAT", "user:a/b"),
    b"\x00\xff",
    "m/1",
    1_000,
    2_000,
    False,
    Conditions(("ios",), "1.0", "2.0", ("a/b",), 1, 9, (("x", ("y",)),), Rollout(5.5, "s"), "d"),
    Details("key", "hook", Origin("everyone", 3)),
)


def test_all_of_an_item_comes_back() -> None:
    item, place = Scheduled(1_000, FULL), Place(1_000, 5)
    by_place, by_id = documents_of(item, place)
    assert (by_place.kind, by_id.kind) == (BY_PLACE, BY_ID)
    assert by_place.value is not None
    assert by_id.value is not None
    assert read_item(by_place.key, by_place.value) == (place, item)
    assert read_id(by_id.key, by_id.value) == ("demo", "CHAT", place)
    assert by_id.key == id_key(FULL.channel, "m/1")


def test_deletions_are_of_the_same_documents() -> None:
    item, place = Scheduled(1_000, FULL), Place(1_000, 5)
    kept, gone = documents_of(item, place), deletions_of(item, place)
    assert [(each.kind, each.key) for each in kept] == [(each.kind, each.key) for each in gone]
    assert all(each.value is None for each in gone)


@given(PLACES, PLACES)
def test_keys_are_in_the_order_of_their_places(one: Place, other: Place) -> None:
    keys = place_key("a", "B", one), place_key("a", "B", other)
    assert (keys[0] < keys[1]) == (one < other)
    assert max(keys) < place_key("a", "B", END)


@given(
    st.text("a/:\u00e9", max_size=5), st.text("a/:\u00e9", max_size=5), st.text("a/", max_size=3)
)
def test_no_two_ids_share_a_key(target: str, message_id: str, more: str) -> None:
    key = id_key(Channel("a", "B", target), message_id)
    other = id_key(Channel("a", "B", target + more), message_id)
    assert (key == other) == (not more)
    assert key != id_key(Channel("a", "B", f"{target}{message_id}"), "x")
