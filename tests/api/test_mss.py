"""Orders of MSS: the same names, the same meaning, or a clear refusal."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilesync.api.keys import ApiKeys
from mobilesync.api.mss import ORDER_BYTES_MAX, GlobalOrder, OrderBody, app_of_instance
from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import TooLarge
from mobilesync.storage.disk import Disk
from tests.api.fakes import Caller, FakeClock, assert_error

SINGLE = "/webapi/sync/single?instanceId=PROD_ONEX570DA89211721"
GLOBAL = "/webapi/sync/global?instanceId=PROD_ONEX570DA89211721"
ORDER = {"bizType": "CHAT", "linkToken": "42", "payload": "hi", "thirdMsgId": "t1"}
FOR_ALL = {name: value for name, value in ORDER.items() if name != "linkToken"}
NOW_S = 1_700_000_000


def assert_mss_error(answer: httpx.Response, code: str, field: str | None = None) -> None:
    """Both shapes at once: a caller written for MSS looks at `success` and `resultCode`."""
    error = assert_error(answer, code, field)
    document = answer.json()
    assert document["success"] is False
    assert document["resultCode"] == code
    assert document["resultMsg"] == error["message"]


async def test_an_order_for_one_user(caller: Caller, disk: Disk) -> None:
    answer = await caller.post(SINGLE, ORDER)
    assert answer.status_code == 200
    document = answer.json()
    assert document.pop("requestId") == answer.headers["x-request-id"]
    assert document == {"success": True, "resultCode": "OK", "resultMsg": "stored", "oplogId": 1}
    oplog = disk.oplogs[Channel("demo", "CHAT", "user:42")][0]
    assert (oplog.payload, oplog.message_id) == (b"hi", "t1")


async def test_the_same_order_again_is_a_success(caller: Caller, disk: Disk) -> None:
    await caller.post(SINGLE, ORDER)
    again = await caller.post(SINGLE, ORDER)
    assert again.status_code == 200
    assert again.json()["success"] is True
    assert again.json()["resultCode"] == "DUPLICATED_BIZ_ID"
    assert again.json()["oplogId"] == 1
    assert len(disk.oplogs) == 1


async def test_a_biz_whose_link_tokens_are_devices(caller: Caller, disk: Disk) -> None:
    await caller.post(SINGLE, ORDER | {"bizType": "LOCK"})
    assert list(disk.oplogs) == [Channel("demo", "LOCK", "device:42")]


async def test_an_order_for_everyone(caller: Caller, disk: Disk) -> None:
    assert (await caller.post(GLOBAL, FOR_ALL)).json()["oplogId"] == 1
    assert list(disk.oplogs) == [Channel("demo", "CHAT", "everyone")]
    assert_mss_error(await caller.post(GLOBAL, ORDER), "INVALID_REQUEST")


async def test_every_member_in_both_spellings(caller: Caller, disk: Disk) -> None:
    order = ORDER | {
        "osType": "iOS",
        "appMinVersion": "0.0.0.0",
        "appMaxVersion": "100.100.100.100",
        "validTimeStart": NOW_S,
        "validTimeEnd": (NOW_S + 60) * 1000,
        "appId": "ONEX570DA89211721",
        "workspaceId": "PROD",
        "extAttrStr": "",
        "uids": "",
        "minUid": None,
        "checkOnline": False,
    }
    assert (await caller.post(SINGLE, order)).status_code == 200
    pascal = {name[0].upper() + name[1:]: value for name, value in order.items()}
    pascal |= {"ThirdMsgId": "t2", "ValidTimeEnd": str((NOW_S + 60) * 1000)}
    assert (await caller.post(SINGLE, pascal)).status_code == 200
    # Without a query, the body's own members say which app.
    nameless = order | {"thirdMsgId": "t3"}
    assert (await caller.post("/webapi/sync/single", nameless)).status_code == 200
    oplogs = disk.oplogs[Channel("demo", "CHAT", "user:42")]
    assert len(oplogs) == 3
    for oplog in oplogs:
        assert oplog.expires_at_ms == (NOW_S + 60) * 1000
        assert oplog.conditions is not None
        assert oplog.conditions.os == ("ios",)
        assert oplog.conditions.app_version_max == "100.100.100.100"


@pytest.mark.parametrize("end", [NOW_S + 60, (NOW_S + 60) * 1000, str(NOW_S + 60)])
async def test_times_in_seconds_or_milliseconds(caller: Caller, disk: Disk, end: Any) -> None:
    assert (await caller.post(SINGLE, ORDER | {"validTimeEnd": end})).status_code == 200
    (oplogs,) = disk.oplogs.values()
    assert oplogs[0].expires_at_ms == (NOW_S + 60) * 1000


@pytest.mark.parametrize(
    "members, code, field",
    [
        ({"bizType": "NONE"}, "UNKNOWN_BIZ", "bizType"),
        ({"bizType": "CLOSED"}, "BIZ_OFFLINE", "bizType"),
        ({"bizType": None}, "INVALID_REQUEST", ""),
        ({"linkToken": ""}, "INVALID_REQUEST", "linkToken"),
        ({"linkToken": None}, "INVALID_REQUEST", ""),
        ({"linkToken": 42}, "INVALID_REQUEST", "linkToken"),
        ({"thirdMsgId": ""}, "INVALID_REQUEST", "thirdMsgId"),
        ({"thirdMsgId": "x" * 129}, "INVALID_REQUEST", "thirdMsgId"),
        ({"thirdMsgId": None}, "INVALID_REQUEST", ""),
        ({"payload": {"a": 1}}, "INVALID_REQUEST", "payload"),
        ({"payload": "é" * 4097}, "TOO_LARGE", "payload"),
        ({"validTimeStart": NOW_S + 3600}, "SCHEDULING_UNSUPPORTED", "validTimeStart"),
        ({"validTimeEnd": NOW_S - 1}, "INVALID_REQUEST", "validTimeEnd"),
        ({"validTimeEnd": "soon"}, "INVALID_REQUEST", "validTimeEnd"),
        ({"validTimeEnd": 10**30}, "INVALID_REQUEST", "validTimeEnd"),
        ({"appMinVersion": "2", "appMaxVersion": "1"}, "INVALID_REQUEST", "appMinVersion"),
        ({"checkOnline": True}, "UNSUPPORTED_FIELD", "checkOnline"),
        ({"extAttrStr": "x"}, "UNSUPPORTED_FIELD", "extAttrStr"),
        ({"uids": "1,2"}, "UNSUPPORTED_FIELD", "uids"),
        ({"minUid": 0}, "UNSUPPORTED_FIELD", "minUid"),
        ({"maxUid": 9}, "UNSUPPORTED_FIELD", "maxUid"),
        ({"osTpye": "iOS"}, "INVALID_REQUEST", ""),
        ({"BizType": "LOCK"}, "MALFORMED_BODY", ""),
        ({"appId": "OTHER"}, "INVALID_REQUEST", "instanceId"),
    ],
)
async def test_what_is_refused(
    caller: Caller, disk: Disk, members: dict[str, Any], code: str, field: str
) -> None:
    assert_mss_error(await caller.post(SINGLE, ORDER | members), code, field)
    assert not disk.oplogs


async def test_the_limit_of_mss_is_in_characters(caller: Caller, disk: Disk) -> None:
    assert (await caller.post(SINGLE, ORDER | {"payload": "é" * 4096})).status_code == 200


def test_an_order_without_end_is_not_read() -> None:
    body = OrderBody(GlobalOrder)
    text = json.dumps(FOR_ALL).encode()
    assert body.decode(text.ljust(ORDER_BYTES_MAX)).biz_type == "CHAT"
    with pytest.raises(TooLarge):
        body.decode(text.ljust(ORDER_BYTES_MAX + 1))


async def test_a_start_that_is_hardly_ahead_is_now(caller: Caller, clock: FakeClock) -> None:
    order = ORDER | {"validTimeStart": NOW_S + 60}
    assert (await caller.post(SINGLE, order)).status_code == 200


@pytest.mark.parametrize(
    "instance, code",
    [
        ("", "INVALID_REQUEST"),
        ("PROD_NONE", "UNKNOWN_APP"),
        ("PROD_DEMO", "UNKNOWN_APP"),
        ("demo", None),
        ("DEMO", None),
    ],
)
async def test_which_app(caller: Caller, instance: str, code: str | None) -> None:
    answer = await caller.post(f"/webapi/sync/single?instanceId={instance}", ORDER)
    if code is None:
        assert answer.status_code == 200
    else:
        assert_mss_error(answer, code)


def test_the_workspace_is_never_dropped() -> None:
    """Or a test's order would reach the users of production."""
    assert app_of_instance("TEST_APP", {"PROD_APP": "app"}) == "test_app"
    assert app_of_instance("PROD_APP", {"PROD_APP": "app"}) == "app"


async def test_keys(caller: Caller, keys: ApiKeys) -> None:
    assert_mss_error(await caller.post(SINGLE, ORDER, authorization=""), "UNAUTHORIZED")
    other = await keys.create("other", ["publish"], "other")
    answer = await caller.post(SINGLE, ORDER, authorization=f"Bearer {other.text}")
    assert_mss_error(answer, "FORBIDDEN")
    mine = await keys.create("mine", ["publish"], "demo")
    answer = await caller.post(SINGLE, ORDER, authorization=f"Bearer {mine.text}")
    assert answer.status_code == 200


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.dictionaries(
        st.sampled_from([*ORDER, "osType", "validTimeEnd", "minUid", "x", ""]) | st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
async def test_whatever_the_order_is_the_answer_is_defined(
    caller: Caller, members: dict[str, Any]
) -> None:
    answer = await caller.post(SINGLE, json.dumps(ORDER | members).encode())
    if answer.status_code != 200:
        assert answer.status_code < 500
        assert_mss_error(answer, answer.json()["resultCode"])
