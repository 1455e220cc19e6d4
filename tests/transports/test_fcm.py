"""FCM against services that judge as Google's do, in a test's own time."""

import asyncio
import json
import logging
import random
from typing import Any

import pytest

from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.push_gateway import SENT, PushGateway, WakeOutcome
from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.fcm import FcmGateway, FcmOptions, load_fcm
from mobilesync.transports.fcm_bearer import BearerOptions
from mobilesync.transports.push_line import LineOptions
from tests.transports.door import on_both_loops, until
from tests.transports.google import (
    BEARER_S,
    PEM,
    PHONE,
    account,
    check_push,
    google_and_gateway,
)
from tests.transports.push_services import Reply, StoppedClock, json_reply

HASTY = FcmOptions(line=LineOptions(timeout_s=0.3, silence_s=0.2))


# What is sent ---------------------------------------------------------------------------------


@on_both_loops
async def test_a_wake_carries_nothing_but_itself(files: CertificateFiles) -> None:
    async with google_and_gateway(files) as (google, gateway):
        assert gateway.kind == "fcm"
        assert await gateway.wake(PHONE) == SENT
        (call,) = google.sent
        check_push(call, FcmOptions())


async def test_the_priority_and_the_time_are_settings(files: CertificateFiles) -> None:
    options = FcmOptions(priority="NORMAL", kept_s=0)
    async with google_and_gateway(files, options) as (google, gateway):
        assert await gateway.wake(PHONE) == SENT
        check_push(google.sent[0], options)
        assert json.loads(google.sent[0].body)["message"]["android"]["ttl"] == "0s"


@on_both_loops
async def test_many_wakes_share_a_bearer_and_few_connections(files: CertificateFiles) -> None:
    async with google_and_gateway(files) as (google, gateway):
        results = await asyncio.gather(*(gateway.wake(PHONE) for _ in range(100)))
        assert results == [SENT] * 100
        assert len(google.claims) == 1
        assert len(google.service.connections) <= 16
        assert await gateway.wake(PHONE) == SENT
        google.clock.advance(BEARER_S)
        assert await gateway.wake(PHONE) == SENT
        assert len(google.claims) == 2


@pytest.mark.parametrize("token", ["", "two words", "a\n", "é", "x" * 4097])
async def test_what_cannot_be_a_push_token_is_not_sent(files: CertificateFiles, token: str) -> None:
    async with google_and_gateway(files) as (google, gateway):
        assert (await gateway.wake(token)).outcome is WakeOutcome.TOKEN_GONE
        assert not google.service.calls


async def test_a_push_token_cannot_add_to_the_message(files: CertificateFiles) -> None:
    token = '","data":{"x":"y"},"z":"'
    async with google_and_gateway(files) as (google, gateway):
        assert await gateway.wake(token) == SENT
        message = json.loads(google.sent[0].body)["message"]
        assert (message["token"], message["data"]) == (token, {"mobilesync": "wake"})


# Bearers that are refused ---------------------------------------------------------------------


async def test_a_revoked_bearer_is_replaced_and_the_wake_sent_again(
    files: CertificateFiles,
) -> None:
    async with google_and_gateway(files) as (google, gateway):
        await gateway.wake(PHONE)
        google.clock.advance(60)
        google.revoke()
        results = await asyncio.gather(*(gateway.wake(PHONE) for _ in range(5)))
        assert results == [SENT] * 5
        assert len(google.claims) == 2


@pytest.mark.parametrize("reply", [Reply(401), json_reply(401, {"error": {"status": "X"}})])
async def test_a_second_refusal_is_the_last(files: CertificateFiles, reply: Reply) -> None:
    async with google_and_gateway(files) as (google, gateway):
        await gateway.wake(PHONE)
        google.clock.advance(60)
        google.script.extend([reply, reply])
        assert (await gateway.wake(PHONE)).outcome is WakeOutcome.REFUSED
        assert len(google.sent) == 3
        assert len(google.claims) == 2
        # So soon after a fetch there is no other, whatever FCM says.
        google.script.append(reply)
        result = await gateway.wake(PHONE)
        assert (result.outcome, result.reason) == (WakeOutcome.RETRY, "UNAUTHENTICATED")
        assert len(google.sent) == 4
        assert len(google.claims) == 2


async def test_without_a_bearer_nothing_is_sent(files: CertificateFiles) -> None:
    async with google_and_gateway(files) as (google, gateway):
        google.token_script.append(json_reply(400, {"error": "invalid_grant"}))
        for _ in range(3):
            result = await gateway.wake(PHONE)
            assert result.outcome is WakeOutcome.REFUSED
            assert "invalid_grant" in result.reason
        assert not google.sent
        assert len(google.claims) == 1


