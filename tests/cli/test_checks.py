"""What the doctor looks at: each verdict has a case."""

import os
import resource
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mobilesync.cli import checks
from mobilesync.cli.checks import Finding
from mobilesync.cli.configuration import Configuration
from mobilesync.cli.control import SOCKET_NAME
from mobilesync.cli.settings import Settings
from mobilesync.engine.apps import App, KeyUrl, SecretKey
from mobilesync.engine.clock import SystemClock
from mobilesync.transports.certificates import LIFETIME, development_certificate

Check = Callable[[Configuration], Iterator[Finding]]


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def _chosen(data: Path, *apps: App, file: Path | None = None, **values: Any) -> Configuration:
    return Configuration(Settings(data=data, **values), apps, {}, file)


def _verdicts(check: Check, chosen: Configuration) -> list[str]:
    findings = list(check(chosen))
    assert all(finding.hint for finding in findings if finding.verdict == "fail")
    return [finding.verdict for finding in findings]


def test_settings_that_are_worth_a_word(tmp_path: Path) -> None:
    assert _verdicts(checks.check_settings, _chosen(tmp_path)) == ["ok"]
    cases: tuple[dict[str, Any], ...] = (
        {"host": "0.0.0.0"},
        {"mode": "production"},
        {"durability": "none"},
    )
    for values in cases:
        assert _verdicts(checks.check_settings, _chosen(tmp_path, **values)) == ["ok", "warn"]


def test_a_secret_that_everybody_can_read(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[apps.a]\nhs256_secret="x"')
    file.chmod(0o644)
    assert _verdicts(checks.check_settings, _chosen(tmp_path, file=file)) == ["ok", "warn"]
    file.chmod(0o640)
    assert _verdicts(checks.check_settings, _chosen(tmp_path, file=file)) == ["ok"]
    file.chmod(0o644)
    file.write_text('[apps.a]\nhs256_secret_file="x"')
    assert _verdicts(checks.check_settings, _chosen(tmp_path, file=file)) == ["ok"]


def test_certificates(tmp_path: Path) -> None:
    assert _verdicts(checks.check_certificate, _chosen(tmp_path)) == ["ok"]
    now_ms = SystemClock().wall_ms()
    files = development_certificate(tmp_path, now_ms)
    values: dict[str, Any] = {"tls_certificate": str(files.certificate), "tls_key": str(files.key)}
    chosen = _chosen(tmp_path, **values)
    assert _verdicts(checks.check_certificate, chosen) == ["ok"]
    files.key.chmod(0o644)
    assert _verdicts(checks.check_certificate, chosen) == ["ok", "warn"]
    files.certificate.unlink()
    assert _verdicts(checks.check_certificate, chosen) == ["fail"]
    earlier_ms = now_ms - int((LIFETIME.days - 10) * 86_400_000)
    development_certificate(tmp_path, earlier_ms)
    assert _verdicts(checks.check_certificate, chosen) == ["warn"]


def test_the_store(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert _verdicts(checks.check_store, _chosen(tmp_path)) == ["ok"]
    assert _verdicts(checks.check_store, _chosen(tmp_path / "new" / "deep")) == ["ok"]
    tmp_path.chmod(0o755)
    assert _verdicts(checks.check_store, _chosen(tmp_path)) == ["ok", "warn"]
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "MOBILESYNC").write_text("from the future")
    assert _verdicts(checks.check_store, _chosen(tmp_path)) == ["fail"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert _verdicts(checks.check_store, _chosen(tmp_path)) == ["ok", "fail"]


@pytest.mark.parametrize(
    "free_gib, kind, took_ms, verdicts",
    [
        (100, "ext4", 1.0, ["ok", "ok"]),
        (3, "ext4", 1.0, ["warn", "ok"]),
        (0.5, "ext4", 1.0, ["fail", "ok"]),
        (100, "tmpfs", 1.0, ["ok", "warn", "ok"]),
        (100, "nfs4", 1.0, ["ok", "warn", "ok"]),
        (100, "ext4", 30.0, ["ok", "warn"]),
    ],
)
def test_disks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_gib: float,
    kind: str,
    took_ms: float,
    verdicts: list[str],
) -> None:
    usage = Usage(0, 0, int(free_gib * checks.GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(checks, "file_system_of", lambda path: kind)
    monkeypatch.setattr(checks, "fsync_ms", lambda path: took_ms)
    assert _verdicts(checks.check_disk, _chosen(tmp_path)) == verdicts


def test_a_disk_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> float:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checks, "fsync_ms", fail)
    assert _verdicts(checks.check_disk, _chosen(tmp_path))[-1] == "fail"


def test_the_probe_measures_and_leaves_nothing(tmp_path: Path) -> None:
    assert checks.fsync_ms(tmp_path) > 0
    assert list(tmp_path.iterdir()) == []


def test_ports(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = _chosen(tmp_path, port=port, api_port=0)
        assert _verdicts(checks.check_ports, chosen) == ["fail", "ok"]
    assert _verdicts(checks.check_ports, chosen) == ["ok", "ok"]
    elsewhere = _chosen(tmp_path, host="192.0.2.1", port=0, api_port=0)
    assert _verdicts(checks.check_ports, elsewhere) == ["fail", "ok"]


def test_a_running_server_needs_no_free_ports(tmp_path: Path) -> None:
    assert not checks.is_served(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / SOCKET_NAME))
        assert not checks.is_served(tmp_path)
        listener.listen()
        assert checks.is_served(tmp_path)
        assert _verdicts(checks.check_ports, _chosen(tmp_path)) == ["ok"]


@pytest.mark.parametrize(
    "limit, mode, verdict",
    [
        (resource.RLIM_INFINITY, "production", "ok"),
        (10_000_000, "production", "ok"),
        (1024, "production", "fail"),
        (1024, "development", "warn"),
    ],
)
def test_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, mode: str, verdict: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, limit))
    assert _verdicts(checks.check_files, _chosen(tmp_path, mode=mode)) == [verdict]


