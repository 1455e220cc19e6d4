"""The composition: started whole or not at all, and ended in order."""

import asyncio
import dataclasses
import hashlib
import json
import re
import socket
import ssl
import time
from pathlib import Path

import httpx
import pytest

from mobilesync.cli.configuration import Configuration
from mobilesync.cli.control import SOCKET_NAME
from mobilesync.cli.development import NAME, read_development
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.server import Server, service_options
from mobilesync.cli.setting import BadSetting
from mobilesync.cli.settings import Settings
from mobilesync.client import Client, ReceivedOplog
from mobilesync.domain.errors import InvalidRequest, StoreFolderRefused
from mobilesync.engine.apps import App, SecretKey, UserCallback
from mobilesync.engine.tokens import sign_token
from mobilesync.transports.certificates import development_certificate, fingerprint

APPS = (App("shop", (SecretKey(b"s" * 32),)),)


def _settings(data: Path) -> Settings:
    return Settings(data=data, port=0, api_port=0, drain_s=0.1)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _server(settings: Settings, apps: tuple[App, ...] = ()) -> Server:
    return Server(Configuration(settings, apps, {}, None))


def _production(data: Path, certificate_folder: Path) -> Settings:
    files = development_certificate(certificate_folder, _now_ms())
    return dataclasses.replace(
        _settings(data),
        mode="production",
        tls_certificate=str(files.certificate),
        tls_key=str(files.key),
        development_key=False,
        create_biz_on_first_use=False,
    )


async def _shown_fingerprint(port: int, trusted: Path) -> str:
    context = ssl.create_default_context(cafile=trusted)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return hashlib.sha256(der).hexdigest()


async def test_a_development_server_leaves_what_tools_need(tmp_path: Path) -> None:
    server = _server(_settings(tmp_path / "data"))
    await server.start()
    left = read_development(tmp_path / "data")
    assert left is not None
    assert left == server.development
    assert (left.port, left.app) == (server.port, "demo")
    headers = {"Authorization": f"Bearer {left.api_key}"}
    async with httpx.AsyncClient(base_url=left.api_url, headers=headers) as api:
        assert (await api.get("/readyz")).status_code == 200
        assert (await api.get("/v1/apps/demo/bizzes")).json()["bizzes"] == []
    await server.stop()
    await server.stop()
    stopped = read_development(tmp_path / "data")
    assert stopped is not None
    assert (stopped.port, stopped.api_key) == (0, "")
    assert stopped.hs256_secret == left.hs256_secret
    assert not (tmp_path / "data" / SOCKET_NAME).exists()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_keys_and_secrets_outlive_a_restart(tmp_path: Path) -> None:
    seen = set()
    for _ in range(2):
        server = _server(_settings(tmp_path))
        await server.start()
        assert server.development is not None
        seen.add((server.development.hs256_secret, server.development.api_key))
        await server.stop()
    assert len(seen) == 1


async def test_production_leaves_no_key_and_takes_the_old_one_back(tmp_path: Path) -> None:
    before = _server(_settings(tmp_path))
    await before.start()
    assert before.development is not None
    key = before.development.api_key
    await before.stop()

    server = _server(_production(tmp_path, tmp_path / "tls"), APPS)
    await server.start()
    try:
        assert server.development is None
        assert not (tmp_path / NAME).exists()
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=server.api_url, headers=headers) as api:
            assert (await api.get("/v1/apps/shop/bizzes")).status_code == 401
    finally:
        await server.stop()


