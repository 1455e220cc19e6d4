"""Orders of MSS: the same names, the same meaning, or a clear refusal."""

import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilesync.api.keys import ApiKeys
from mobilesync.api.mss import ORDER_BYTES_MAX, GlobalOrder, OrderBody, app_of_instance
from mobilesync.domain.channel import Channel
from mobilesync.domain.errors import TooLarge
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.service import Service
from mobilesync.storage.disk import Disk
from tests.api.fakes import Caller, FakeClock, assert_error
from tests.api.phone import Phone

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


async def test_every_member_in_every_spelling(caller: Caller, disk: Disk) -> None:
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
        "tenantId": "T1",
        "bizTag": "",
        "immediateSync": True,
    }
    assert (await caller.post(SINGLE, order)).status_code == 200
    pascal = {name[0].upper() + name[1:]: value for name, value in order.items()}
    pascal |= {"ThirdMsgId": "t2", "ValidTimeEnd": str((NOW_S + 60) * 1000)}
    assert (await caller.post(SINGLE, pascal)).status_code == 200
    # Without a query, the body's own members say which app.
    nameless = order | {"thirdMsgId": "t3"}
    assert (await caller.post("/webapi/sync/single", nameless)).status_code == 200
    oplogs = disk.oplogs[Channel("demo", "CHAT", "user:42")]
    # And as Alipay's own API spells them.
    snakes = {
        re.sub("([A-Z])", lambda x: f"_{x[1].lower()}", name): each for name, each in order.items()
    }
    snakes["valid_start"] = snakes.pop("valid_time_start")
    snakes["valid_end"] = snakes.pop("valid_time_end")
    assert (await caller.post(SINGLE, snakes | {"third_msg_id": "t4"})).status_code == 200
    assert len(oplogs) == 4
    for oplog in oplogs:
        assert oplog.expires_at_ms == (NOW_S + 60) * 1000
        assert oplog.conditions is not None
        assert oplog.conditions.os == ("ios",)
        assert oplog.conditions.app_version_max == "100.100.100.100"


async def test_an_order_for_some_of_everyone(caller: Caller, disk: Disk) -> None:
    order = FOR_ALL | {"uids": "41, 42,", "minUid": 10, "maxUid": "99"}
    assert (await caller.post(GLOBAL, order)).status_code == 200
    (oplog,) = disk.oplogs[Channel("demo", "CHAT", "everyone")]
    assert oplog.conditions is not None
    assert oplog.conditions.users == ("41", "42")
    assert (oplog.conditions.user_number_min, oplog.conditions.user_number_max) == (10, 99)


async def test_an_order_that_is_valid_only_later_is_scheduled(
    caller: Caller, disk: Disk, service: Service
) -> None:
    order = ORDER | {"validTimeStart": NOW_S + 3600}
    document = (await caller.post(SINGLE, order)).json()
    assert (document["success"], document["resultCode"]) == (True, "OK")
    assert (document["resultMsg"], document["oplogId"]) == ("scheduled", 0)
    assert not disk.oplogs
    waiting = await service.scheduler.find(Channel("demo", "CHAT", "user:42"), "t1")
    assert waiting is not None
    assert waiting.due_ms == (NOW_S + 3600) * 1000
    again = (await caller.post(SINGLE, order)).json()
    assert again["resultCode"] == "DUPLICATED_BIZ_ID"


async def test_an_order_of_bytes(caller: Caller, disk: Disk) -> None:
    order = {name: each for name, each in ORDER.items() if name != "payload"}
    assert (await caller.post(SINGLE, order | {"binaryPayload": "/wA="})).status_code == 200
    assert disk.oplogs[Channel("demo", "CHAT", "user:42")][0].payload == b"\xff\x00"
    both = ORDER | {"binaryPayload": "/wA="}
    assert_mss_error(await caller.post(SINGLE, both), "INVALID_REQUEST", "payload")
    assert_mss_error(await caller.post(SINGLE, order), "INVALID_REQUEST", "payload")
    large = order | {"binaryPayload": "AAAA" * 1366}
    assert_mss_error(await caller.post(SINGLE, large), "TOO_LARGE", "binaryPayload")
    bad = order | {"binaryPayload": "x"}
    assert_mss_error(await caller.post(SINGLE, bad), "INVALID_REQUEST", "binaryPayload")


@pytest.mark.parametrize("biz, token", [("CHAT", "42"), ("LOCK", "d1")])
async def test_an_order_only_for_who_is_there(
    caller: Caller, service: Service, disk: Disk, biz: str, token: str
) -> None:
    order = ORDER | {"checkOnline": True, "bizType": biz, "linkToken": token}
    answer = await caller.post(SINGLE, order)
    assert_mss_error(answer, "TARGET_OFFLINE", "linkToken")
    assert not disk.oplogs
    phone = await Phone.online(service, "d1")
    assert (await caller.post(SINGLE, order)).status_code == 200
    phone.hang_up()
    assert_mss_error(await caller.post(SINGLE, order), "TARGET_OFFLINE", "linkToken")


async def test_a_biz_that_is_for_everyone_only(caller: Caller, service: Service) -> None:
    await service.configs.put("demo", SyncConfig(biz="FLAGS", scope="global"))
    order = ORDER | {"bizType": "FLAGS"}
    assert_mss_error(await caller.post(SINGLE, order), "WRONG_TARGET", "linkToken")


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
        ({"validTimeStart": NOW_S + 400 * 86_400}, "INVALID_REQUEST", "validTimeStart"),
        ({"validTimeEnd": NOW_S - 1}, "INVALID_REQUEST", "validTimeEnd"),
        ({"validTimeEnd": "soon"}, "INVALID_REQUEST", "validTimeEnd"),
        ({"validTimeEnd": 10**30}, "INVALID_REQUEST", "validTimeEnd"),
        ({"appMinVersion": "2", "appMaxVersion": "1"}, "INVALID_REQUEST", "appMinVersion"),
        ({"extAttrStr": "x"}, "UNSUPPORTED_FIELD", "extAttrStr"),
        ({"bizTag": "x"}, "UNSUPPORTED_FIELD", "bizTag"),
        ({"biz_tag": "x"}, "UNSUPPORTED_FIELD", "bizTag"),
        ({"clientApp": "x"}, "UNSUPPORTED_FIELD", "clientApp"),
        ({"deviceId": "x"}, "UNSUPPORTED_FIELD", "deviceId"),
        ({"immediateSync": False}, "UNSUPPORTED_FIELD", "immediateSync"),
        ({"uids": ",".join(map(str, range(1001)))}, "INVALID_REQUEST", "uids"),
        ({"minUid": 9, "maxUid": 8}, "INVALID_REQUEST", "minUid"),
        ({"maxUid": -1}, "INVALID_REQUEST", "maxUid"),
        ({"osTpye": "iOS"}, "INVALID_REQUEST", ""),
        ({"BizType": "LOCK"}, "MALFORMED_BODY", ""),
        ({"biz_type": "LOCK"}, "MALFORMED_BODY", ""),
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
        st.sampled_from(
            [*ORDER, "osType", "validTimeEnd", "validTimeStart", "minUid", "uids", "x", "", "_a"]
        )
        | st.text(),
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