# What Google answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status,code,fields,name,outcome",
    [
        (404, "UNREGISTERED", (), "NOT_FOUND", WakeOutcome.TOKEN_GONE),
        (403, "SENDER_ID_MISMATCH", (), "PERMISSION_DENIED", WakeOutcome.TOKEN_GONE),
        (400, "INVALID_ARGUMENT", (), "INVALID_ARGUMENT", WakeOutcome.TOKEN_GONE),
        (
            400,
            "INVALID_ARGUMENT",
            ("message.token",),
            "INVALID_ARGUMENT",
            WakeOutcome.TOKEN_GONE,
        ),
        (400, "INVALID_ARGUMENT", ("message",), "INVALID_ARGUMENT", WakeOutcome.REFUSED),
        (400, "", ("message.android.ttl",), "INVALID_ARGUMENT", WakeOutcome.REFUSED),
        (400, "", (), "INVALID_ARGUMENT", WakeOutcome.REFUSED),
        (404, "", (), "NOT_FOUND", WakeOutcome.REFUSED),
        (403, "", (), "PERMISSION_DENIED", WakeOutcome.REFUSED),
        (401, "THIRD_PARTY_AUTH_ERROR", (), "UNAUTHENTICATED", WakeOutcome.REFUSED),
        (429, "QUOTA_EXCEEDED", (), "RESOURCE_EXHAUSTED", WakeOutcome.RETRY),
        (500, "INTERNAL", (), "INTERNAL", WakeOutcome.RETRY),
        (503, "UNAVAILABLE", (), "UNAVAILABLE", WakeOutcome.RETRY),
    ],
)
async def test_each_answer_has_its_result(
    files: CertificateFiles,
    status: int,
    code: str,
    fields: tuple[str, ...],
    name: str,
    outcome: WakeOutcome,
) -> None:
    async with google_and_gateway(files) as (google, gateway):
        google.will_refuse(status, code, *fields, name=name)
        result = await gateway.wake(PHONE)
        assert result.outcome is outcome
        assert result.reason.split(":")[0] == (code or name)
        assert len(google.sent) == 1
        assert await gateway.wake(PHONE) == SENT


@pytest.mark.parametrize(
    "status,headers,least_s",
    [
        (429, {}, 60),
        (429, {"retry_after": "90"}, 90),
        (500, {}, 10),
        (503, {"retry_after": "5"}, 5),
    ],
)
async def test_the_wait_is_what_google_asks_for(
    files: CertificateFiles, status: int, headers: dict[str, str], least_s: float
) -> None:
    async with google_and_gateway(files) as (google, gateway):
        google.will_refuse(status, "UNAVAILABLE", **headers)
        assert least_s <= (await gateway.wake(PHONE)).retry_after_s <= least_s * 1.5


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"status": "no word!"}}']
)
async def test_an_answer_that_is_not_googles_is_told_by_its_status(
    files: CertificateFiles, body: bytes
) -> None:
    async with google_and_gateway(files) as (google, gateway):
        google.script.append(Reply(302, body))
        result = await gateway.wake(PHONE)
        assert (result.outcome, result.reason) == (WakeOutcome.REFUSED, "HTTP 302")


# No answer ------------------------------------------------------------------------------------


@on_both_loops
async def test_a_service_that_hangs_costs_no_more_than_the_time_limit(
    files: CertificateFiles,
) -> None:
    async with google_and_gateway(files, HASTY) as (google, gateway):
        await gateway.wake(PHONE)
        google.answers.clear()
        results = await asyncio.gather(*(gateway.wake(PHONE) for _ in range(10)))
        assert {result.outcome for result in results} == {WakeOutcome.RETRY}
        google.answers.set()
        assert await gateway.wake(PHONE) == SENT


async def test_nobody_there_means_come_back(files: CertificateFiles) -> None:
    async with google_and_gateway(files) as (google, _):
        pass
    options = FcmOptions(origin=google.service.origin)
    other = load_fcm(
        account(token_uri=google.token_url),
        clock=google.clock,
        entropy=random.Random(1),
        options=options,
    )
    result = await other.wake(PHONE)
    assert result.outcome is WakeOutcome.RETRY
    assert result.reason.startswith("no bearer: ConnectError")
    await other.close()


async def test_a_closed_gateway_wakes_nobody(files: CertificateFiles) -> None:
    async with google_and_gateway(files) as (google, gateway):
        google.answers.clear()
        wake = asyncio.create_task(gateway.wake(PHONE))
        await until(lambda: bool(google.service.calls))
        await gateway.close()
        await gateway.close()
        assert (await wake).reason == "the gateway is closed"
        assert (await gateway.wake(PHONE)).outcome is WakeOutcome.RETRY


# Secrets and loading --------------------------------------------------------------------------


async def test_no_secret_is_shown(
    files: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with google_and_gateway(files) as (google, gateway):
        results = [await gateway.wake(PHONE)]
        for status in (400, 401, 403, 503):
            google.will_refuse(status, PHONE, name=PHONE)
            results.append(await gateway.wake(PHONE))
        bearer = google.sent[0].headers["authorization"].removeprefix("Bearer ")
        shown = f"{caplog.text}{results}{gateway!r}{vars(gateway)!r}{gateway._bearers._account!r}"
    for secret in (PHONE, bearer, PEM.split("\n")[1]):
        assert secret not in shown


def test_a_gateway_is_loaded_from_the_file_alone() -> None:
    gateway: PushGateway = load_fcm(account(), clock=StoppedClock(), entropy=random.Random(1))
    assert isinstance(gateway, FcmGateway)
    with pytest.raises(InvalidRequest):
        load_fcm(b"{}", clock=StoppedClock(), entropy=random.Random(1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "http://fcm.googleapis.com"},
        {"kept_s": -1},
        {"kept_s": 2_419_201},
        {"bearer": BearerOptions(spare_s=19.0)},
        {"crowded_s": 0.0},
        {"broken_s": 0.0},
    ],
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        FcmOptions(**wrong)