@pytest.mark.parametrize("which", ["port", "api_port"])
async def test_a_taken_port_is_a_sentence_and_leaves_nothing_open(
    tmp_path: Path, which: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = dataclasses.replace(_settings(tmp_path), **{which: port})
        with pytest.raises(CommandFailed, match=f"port {port}: "):
            await _server(settings).start()
    # The store was given back: the next start gets it.
    server = _server(_settings(tmp_path))
    await server.start()
    await server.stop()


async def test_two_servers_cannot_share_a_folder(tmp_path: Path) -> None:
    server = _server(_settings(tmp_path))
    await server.start()
    try:
        with pytest.raises(StoreFolderRefused):
            await _server(_settings(tmp_path)).start()
        assert read_development(tmp_path) == server.development
    finally:
        await server.stop()


async def test_unsafe_settings_do_not_start(tmp_path: Path) -> None:
    settings = dataclasses.replace(_settings(tmp_path / "data"), mode="production")
    with pytest.raises(BadSetting):
        await _server(settings).start()
    assert not (tmp_path / "data").exists()


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    settings = _production(tmp_path / "data", tmp_path / "tls")
    certificate, key = Path(settings.tls_certificate), Path(settings.tls_key)
    server = _server(settings, APPS)
    await server.start()
    try:
        first = fingerprint(certificate)
        assert await _shown_fingerprint(server.port, certificate) == first
        trusted = tmp_path / "old.pem"
        trusted.write_bytes(certificate.read_bytes())

        certificate.write_bytes(b"half")
        with pytest.raises(InvalidRequest):
            server.renew_certificate()
        assert await _shown_fingerprint(server.port, trusted) == first

        certificate.unlink()
        key.unlink()
        development_certificate(tmp_path / "tls", _now_ms())
        server.renew_certificate()
        assert await _shown_fingerprint(server.port, certificate) == fingerprint(certificate)
        assert fingerprint(certificate) != first
    finally:
        await server.stop()


async def test_the_api_may_speak_https(tmp_path: Path) -> None:
    settings = dataclasses.replace(_settings(tmp_path), api_tls=True)
    server = _server(settings)
    await server.start()
    try:
        assert server.development is not None
        assert server.api_url.startswith("https://")
        trusted = Path(server.development.certificate)
        tls = ssl.create_default_context(cafile=trusted)
        async with httpx.AsyncClient(base_url=server.api_url, verify=tls) as api:
            assert (await api.get("/healthz")).status_code == 200
        first = await _shown_fingerprint(server.api_port, trusted)
        trusted.unlink()
        server.renew_certificate()
        assert await _shown_fingerprint(server.api_port, trusted) == fingerprint(trusted) != first
    finally:
        await server.stop()


async def test_metrics_for_everybody_only_if_the_operator_says_so(tmp_path: Path) -> None:
    for public, status in ((False, 401), (True, 200)):
        settings = dataclasses.replace(_settings(tmp_path), metrics_public=public)
        server = _server(settings)
        await server.start()
        try:
            async with httpx.AsyncClient(base_url=server.api_url) as api:
                assert (await api.get("/metrics")).status_code == status
        finally:
            await server.stop()


async def test_a_user_check_reaches_the_apps_callback(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(re.findall(r"content-length: (\d+)", head)[0])
        question = json.loads(await reader.readexactly(size))
        asked.append(question["sessionId"])
        body = json.dumps({"valid": question["sessionId"] == "good"}).encode()
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    business = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{business.sockets[0].getsockname()[1]}/"
    callback = UserCallback(url, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "shop", timeout_s=20.0)
    server = _server(_settings(tmp_path), (App("shop", APPS[0].keys, user_check=callback),))
    await server.start()
    try:
        assert server.development is not None
        headers = {"Authorization": f"Bearer {server.development.api_key}"}
        async with httpx.AsyncClient(base_url=server.api_url, headers=headers) as api:
            rules = {"user_check": True, "target_kind": "user"}
            await api.put("/v1/apps/shop/bizzes/BANK", json=rules)
            for user in ("good", "bad"):
                for biz in ("BANK", "CHAT"):
                    oplog = {"biz": biz, "target": f"user:{user}", "payload": "hi"}
                    assert (await api.post("/v1/apps/shop/oplogs", json=oplog)).is_success
        assert await _bizzes_of(server, tmp_path, "good", until="BANK") == {"BANK", "CHAT"}
        assert await _bizzes_of(server, tmp_path, "bad", until="CHAT") == {"CHAT"}
        assert asked == ["good", "bad"]
    finally:
        await server.stop()
        business.close()
        await business.wait_closed()


async def _bizzes_of(server: Server, folder: Path, user: str, *, until: str) -> set[str]:
    """Bizzes of which a device of `user` gets something, when it has something of `until`."""
    left = server.development
    assert left is not None
    now_ms = _now_ms()
    token = sign_token(
        b"s" * 32, app="shop", user=user, device=user, issued_at_ms=now_ms,
        expires_at_ms=now_ms + 60_000,
    )  # fmt: skip
    got: set[str] = set()
    enough = asyncio.Event()
    client = Client(
        left.host, left.port, app="shop", user=user, device=user, token=token,
        ca_file=left.certificate, store=folder / f"{user}.db", attributes={"session_id": user},
    )  # fmt: skip
    for biz in ("BANK", "CHAT"):

        @client.on(biz)
        async def note(oplog: ReceivedOplog) -> None:
            got.add(oplog.biz)
            if oplog.biz == until:
                enough.set()

    async with client, asyncio.timeout(30):
        await enough.wait()
    return got


def test_settings_reach_the_engine() -> None:
    settings = Settings(
        payload_bytes_max=1, batch_items_max=2, batch_bytes_max=3, publish_rate_per_s=4.0,
        publish_burst=5, sessions_max=6, logins_max=7, hello_timeout_s=8.0, beat_min_s=9,
        beat_max_s=10, window_bytes=200_000, window_count=1200, ack_timeout_s=13.0,
        create_biz_on_first_use=False, audit_days=14, scheduled_max=15, wake_up_again_s=16.0,
        webhook_queue_max=200, webhook_age_max_s=7200.0,
    )  # fmt: skip
    made = service_options(settings)
    limits, session = made.publisher, made.session
    assert (limits.payload_bytes_max, limits.batch_items_max, limits.batch_bytes_max) == (1, 2, 3)
    assert (limits.rate_per_s, limits.burst) == (4.0, 5)
    assert (session.sessions_max, session.logins_max, session.hello_timeout_s) == (6, 7, 8.0)
    assert (session.beat_min_s, session.beat_max_s, session.ack_timeout_s) == (9, 10, 13.0)
    assert (session.window_bytes, session.window_count) == (200_000, 1200)
    assert made.scheduler.count_max == 15
    assert made.wake_ups.again_after_s == 16.0
    assert not made.create_biz_on_first_use
    assert made.audit.age_s == 14 * 24 * 3600
    hooks = made.webhooks
    assert (hooks.queue_max, hooks.age_max_s, hooks.plain_loopback) == (200, 7200.0, True)
    assert not service_options(Settings(mode="production")).webhooks.plain_loopback
