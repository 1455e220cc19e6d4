"""JSON with two meanings is refused, and the quick proof agrees with the exact check."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.api.errors import HttpError
from mobilesync.api.strict_json import JsonBody, _colons, check_unique_keys, split_list
from mobilesync.domain.errors import InvalidRequest

TEXTS = st.text(alphabet=st.sampled_from('ab:"\\{}[],\n é\x00'), max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def keys_of(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(keys_of, value.values()))
    return sum(map(keys_of, value)) if isinstance(value, list) else 0


@given(value=VALUES, ascii_only=st.booleans())
def test_colons_outside_of_strings_count_the_keys(value: Any, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert _colons(body) == keys_of(value)
    check_unique_keys(body)
    assert JsonBody[Any](Any, keys_of).decode(body) == value


@given(pairs=st.lists(st.tuples(TEXTS, VALUES), min_size=1, max_size=4), place=st.integers(0, 3))
def test_a_double_is_found_wherever_it_is(pairs: list[tuple[str, Any]], place: int) -> None:
    pairs = [*pairs, pairs[place % len(pairs)]]
    members = ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs)
    body = f'[{{"x":{{{members}}}}}]'.encode()
    with pytest.raises(HttpError) as caught:
        JsonBody[Any](Any, keys_of).decode(body)
    assert caught.value.code == "MALFORMED_BODY"


@given(
    body=st.binary(max_size=40)
    | st.text(alphabet='{}[]":,\\u0dn1eE.-', max_size=20).map(str.encode)
)
def test_any_bytes_have_a_defined_outcome(body: bytes) -> None:
    refusal: InvalidRequest | None = None
    try:
        JsonBody[Any](dict[str, int]).decode(body)
    except InvalidRequest as error:
        refusal = error
    assert refusal is None or refusal.code in {"MALFORMED_BODY", "INVALID_REQUEST"}


@pytest.mark.parametrize(
    "body, field",
    [(b'{"a":"x"}', "[...]"), (b"[]", ""), (b"5", "")],
)
def test_a_wrong_type_names_its_place(body: bytes, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        JsonBody[Any](dict[str, int]).decode(body)
    assert caught.value.field == field
    assert "`$" not in caught.value.message


@pytest.mark.parametrize("depth", [5_000, 200_000])
def test_deep_nesting(depth: int) -> None:
    for body in (b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        with pytest.raises(HttpError):
            JsonBody[Any](Any).decode(body)
        with pytest.raises(HttpError):
            check_unique_keys(body)


@given(values=st.lists(VALUES, max_size=5), indent=st.sampled_from([None, 1]), ascii_only=...)
def test_a_list_is_split_into_its_elements(
    values: list[Any], indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps(values, ensure_ascii=ascii_only, indent=indent).encode()
    items = split_list(b" " + body + b"\n", 5)
    assert items is not None
    assert [json.loads(item) for item in items] == values


@pytest.mark.parametrize("count_max, expected", [(2, None), (3, [b"1", b'"]"', b"[2,3]"])])
def test_a_list_is_read_no_further_than_its_bound(
    count_max: int, expected: list[bytes] | None
) -> None:
    assert split_list(b'[1, "]" ,[2,3]]', count_max) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"1", b"]", b"[", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b"[1][", b"[1],", b"[1]]",
     b"[[1]", b'[{"a":1,"a":2}]', b'["\xff"]', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        split_list(body, 5)
    assert caught.value.code == "MALFORMED_BODY"