def test_memory(tmp_path: Path) -> None:
    assert _verdicts(checks.check_memory, _chosen(tmp_path, sessions_max=1)) == ["ok"]
    huge = _chosen(tmp_path, block_cache_bytes=1024**5)
    assert _verdicts(checks.check_memory, huge) == ["warn"]


@pytest.mark.parametrize("says, verdict", [(True, "ok"), (False, "warn"), (None, "warn")])
def test_the_clock(monkeypatch: pytest.MonkeyPatch, says: bool | None, verdict: str) -> None:
    monkeypatch.setattr(checks, "clock_is_synchronized", lambda: says)
    assert [finding.verdict for finding in checks.check_clock()] == [verdict]


def test_the_kernel_is_asked() -> None:
    assert checks.clock_is_synchronized() in {True, False, None}
    assert checks.file_system_of(Path("/proc")) == "proc"


def test_the_platform() -> None:
    (finding,) = checks.check_platform()
    assert finding.verdict == "ok"
    assert "uvloop" in finding.sentence


async def test_issuers(tmp_path: Path) -> None:
    secret = App("a", (SecretKey(b"s" * 32),))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    remote = App("b", (KeyUrl(f"http://127.0.0.1:{port}/keys"),))
    findings = await checks.check_issuers(_chosen(tmp_path, secret, remote))
    assert [finding.verdict for finding in findings] == ["ok", "fail"]
    (none,) = await checks.check_issuers(_chosen(tmp_path))
    assert none.verdict == "ok"


def test_all_of_it_changes_nothing(tmp_path: Path) -> None:
    findings = list(checks.machine_findings(_chosen(tmp_path, port=0, api_port=0)))
    assert {finding.check for finding in findings} >= {"settings", "store", "disk", "clock"}
    assert list(tmp_path.iterdir()) == []
