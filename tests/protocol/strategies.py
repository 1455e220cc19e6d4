"""Hypothesis: any message that the protocol allows, up to its bounds."""

from typing import get_args

import msgspec
import msgspec.inspect as mi
from hypothesis import strategies as st

from mobilesync.protocol import limits
from mobilesync.protocol import messages as m
from mobilesync.protocol.transitions import TRANSITIONS, Role

# Few elements: that long lists have a bound is shown by the vectors and by test_rules.
LIST_MAX = 4
TEXT = st.characters(exclude_categories=["Cs"])


def values(kind: mi.Type) -> st.SearchStrategy[object]:
    """Any value of a field's type."""
    match kind:
        case mi.IntType(ge=low, le=high):
            assert low is not None
            assert high is not None
            return st.integers(int(low), int(high)) | st.sampled_from([int(low), int(high)])
        case mi.StrType(min_length=low, max_length=high):
            return st.text(TEXT, min_size=low or 0, max_size=high)
        case mi.BytesType():
            return st.binary(max_size=300)
        case mi.BoolType():
            return st.booleans()
        case mi.ListType(item_type=item, min_length=low):
            return st.lists(values(item), min_size=low or 0, max_size=LIST_MAX)
        case mi.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=LIST_MAX)
        case mi.UnionType(types=(present, mi.NoneType())):
            return st.none() | values(present)
        case mi.StructType(cls=m.Withdrawal):
            return withdrawals()
        case mi.StructType(cls=cls):
            return structs(cls)
    raise TypeError(kind)


def structs(kind: type) -> st.SearchStrategy[object]:
    """Any value of a structure, whatever its fields say about each other."""
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    return st.builds(kind, **{field.name: values(field.type) for field in info.fields})


@st.composite
def withdrawals(draw: st.DrawFn) -> m.Withdrawal:
    """A withdrawal whose ranges ascend and do not overlap."""
    bounds = draw(
        st.lists(st.integers(1, limits.ID_MAX), min_size=2, max_size=2 * LIST_MAX, unique=True)
    )
    bounds.sort()
    # An odd one out is a range of a single id.
    ranges = [
        m.IdRange(first, last) for first, last in zip(bounds[::2], bounds[1::2], strict=False)
    ]
    if len(bounds) % 2:
        ranges.append(m.IdRange(bounds[-1], bounds[-1]))
    return m.Withdrawal(ranges, draw(st.integers(0, 255)))


@st.composite
def points(draw: st.DrawFn) -> list[m.SyncPoint]:
    """Sync points of different channels."""
    found: dict[tuple[str, str], m.SyncPoint] = {}
    for each in draw(st.lists(structs(m.SyncPoint), max_size=LIST_MAX)):
        assert isinstance(each, m.SyncPoint)
        received, processed = sorted((each.processed, each.received), reverse=True)
        found[each.biz, each.target] = m.SyncPoint(
            each.biz, each.target, each.epoch, received, processed
        )
    return list(found.values())


@st.composite
def pushes(draw: st.DrawFn) -> m.Push:
    """A Push whose ids ascend between `after` and `upto`."""
    push = draw(structs(m.Push))
    assert isinstance(push, m.Push)
    after, upto = sorted((push.after, push.upto))
    ids = draw(st.lists(st.integers(after + 1, max(upto, after + 1)), unique=True, max_size=4))
    oplogs = [
        msgspec.structs.replace(oplog, id=each)
        for each, oplog in zip(sorted(ids), push.oplogs, strict=False)
        if each <= upto
    ]
    return m.Push(push.biz, push.target, after, upto, oplogs)


@st.composite
def welcomes(draw: st.DrawFn) -> m.Welcome:
    """A Welcome whose Resets are its own."""
    welcome = draw(structs(m.Welcome))
    assert isinstance(welcome, m.Welcome)
    resets = {
        (each.biz, each.target): m.Reset(
            each.biz, each.target, welcome.epoch, each.floor, each.reason
        )
        for each in welcome.resets
    }
    beat_min_s, beat_max_s = sorted((max(1, welcome.beat_min_s), max(1, welcome.beat_max_s)))
    return m.Welcome(
        welcome.version,
        welcome.epoch,
        welcome.session,
        welcome.user,
        welcome.server_time_ms,
        beat_min_s,
        beat_max_s,
        list(resets.values()),
    )


@st.composite
def acks(draw: st.DrawFn) -> m.Ack:
    """An Ack that has processed no more than it received."""
    found = draw(st.lists(structs(m.Acked), min_size=1, max_size=LIST_MAX))
    assert all(isinstance(each, m.Acked) for each in found)
    return m.Ack([_possible(each) for each in found if isinstance(each, m.Acked)])


def _possible(acked: m.Acked) -> m.Acked:
    processed, received = sorted((acked.received, acked.processed))
    return msgspec.structs.replace(acked, received=received, processed=processed)


@st.composite
def listing(draw: st.DrawFn, kind: type[m.Hello] | type[m.Bind]) -> m.Hello | m.Bind:
    """A Hello or Bind with sync points of different channels."""
    drawn = draw(structs(kind))
    assert isinstance(drawn, m.Hello | m.Bind)
    fields = {name: getattr(drawn, name) for name in drawn.__struct_fields__}
    return kind(**(fields | {"points": draw(points())}))


_SPECIAL: dict[type, st.SearchStrategy[m.Message]] = {
    m.Hello: listing(m.Hello),
    m.Bind: listing(m.Bind),
    m.Ack: acks(),
    m.Push: pushes(),
    m.Welcome: welcomes(),
}


def of_kind(kind: type) -> st.SearchStrategy[m.Message]:
    """Any message of one type."""
    plain: st.SearchStrategy[m.Message] = structs(kind)  # type: ignore[assignment]  # it is one
    return _SPECIAL.get(kind, plain)


def messages() -> st.SearchStrategy[m.Message]:
    """Any message of any type."""
    return st.one_of(*(of_kind(kind) for kind in get_args(m.Message)))


def from_role(role: Role) -> st.SearchStrategy[m.Message]:
    """Any message that `role` may ever send."""
    kinds = {kind for steps in TRANSITIONS.values() for sender, kind in steps if sender is role}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    return st.one_of(*(of_kind(kind) for kind in ordered))
