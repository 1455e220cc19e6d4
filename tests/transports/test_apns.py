"""APNs against a service that speaks HTTP/2 and judges as Apple's does, in a test's own time."""

import asyncio
import json
import logging
import random
import sys
from itertools import pairwise
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.push_gateway import SENT, PushGateway, WakeOutcome
from mobilesync.transports.apns import BODY, SANDBOX, ApnsOptions, ProviderTokens, load_apns
from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.push_line import LineOptions
from tests.transports.apple import (
    BUNDLE_ID,
    KEY,
    KEY_ID,
    P8,
    PHONE,
    TEAM_ID,
    apns_gateway,
    apple_and_gateway,
    check_push,
)
from tests.transports.door import client_context, on_both_loops, until
from tests.transports.push_services import Reply, StoppedClock

MINUTE_S = 60.0
HASTY = ApnsOptions(line=LineOptions(timeout_s=0.3, silence_s=0.2))


# What is sent ---------------------------------------------------------------------------------


@on_both_loops
async def test_a_wake_carries_nothing_but_itself(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        assert gateway.kind == "apns"
        assert await gateway.wake(PHONE) == SENT
        (call,) = apple.calls
        check_push(call, apple.clock.wall_s, ApnsOptions())


@on_both_loops
async def test_many_wakes_share_one_connection_and_one_token(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        wakes = [asyncio.create_task(gateway.wake(PHONE)) for _ in range(150)]
        # One goes ahead, as Apple has it, until its provider token is found good.
        await until(lambda: len(apple.calls) > 1)
        apple.answers.clear()
        at_once = LineOptions().concurrent_max
        await until(lambda: apple.service.connections[0].most_at_once == at_once)
        apple.answers.set()
        assert await asyncio.gather(*wakes) == [SENT] * 150
        assert len(apple.service.connections) == 1
        assert len(set(apple.tokens)) == 1


async def test_after_a_goaway_the_next_wake_connects_anew(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        await gateway.wake(PHONE)
        apple.service.connections[0].go_away()
        assert await gateway.wake(PHONE) == SENT
        assert [call.connection for call in apple.calls] == [1, 2]
        assert len(set(apple.tokens)) == 1


@pytest.mark.parametrize(
    "token", ["", "x", "0badc0de/../../3/device/1", "0badc0de?", "0bad c0de", "é", "0" * 513, "0\n"]
)
async def test_what_cannot_be_a_push_token_is_not_sent(files: CertificateFiles, token: str) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        result = await gateway.wake(token)
        assert result.outcome is WakeOutcome.TOKEN_GONE
        assert not apple.calls


# The provider token ---------------------------------------------------------------------------


async def test_a_provider_token_is_used_for_fifty_minutes(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        for _ in range(25):
            assert await gateway.wake(PHONE) == SENT
            apple.clock.advance(2 * MINUTE_S)
        assert len(set(apple.tokens)) == 1
        for _ in range(50):
            assert await gateway.wake(PHONE) == SENT
            apple.clock.advance(2 * MINUTE_S)
        assert len(set(apple.tokens)) == 3
        issued = [jwt.decode(token, options={"verify_signature": False}) for token in apple.tokens]
        times = sorted({claims["iat"] for claims in issued})
        assert [after - before for before, after in pairwise(times)] == [50 * MINUTE_S] * 2


async def test_a_token_that_expired_is_replaced_once_for_all(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        await gateway.wake(PHONE)
        apple.clock.advance(30 * MINUTE_S)
        # By Apple's clock it is too old, for whatever reason.
        apple.answers.clear()
        wakes = [asyncio.create_task(gateway.wake(PHONE)) for _ in range(5)]
        await until(lambda: len(apple.calls) == 6)
        for _ in wakes:
            apple.will_refuse(403, "ExpiredProviderToken")
        apple.answers.set()
        assert await asyncio.gather(*wakes) == [SENT] * 5
        assert len(apple.calls) == 11
        assert len(set(apple.tokens)) == 2


async def test_a_second_refusal_is_the_last(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        await gateway.wake(PHONE)
        apple.clock.advance(30 * MINUTE_S)
        apple.will_refuse(403, "ExpiredProviderToken")
        apple.will_refuse(403, "ExpiredProviderToken")
        result = await gateway.wake(PHONE)
        assert result.outcome is WakeOutcome.REFUSED
        assert result.reason == "ExpiredProviderToken: is this machine's clock right?"
        assert len(apple.calls) == 3
        assert not apple.script


async def test_a_young_token_is_not_replaced(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        for _ in range(5):
            apple.will_refuse(403, "ExpiredProviderToken")
            assert (await gateway.wake(PHONE)).outcome is WakeOutcome.REFUSED
            apple.clock.advance(3 * MINUTE_S)
        assert len(apple.calls) == 5
        assert len(set(apple.tokens)) == 1


async def test_after_a_sleep_of_the_machine_the_token_is_new(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        await gateway.wake(PHONE)
        apple.clock.wall_s += 2 * 3600
        assert await gateway.wake(PHONE) == SENT
        assert len(set(apple.tokens)) == 2


def test_no_token_is_made_within_twenty_minutes_of_the_last() -> None:
    clock = StoppedClock()
    tokens = ProviderTokens(KEY, key_id=KEY_ID, team_id=TEAM_ID, clock=clock, options=ApnsOptions())
    first = tokens.current()
    clock.advance(20 * MINUTE_S - 1)
    assert tokens.instead_of(first) == ""
    assert tokens.current() == first
    clock.advance(1)
    second = tokens.instead_of(first)
    assert second not in ("", first)
    # Whoever comes later with the old one gets the new one, and makes none.
    assert tokens.instead_of(first) == second
    assert tokens.current() == second


# What Apple answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status,reason,outcome",
    [
        (400, "BadDeviceToken", WakeOutcome.TOKEN_GONE),
        (400, "DeviceTokenNotForTopic", WakeOutcome.TOKEN_GONE),
        (410, "Unregistered", WakeOutcome.TOKEN_GONE),
        (410, "ExpiredToken", WakeOutcome.TOKEN_GONE),
        (410, "SomethingNew", WakeOutcome.TOKEN_GONE),
        (400, "BadTopic", WakeOutcome.REFUSED),
        (400, "TopicDisallowed", WakeOutcome.REFUSED),
        (403, "InvalidProviderToken", WakeOutcome.REFUSED),
        (403, "BadEnvironmentKeyIdInToken", WakeOutcome.REFUSED),
        (404, "BadPath", WakeOutcome.REFUSED),
        (413, "PayloadTooLarge", WakeOutcome.REFUSED),
        (400, "IdleTimeout", WakeOutcome.RETRY),
        (429, "TooManyRequests", WakeOutcome.RETRY),
        (429, "TooManyProviderTokenUpdates", WakeOutcome.RETRY),
        (500, "InternalServerError", WakeOutcome.RETRY),
        (503, "ServiceUnavailable", WakeOutcome.RETRY),
        (503, "Shutdown", WakeOutcome.RETRY),
    ],
)
async def test_each_answer_has_its_result(
    files: CertificateFiles, status: int, reason: str, outcome: WakeOutcome
) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        apple.will_refuse(status, reason)
        result = await gateway.wake(PHONE)
        assert result.outcome is outcome
        assert result.reason.split(":")[0] == reason
        assert len(apple.calls) == 1
        assert await gateway.wake(PHONE) == SENT


@pytest.mark.parametrize(
    "status,reason,headers,least_s",
    [
        (429, "TooManyRequests", {}, 60),
        (429, "TooManyRequests", {"retry_after": "7"}, 7),
        (429, "TooManyProviderTokenUpdates", {"retry_after": "7"}, 20 * 60),
        (500, "InternalServerError", {}, 15 * 60),
        (503, "ServiceUnavailable", {"retry_after": "30"}, 30),
        (400, "IdleTimeout", {}, 10),
    ],
)
async def test_the_wait_is_what_apple_asks_for(
    files: CertificateFiles, status: int, reason: str, headers: dict[str, str], least_s: float
) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        apple.will_refuse(status, reason, **headers)
        result = await gateway.wake(PHONE)
        assert least_s <= result.retry_after_s <= least_s * 1.5


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"reason": 7}', b'{"reason": "' + b"0b" * 99])
async def test_an_answer_that_is_not_apples_is_told_by_its_status(
    files: CertificateFiles, body: bytes
) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        apple.script.append(Reply(302, body))
        result = await gateway.wake(PHONE)
        assert (result.outcome, result.reason) == (WakeOutcome.REFUSED, "HTTP 302")


# No answer ------------------------------------------------------------------------------------


@on_both_loops
async def test_a_service_that_hangs_costs_no_more_than_the_time_limit(
    files: CertificateFiles,
) -> None:
    async with apple_and_gateway(files, HASTY) as (apple, gateway):
        apple.answers.clear()
        results = await asyncio.gather(*(gateway.wake(PHONE) for _ in range(10)))
        assert {result.outcome for result in results} == {WakeOutcome.RETRY}
        apple.answers.set()
        assert await gateway.wake(PHONE) == SENT


@on_both_loops
async def test_one_wake_that_hangs_holds_up_no_other(files: CertificateFiles) -> None:
    async with apple_and_gateway(files, HASTY) as (apple, gateway):
        await gateway.wake(PHONE)
        apple.answers.clear()
        stuck = asyncio.create_task(gateway.wake(PHONE))
        await until(lambda: len(apple.calls) == 2)
        held, apple.answers = apple.answers, asyncio.Event()
        apple.answers.set()
        # The connection is busy all the time, so it is not silence that ends the stuck one.
        while not stuck.done():
            assert await gateway.wake(PHONE) == SENT
        assert (await stuck).reason == "no answer in time"
        assert await gateway.wake(PHONE) == SENT
        held.set()


async def test_nobody_there_means_come_back(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, _):
        pass
    gateway = apns_gateway(apple, client_context(files))
    result = await gateway.wake(PHONE)
    assert result.outcome is WakeOutcome.RETRY
    assert result.reason.startswith("ConnectError")
    await gateway.close()


async def test_a_closed_gateway_wakes_nobody(files: CertificateFiles) -> None:
    async with apple_and_gateway(files) as (apple, gateway):
        apple.answers.clear()
        wake = asyncio.create_task(gateway.wake(PHONE))
        await until(lambda: bool(apple.calls))
        await gateway.close()
        await gateway.close()
        assert (await wake).outcome is WakeOutcome.RETRY
        assert (await gateway.wake(PHONE)).outcome is WakeOutcome.RETRY
        assert len(apple.calls) == 1


# Secrets --------------------------------------------------------------------------------------


async def test_no_secret_is_shown(
    files: CertificateFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # The codec of headers writes down each of its steps, at a level that no server of ours has.
    for chatty in ("hpack.hpack", "hpack.table"):
        caplog.set_level(logging.INFO, logger=chatty)
    async with apple_and_gateway(files) as (apple, gateway):
        results = [await gateway.wake(PHONE)]
        for status, reason in ((400, PHONE), (403, "InvalidProviderToken"), (503, PHONE)):
            apple.will_refuse(status, reason)
            results.append(await gateway.wake(PHONE))
        apple.service.connections[0].cut()
        results.append(await gateway.wake(PHONE))
        (token,) = set(apple.tokens)
        shown = f"{caplog.text}{results}{gateway!r}{vars(gateway)!r}{gateway._tokens!r}"
    for secret in (PHONE, token, token.rpartition(".")[2], P8.decode().split("\n")[1]):
        assert secret not in shown


# Loading --------------------------------------------------------------------------------------


def _load(**changed: Any) -> PushGateway:
    given = {"key": P8, "key_id": KEY_ID, "team_id": TEAM_ID, "bundle_id": BUNDLE_ID, **changed}
    return load_apns(given.pop("key"), clock=StoppedClock(), entropy=random.Random(1), **given)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


ENCRYPTED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_gateway_is_loaded_for_either_environment() -> None:
    assert _load().kind == _load(options=ApnsOptions(origin=SANDBOX)).kind == "apns"


@pytest.mark.parametrize(
    "changed,field,words",
    [
        ({"key": b""}, "apns_key", "no private key"),
        ({"key": b"-----BEGIN PRIVATE KEY-----\nAAAA"}, "apns_key", "no private key"),
        ({"key": PUBLIC}, "apns_key", "no private key"),
        ({"key": ENCRYPTED}, "apns_key", "encrypted"),
        ({"key": _pem(rsa.generate_private_key(65537, 1024))}, "apns_key", "another kind"),
        ({"key": _pem(ec.generate_private_key(ec.SECP384R1()))}, "apns_key", "another kind"),
        ({"key_id": "ABC"}, "apns_key_id", "apns_key_id"),
        ({"key_id": "ABC123DEF\n"}, "apns_key_id", "apns_key_id"),
        ({"team_id": "abc123defg"}, "apns_team_id", "apns_team_id"),
        ({"bundle_id": ""}, "apns_bundle_id", "bundle id"),
        ({"bundle_id": "com.example\r\nx: y"}, "apns_bundle_id", "bundle id"),
    ],
)
def test_what_cannot_be_used_is_told_with_a_hint(
    changed: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        _load(**changed)
    assert caught.value.field == field
    assert caught.value.hint


def test_without_http2_there_is_no_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h2", None)
    with pytest.raises(InvalidRequest, match="HTTP/2") as caught:
        _load()
    assert "mobilesync[apns]" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "http://api.push.apple.com"},
        {"kept_s": 0},
        {"kept_s": 31 * 24 * 3600},
        {"token_pause_s": 19 * MINUTE_S},
        {"token_fresh_s": 19 * MINUTE_S},
        {"token_fresh_s": 60 * MINUTE_S},
        {"crowded_s": 0.0},
        {"broken_s": 0.0},
    ],
)
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        ApnsOptions(**wrong)


def test_the_body_is_a_background_notification() -> None:
    assert json.loads(BODY) == {"aps": {"content-available": 1}}
