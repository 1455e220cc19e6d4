"""Bearers from a token address that verifies each claim, in a test's own time."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mobilesync.domain.errors import InvalidRequest
from mobilesync.engine.push_gateway import WakeOutcome, WakeResult
from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.fcm_bearer import BearerOptions, Bearers, read_service_account
from mobilesync.transports.push_line import LineOptions, PushLine
from tests.transports.door import client_context, on_both_loops, until
from tests.transports.google import BEARER_S, EMAIL, PEM, PROJECT, Google, account
from tests.transports.push_services import Reply, json_reply, served, service_tls

HASTY = LineOptions(timeout_s=0.3, silence_s=0.2)


@asynccontextmanager
async def _bearers(
    files: CertificateFiles, line_options: LineOptions | None = None, **account_members: Any
) -> AsyncIterator[tuple[Google, Bearers]]:
    google = Google()
    async with served(google.service, service_tls(files, "http/1.1")):
        line = PushLine(
            line_options or LineOptions(),
            clock=google.clock,
            entropy=random.Random(1),
            http2=False,
            tls=client_context(files),
        )
        read = read_service_account(account(token_uri=google.token_url, **account_members))
        bearers = Bearers(read, line, clock=google.clock, options=BearerOptions())
        try:
            yield google, bearers
        finally:
            google.answers.set()
            await bearers.close()
            await line.close()


def _grant(bearer: object, **members: object) -> Reply:
    return json_reply(200, {"access_token": bearer, "token_type": "Bearer", **members})


async def _failure(bearers: Bearers) -> WakeResult:
    result = await bearers.current()
    assert isinstance(result, WakeResult)
    return result


async def test_a_bearer_serves_until_a_minute_before_it_ends(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        first = await bearers.current()
        assert isinstance(first, str)
        google.clock.advance(BEARER_S - 61)
        assert await bearers.current() == first
        assert len(google.claims) == 1
        google.clock.advance(1)
        second = await bearers.current()
        assert isinstance(second, str)
        assert second != first
        assert len(google.claims) == 2


@on_both_loops
async def test_many_who_wait_share_one_fetch(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        google.answers.clear()
        waiting = [asyncio.create_task(bearers.current()) for _ in range(50)]
        await until(lambda: len(google.claims) == 1)
        waiting[0].cancel()
        # However long it takes: there is one fetch at a time.
        google.clock.advance(60)
        waiting.append(asyncio.create_task(bearers.current()))
        await asyncio.sleep(0)
        google.answers.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert len(set(results[1:])) == 1
        assert isinstance(results[1], str)
        assert len(google.claims) == 1


async def test_an_account_without_a_key_id_works_too(files: CertificateFiles) -> None:
    async with _bearers(files, private_key_id="") as (google, bearers):
        google.token_script.append(_grant("bearer", expires_in=3599))
        assert await bearers.current() == "bearer"


async def test_a_refused_bearer_is_replaced_once_for_all(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        first = await bearers.current()
        assert isinstance(first, str)
        google.clock.advance(10)
        others = await asyncio.gather(*(bearers.instead_of(first) for _ in range(5)))
        assert len(set(others)) == 1
        assert first not in others
        assert await bearers.instead_of(first) == others[0] == await bearers.current()
        assert len(google.claims) == 2


async def test_a_bearer_that_was_just_got_is_not_replaced(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        first = await bearers.current()
        assert isinstance(first, str)
        google.clock.advance(9)
        for _ in range(5):
            result = await bearers.instead_of(first)
            assert isinstance(result, WakeResult)
            assert result.outcome is WakeOutcome.RETRY
            assert result.retry_after_s >= 10
        assert await bearers.current() == first, "one refusal takes it from nobody else"
        assert len(google.claims) == 1


@pytest.mark.parametrize(
    "reply,outcome,reason",
    [
        (json_reply(400, {"error": "invalid_grant"}), WakeOutcome.REFUSED, "invalid_grant"),
        (json_reply(401, {"error": "invalid_client"}), WakeOutcome.REFUSED, "invalid_client"),
        (Reply(404, b"<html>"), WakeOutcome.REFUSED, "HTTP 404"),
        (Reply(429), WakeOutcome.RETRY, "HTTP 429"),
        (json_reply(500, {"error": "internal_failure"}), WakeOutcome.RETRY, "internal_failure"),
        (Reply(503), WakeOutcome.RETRY, "HTTP 503"),
        (Reply(200, b"no json"), WakeOutcome.RETRY, "not an answer of OAuth 2"),
        (Reply(200, b"{}"), WakeOutcome.RETRY, "not an answer of OAuth 2"),
        (_grant(7), WakeOutcome.RETRY, "not an answer of OAuth 2"),
        (_grant("a\r\nb: c", expires_in=9), WakeOutcome.RETRY, "not an answer of OAuth 2"),
        (_grant("b" * 5000, expires_in=9), WakeOutcome.RETRY, "not an answer of OAuth 2"),
    ],
)
async def test_what_goes_wrong_is_asked_about_again_only_after_a_pause(
    files: CertificateFiles, reply: Reply, outcome: WakeOutcome, reason: str
) -> None:
    async with _bearers(files) as (google, bearers):
        google.token_script.append(reply)
        for _ in range(20):
            result = await _failure(bearers)
            assert result.outcome is outcome
            assert result.reason.startswith(f"no bearer: {reason}")
        assert len(google.claims) == 1
        google.clock.advance(10)
        assert isinstance(await bearers.current(), str)
        assert len(google.claims) == 2


async def test_the_token_address_may_ask_for_a_longer_wait(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        google.token_script.append(Reply(503, headers={"retry-after": "120"}))
        assert 120 <= (await _failure(bearers)).retry_after_s <= 180


async def test_the_old_bearer_serves_while_no_new_one_can_be_had(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        first = await bearers.current()
        google.clock.advance(BEARER_S - 30)
        google.token_script.extend([Reply(503), Reply(503), Reply(503)])
        assert await bearers.current() == first
        google.clock.advance(20)
        assert await bearers.current() == first
        google.clock.advance(10)
        assert (await _failure(bearers)).reason == "no bearer: HTTP 503"
        assert len(google.claims) == 4


@pytest.mark.parametrize("expires_in", [0, -1])
async def test_a_bearer_that_has_ended_already_is_none(
    files: CertificateFiles, expires_in: int
) -> None:
    async with _bearers(files) as (google, bearers):
        google.token_script.append(_grant("bearer", expires_in=expires_in))
        assert (await _failure(bearers)).outcome is WakeOutcome.RETRY


async def test_an_endless_bearer_is_renewed_after_a_day(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        google.token_script.append(_grant("bearer", expires_in=10**9))
        assert await bearers.current() == "bearer"
        google.clock.advance(24 * 3600)
        assert await bearers.current() != "bearer"


@on_both_loops
async def test_a_token_address_that_hangs_is_given_up(files: CertificateFiles) -> None:
    async with _bearers(files, HASTY) as (google, bearers):
        google.answers.clear()
        assert (await _failure(bearers)).reason == "no bearer: ReadTimeout"
    slow_to_be_silent = LineOptions(timeout_s=0.2, silence_s=0.19)
    async with _bearers(files, slow_to_be_silent) as (google, bearers):
        google.answers.clear()
        assert (await _failure(bearers)).outcome is WakeOutcome.RETRY


@on_both_loops
async def test_closing_ends_a_fetch(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        google.answers.clear()
        waiting = asyncio.create_task(_failure(bearers))
        await until(lambda: len(google.claims) == 1)
        await bearers.close()
        await bearers.close()
        assert (await waiting).reason == "the gateway is closed"


async def test_a_wrong_clock_is_refused_with_a_hint(files: CertificateFiles) -> None:
    async with _bearers(files) as (google, bearers):
        bearers._clock = type(google.clock)()
        google.clock.wall_s += 7200
        result = await _failure(bearers)
        assert result.outcome is WakeOutcome.REFUSED
        assert "clock" in result.reason


# The account's file ---------------------------------------------------------------------------


def test_an_account_is_read_and_shows_no_key() -> None:
    read = read_service_account(account())
    assert (read.project, read.email) == (PROJECT, EMAIL)
    assert PEM.split("\n")[1] not in repr(read)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


FIREBASE_APP = json.dumps({"project_info": {"project_id": PROJECT}, "client": []}).encode()


@pytest.mark.parametrize(
    "content,words",
    [
        (b"", "no service account"),
        (b"\xff", "no service account"),
        (b"[" * 10_000, "no service account"),
        (b"[]", "no service account"),
        (PEM.encode(), "no service account"),
        (account(private_key=7), "no service account"),
        (FIREBASE_APP, "the app's own configuration"),
        (account(type="authorized_user"), "another kind of credential"),
        (b"{}", "another kind of credential"),
        (account(project_id=""), "project_id"),
        (account(project_id="a/../b"), "project_id"),
        (account(client_email=""), "client_email"),
        (account(token_uri=""), "token_uri"),
        (account(token_uri="http://oauth2.googleapis.com/token"), "token_uri"),
        (account(token_uri="https://a b"), "token_uri"),
        (account(private_key=""), "private_key is no key"),
        (account(private_key="-----BEGIN PRIVATE KEY-----\nAAAA"), "private_key is no key"),
        (account(private_key=_pem(rsa.generate_private_key(65537, 1024))), "2048 bits"),
        (account(private_key=_pem(ec.generate_private_key(ec.SECP256R1()))), "not RSA"),
    ],
    ids=lambda each: each[:20].decode("latin-1") if isinstance(each, bytes) else each,
)
def test_a_file_that_is_no_account_is_told_with_a_hint(content: bytes, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        read_service_account(content)
    assert caught.value.field == "fcm_service_account"
    assert "JSON" in caught.value.hint
    assert PEM.split("\n")[1] not in caught.value.message


@pytest.mark.parametrize("wrong", [{"spare_s": -1.0}, {"pause_s": 0.0}])
def test_options_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        BearerOptions(**wrong)
