"""Keys are read in one way only, and sort as they are read."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mobilesync.domain.channel import Channel
from mobilesync.storage.embedded import keys

NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6)
CHANNELS = st.builds(Channel, NAMES, NAMES, NAMES)
IDS = st.integers(0, 2**53)
ERAS = st.integers(0, 1000)
STEPS = st.builds(keys.Step, ERAS, ERAS, IDS, IDS, IDS)


@given(CHANNELS, CHANNELS)
def test_a_channel_is_read_back_and_begins_no_other(one: Channel, other: Channel) -> None:
    prefix = keys.channel_prefix(one)
    assert keys.channel_of(prefix + b"anything\0") == one
    if one != other:
        assert not keys.channel_prefix(other).startswith(prefix)


@given(CHANNELS, NAMES, NAMES)
def test_the_target_of_a_channel_is_its_prefix_and_no_others(
    channel: Channel, app: str, target: str
) -> None:
    prefix = keys.target_prefix(app, target)
    begins = keys.channel_prefix(channel).startswith(prefix)
    assert begins == ((channel.app, channel.target) == (app, target))


@given(CHANNELS, CHANNELS, IDS, IDS, st.binary(max_size=4))
def test_what_begins_with_a_prefix_is_before_its_end(
    one: Channel, other: Channel, oplog_id: int, other_id: int, rest: bytes
) -> None:
    prefix = keys.channel_prefix(one)
    assert prefix <= prefix + rest < keys.after_prefix(prefix)
    key, other_key = (
        keys.channel_prefix(channel) + keys.id_bytes(number)
        for channel, number in ((one, oplog_id), (other, other_id))
    )
    assert (prefix <= other_key < keys.after_prefix(prefix)) == (one == other)
    if one == other:
        assert (key < other_key) == (oplog_id < other_id)
    assert keys.id_of(key) == oplog_id


@given(NAMES, NAMES, CHANNELS)
def test_points_are_read_back_and_stay_with_their_device(
    device: str, other: str, channel: Channel
) -> None:
    key = keys.point_key(channel.app, device, channel)
    assert keys.point_channel(channel.app, key) == channel
    assert key.startswith(keys.device_prefix(channel.app, other)) == (device == other)


@given(CHANNELS, NAMES, NAMES, STEPS, STEPS)
def test_steps_sort_by_their_order_and_stay_with_their_device(
    channel: Channel, device: str, other: str, one: keys.Step, two: keys.Step
) -> None:
    prefix = keys.journal_prefix(channel, device)
    assert keys.step_of(keys.step_key(prefix, one)) == one
    assert (keys.step_key(prefix, one) < keys.step_key(prefix, two)) == (one < two)
    foreign = keys.step_key(keys.journal_prefix(channel, other), two)
    assert (prefix <= foreign < keys.after_prefix(prefix)) == (device == other)


@given(CHANNELS, NAMES, NAMES, IDS, IDS)
def test_coalescing_keys_sort_by_id_and_stay_apart(
    channel: Channel, one: str, other: str, low: int, high: int
) -> None:
    prefix = keys.coalescing_prefix(channel, one)
    key = prefix + keys.id_bytes(low)
    assert keys.channel_of(key) == channel
    assert (key < prefix + keys.id_bytes(high)) == (low < high)
    # Exactly those of one key are between its first and its last possible one.
    foreign = keys.coalescing_prefix(channel, other) + keys.id_bytes(high)
    first, last = prefix + keys.id_bytes(0), prefix + keys.id_bytes(2**53)
    assert (first <= foreign <= last) == (one == other)


def test_a_coalescing_key_with_an_end_inside_is_a_mistake() -> None:
    with pytest.raises(AssertionError):
        keys.coalescing_prefix(Channel("a", "B", "everyone"), "k\0")


@pytest.mark.parametrize(
    "received, sent, after, is_about",
    [(3, 0, 3, False), (3, 0, 2, True), (0, 9, 8, True), (0, 9, 9, False), (0, 0, -1, True)],
)
def test_a_step_is_about_what_it_received_or_sent(
    received: int, sent: int, after: int, is_about: bool
) -> None:
    assert keys.Step(0, 0, received, 0, sent).is_about(after) is is_about


@given(NAMES, NAMES, st.text(st.characters(exclude_categories=["Cs"])))
def test_documents_stay_with_their_kind(kind: str, other: str, key: str) -> None:
    place = keys.document_key(kind, key)
    assert place[len(keys.kind_prefix(kind)) :].decode() == key
    assert place.startswith(keys.kind_prefix(other)) == (kind == other)
