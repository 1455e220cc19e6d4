"""Keys by address, against a real HTTP server on the loopback interface."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from mobilesync.domain.errors import InvalidRequest, TokenRefused
from mobilesync.engine.apps import PublicKey
from mobilesync.protocol.codes import Reaction, reaction
from mobilesync.transports.jwks import FetchedKeys, JwksOptions, read_key_set

RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())


class StoppedClock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


class Issuer:
    """Answers every request with `answer`; counts them; may be told to wait or to hang up."""

    def __init__(self) -> None:
        self.requests = 0
        self.answer = _answer(_set(_jwk("k1")))
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self.let_go.wait()
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.port = server.sockets[0].getsockname()[1]
    try:
        yield issuer
    finally:
        issuer.let_go.set()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def _keys(
    clock: StoppedClock | None = None, options: JwksOptions | None = None
) -> AsyncIterator[FetchedKeys]:
    keys = FetchedKeys(clock or StoppedClock(), options)
    try:
        yield keys
    finally:
        await keys.close()


def _answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _jwk(kid: str, **members: Any) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(P256.public_key(), as_dict=True), "kid": kid, **members}


def _set(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


def _kids(keys: Any) -> list[str]:
    return [key.kid for key in keys]


async def _until(task_count: int, issuer: Issuer) -> None:
    while issuer.requests < task_count:
        await asyncio.sleep(0.001)


async def test_a_set_is_fetched_once_and_kept() -> None:
    async with _issuer() as issuer, _keys() as keys:
        issuer.answer = _answer(_set(_jwk("k1"), _jwk("k2")))
        for _ in range(3):
            assert _kids(await keys.keys(issuer.url, "k1")) == ["k1"]
        assert _kids(await keys.keys(issuer.url, "")) == ["k1", "k2"]
        assert issuer.requests == 1


async def test_many_who_wait_share_one_fetch() -> None:
    async with _issuer() as issuer, _keys() as keys:
        issuer.let_go.clear()
        waiting = [asyncio.create_task(keys.keys(issuer.url, "k1")) for _ in range(50)]
        await _until(1, issuer)
        waiting[0].cancel()
        issuer.let_go.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert all(_kids(answer) == ["k1"] for answer in answers[1:])
        assert issuer.requests == 1


async def test_an_unknown_kid_asks_again_but_not_too_often() -> None:
    clock = StoppedClock()
    async with _issuer() as issuer, _keys(clock) as keys:
        await keys.keys(issuer.url, "k1")
        for number in range(100):
            assert list(await keys.keys(issuer.url, f"made-up-{number}")) == []
        assert issuer.requests == 1
        issuer.answer = _answer(_set(_jwk("k2")))
        clock.now_s += JwksOptions().pause_s
        assert _kids(await keys.keys(issuer.url, "k2")) == ["k2"]
        # The issuer withdrew it.
        assert list(await keys.keys(issuer.url, "k1")) == []
        assert issuer.requests == 2


async def test_a_stale_set_serves_while_it_is_renewed() -> None:
    clock = StoppedClock()
    async with _issuer() as issuer, _keys(clock) as keys:
        await keys.keys(issuer.url, "k1")
        clock.now_s += JwksOptions().fresh_s + 1
        issuer.let_go.clear()
        assert _kids(await keys.keys(issuer.url, "k1")) == ["k1"]
        await _until(2, issuer)
        assert _kids(await keys.keys(issuer.url, "k1")) == ["k1"]
        assert issuer.requests == 2


@pytest.mark.parametrize(
    "answer",
    [
        _answer(b"", "500 Internal Server Error"),
        _answer(b"", "302 Found", "Location: /elsewhere"),
        _answer(b"no json"),
        _answer(b"[" * 100_000),
        _answer(_set()),
        _answer(b"x" * (JwksOptions().body_bytes_max + 1)),
        _answer(b"\x1f\x8b" + b"\x00" * 64, "200 OK", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"garbage\r\n\r\n",
        b"",
    ],
    ids=lambda answer: answer[:30].decode("latin-1"),
)
async def test_whatever_an_issuer_answers_the_last_good_set_serves_on(answer: bytes) -> None:
    clock = StoppedClock()
    async with _issuer() as issuer, _keys(clock) as keys:
        await keys.keys(issuer.url, "k1")
        issuer.answer = answer
        clock.now_s += JwksOptions().pause_s
        assert list(await keys.keys(issuer.url, "unknown")) == []
        assert issuer.requests == 2
        assert _kids(await keys.keys(issuer.url, "k1")) == ["k1"]


async def test_a_set_that_could_not_be_renewed_for_too_long_is_dropped() -> None:
    clock = StoppedClock()
    async with _issuer() as issuer, _keys(clock) as keys:
        await keys.keys(issuer.url, "k1")
        issuer.answer = b""
        clock.now_s += JwksOptions().kept_s
        assert _kids(await keys.keys(issuer.url, "k1")) == ["k1"]
        await _until(2, issuer)
        clock.now_s += JwksOptions().pause_s
        with pytest.raises(TokenRefused):
            await keys.keys(issuer.url, "k1")


async def test_nothing_known_and_the_issuer_down_means_come_back_later() -> None:
    async with _issuer() as issuer:
        url = issuer.url
    async with _keys() as keys:
        for _ in range(2):
            with pytest.raises(TokenRefused) as caught:
                await keys.keys(url, "k1")
            assert reaction(caught.value.close_code) is Reaction.RETRY


async def test_a_fetch_ends_at_its_time_limit() -> None:
    options = JwksOptions(timeout_s=0.05, pause_s=0.05)
    async with _issuer() as issuer, _keys(options=options) as keys:
        issuer.let_go.clear()
        with pytest.raises(TokenRefused):
            await keys.keys(issuer.url, "k1")


async def test_keys_in_a_set_are_bounded() -> None:
    async with _issuer() as issuer, _keys(options=JwksOptions(keys_max=3)) as keys:
        issuer.answer = _answer(_set(*[_jwk(f"k{number}") for number in range(5)]))
        assert len(await keys.keys(issuer.url, "")) == 3


async def test_close_ends_a_running_fetch_and_may_be_called_twice() -> None:
    async with _issuer() as issuer:
        keys = FetchedKeys(StoppedClock())
        issuer.let_go.clear()
        waiting = asyncio.create_task(keys.keys(issuer.url, "k1"))
        await _until(1, issuer)
        await keys.close()
        await keys.close()
        with pytest.raises((asyncio.CancelledError, TokenRefused)):
            await waiting


def test_both_kinds_of_keys_are_read() -> None:
    rsa_jwk = RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
    body = _set({**rsa_jwk, "kid": "r", "alg": "RS256", "use": "sig"}, _jwk("e", alg="ES256"))
    keys = read_key_set(body)
    assert [(key.kid, key.algorithm) for key in keys] == [("r", "RS256"), ("e", "ES256")]
    assert all(isinstance(key, PublicKey) for key in keys)


def test_unusable_keys_are_passed_over() -> None:
    weak = RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 1024).public_key(), as_dict=True)
    private = ECAlgorithm.to_jwk(P256, as_dict=True)
    other_curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    unusable = [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "k"},
        private,
        weak,
        ECAlgorithm.to_jwk(other_curve, as_dict=True),
        _jwk("k", use="enc"),
        _jwk("k", alg="RS256"),
        _jwk("k", key_ops=["encrypt"]),
        _jwk("k", x="AAAA"),
        {**_jwk("k"), "kid": 7},
        {"kty": "EC", "crv": "P-256"},
        {},
        "key",
        None,
    ]
    assert _kids(read_key_set(_set(*unusable, _jwk("good")))) == ["good"]
    with pytest.raises(InvalidRequest, match="no key"):
        read_key_set(_set(*unusable))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": 1}', b"\xff"])
def test_what_is_no_set(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="no JWK set"):
        read_key_set(body)
