"""What `doctor` looks at: settings, files, and this machine.

Strategy: each check is a function that yields findings; none changes anything but for a probe file
that it removes. A check that cannot look says so as a warning, never as "ok".

Not here: how findings are shown (doctor.py), settings that are refused outright (safety.py).
"""

import asyncio
import ctypes
import errno
import os
import resource
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from cryptography import x509
from msgspec import Struct

from mobilesync.cli.configuration import Configuration
from mobilesync.cli.control import SOCKET_NAME, STORE_NAME
from mobilesync.cli.safety import is_loopback
from mobilesync.domain.errors import InvalidRequest, MobilesyncError, TokenRefused
from mobilesync.engine.apps import App, KeyUrl
from mobilesync.engine.clock import SystemClock
from mobilesync.storage.embedded.folder import read_marker
from mobilesync.storage.embedded.verify import verify
from mobilesync.transports.certificates import CertificateFiles, server_tls_context
from mobilesync.transports.jwks import FetchedKeys

Verdict = Literal["ok", "warn", "fail"]

GIB = 1024**3
DISK_FAIL_BYTES = GIB
DISK_WARN_BYTES = 5 * GIB
FSYNC_TRIES = 15
FSYNC_WARN_MS = 20.0
CERTIFICATE_WARN_DAYS = 21
SPARE_FILES = 1000
"""Besides sessions: the store's files, the API's connections, logs."""
SESSION_BYTES = 30 * 1024
_CLOCK_ERROR = 5
"""adjtimex(2): TIME_ERROR, the clock is not synchronized."""


class Finding(Struct, frozen=True):
    """What one look has shown."""

    check: str
    verdict: Verdict
    sentence: str
    hint: str = ""


def machine_findings(chosen: Configuration) -> Iterator[Finding]:
    """Everything that needs no network."""
    yield from check_settings(chosen)
    yield from check_certificate(chosen)
    yield from check_store(chosen)
    yield from check_disk(chosen)
    yield from check_ports(chosen)
    yield from check_files(chosen)
    yield from check_memory(chosen)
    yield from check_clock()
    yield from check_platform()


def check_settings(chosen: Configuration) -> Iterator[Finding]:
    """What is allowed, and still worth a word."""
    settings, name = chosen.settings, "settings"
    where = str(chosen.file) if chosen.file else "no file; all by default, environment and flags"
    yield Finding(name, "ok", f"{settings.mode} mode ({where})")
    if settings.mode == "development" and not is_loopback(settings.host):
        hint = "set mode = production, or host = 127.0.0.1"
        yield Finding(name, "warn", "a development server is open to other machines", hint)
    if settings.mode == "production" and is_loopback(settings.host):
        hint = "set host, unless a proxy for TCP is on this machine"
        yield Finding(name, "warn", "only this machine can connect as a device", hint)
    if settings.durability != "fsync":
        hint = "leave durability at fsync"
        yield Finding(name, "warn", "a power cut loses oplogs that were acknowledged", hint)
    if chosen.file and chosen.file.stat().st_mode & 0o004 and _holds_secret(chosen.file):
        hint = f"chmod o-r {chosen.file}, or use hs256_secret_file"
        yield Finding(name, "warn", "everybody on this machine can read an app's secret", hint)


def check_certificate(chosen: Configuration) -> Iterator[Finding]:
    """Whether devices will accept the server, and for how long."""
    settings, name = chosen.settings, "certificate"
    if not settings.tls_certificate:
        yield Finding(name, "ok", "a self-signed one for development is made in the data folder")
        return
    files = CertificateFiles(Path(settings.tls_certificate), Path(settings.tls_key))
    try:
        server_tls_context(files, SystemClock().wall_ms())
    except InvalidRequest as error:
        yield Finding(name, "fail", error.message, error.hint)
        return
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    days = int((certificate.not_valid_after_utc.timestamp() - time.time()) // 86_400)
    verdict: Verdict = "ok" if days > CERTIFICATE_WARN_DAYS else "warn"
    hint = "" if verdict == "ok" else "renew it, then send SIGHUP to the server"
    yield Finding(name, verdict, f"good for {days} more days", hint)
    if files.key.stat().st_mode & 0o077:
        hint = f"chmod 600 {files.key}"
        yield Finding(name, "warn", "others on this machine can read the private key", hint)


def check_store(chosen: Configuration) -> Iterator[Finding]:
    """Whether the data folder can be used."""
    name, data = "store", chosen.settings.data
    folder = data / STORE_NAME
    try:
        marker = read_marker(folder, "store")
    except MobilesyncError as error:
        yield Finding(name, "fail", error.message, error.hint)
        return
    if marker is None:
        yield Finding(name, "ok", f"{folder} will be made at the first start")
    else:
        epoch = marker.lineage[-1]
        yield Finding(name, "ok", f"{folder} is a store of format {marker.format}, epoch {epoch}")
    existing = _existing(data)
    if not os.access(existing, os.W_OK | os.X_OK):
        hint = "run as the user who owns it"
        yield Finding(name, "fail", f"{existing} cannot be written by this user", hint)
    if data.exists() and data.stat().st_mode & 0o007:
        hint = f"chmod 700 {data}"
        yield Finding(name, "warn", "everybody on this machine can read the stored oplogs", hint)


def check_contents(data: Path, progress: Callable[[int], None]) -> Iterator[Finding]:
    """Every row of the store; `progress` is called with how many were read."""
    name = "contents"
    folder = data / STORE_NAME
    if not folder.exists():
        yield Finding(name, "ok", "there is nothing to read yet")
        return
    try:
        found = verify(folder, progress)
    except MobilesyncError as error:
        yield Finding(name, "fail", error.message, error.hint)
        return
    sentence = f"{found.oplogs} oplogs in {found.channels} channels, {found.points} sync points"
    if not found.faults:
        yield Finding(name, "ok", f"{sentence}; all of it is whole")
        return
    hint = "keep a copy of the folder, then restore a backup: mobilesync restore"
    yield Finding(name, "fail", f"{sentence}; {found.faults} faults", hint)
    for told in found.told:
        yield Finding(name, "fail", told, hint)


def check_disk(chosen: Configuration) -> Iterator[Finding]:
    """Room and speed of the disk below the data folder."""
    folder = _existing(chosen.settings.data)
    free = shutil.disk_usage(folder).free
    verdict: Verdict = "ok"
    if free < DISK_WARN_BYTES:
        verdict = "fail" if free < DISK_FAIL_BYTES else "warn"
    hint = "" if verdict == "ok" else "a full disk refuses publishes; make room or move `data`"
    yield Finding("disk", verdict, f"{free / GIB:.1f} GiB free", hint)
    kind = file_system_of(folder)
    if kind in {"tmpfs", "ramfs"}:
        hint = "set `data` to a folder on a disk"
        yield Finding("disk", "warn", f"{folder} is in memory: a restart loses everything", hint)
    elif kind.startswith(("nfs", "cifs", "smb", "fuse")):
        hint = "use a local disk, or make sure that fsync reaches the disk behind it"
        yield Finding("disk", "warn", f"{folder} is on {kind}", hint)
    try:
        took_ms = fsync_ms(folder)
    except OSError as error:
        yield Finding("fsync", "fail", f"cannot write in {folder}: {error.strerror}", "see above")
        return
    slow = took_ms > FSYNC_WARN_MS
    hint = "each publish waits for one; a faster disk makes them faster" if slow else ""
    yield Finding("fsync", "warn" if slow else "ok", f"{took_ms:.2f} ms (median)", hint)


def check_ports(chosen: Configuration) -> Iterator[Finding]:
    """Whether the server could listen, or does."""
    settings = chosen.settings
    if is_served(settings.data):
        yield Finding("ports", "ok", "a server runs on this data folder now")
        return
    for whose, host, port in (
        ("devices", settings.host, settings.port),
        ("the API", settings.api_host, settings.api_port),
    ):
        reason = _refusal_of(host, port)
        if reason:
            hint = "stop what listens there, or choose another host or port"
            yield Finding("ports", "fail", f"{host} port {port} for {whose}: {reason}", hint)
        else:
            yield Finding("ports", "ok", f"{host} port {port} for {whose} is free")


def check_files(chosen: Configuration) -> Iterator[Finding]:
    """Whether the process may have as many connections as the settings allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = chosen.settings.sessions_max + SPARE_FILES
    if hard in {resource.RLIM_INFINITY, -1} or hard >= needed:
        yield Finding("open files", "ok", f"{_count(hard)} allowed, {needed} needed at most")
        return
    verdict: Verdict = "warn" if chosen.settings.mode == "development" else "fail"
    hint = "raise the limit (systemd: LimitNOFILE), or lower sessions_max"
    sentence = f"{hard} allowed, but sessions_max = {chosen.settings.sessions_max} needs {needed}"
    yield Finding("open files", verdict, sentence, hint)


def check_memory(chosen: Configuration) -> Iterator[Finding]:
    """Whether all sessions would fit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    settings = chosen.settings
    needed = settings.sessions_max * SESSION_BYTES
    needed += settings.block_cache_bytes + settings.queue_bytes_max
    if needed < 0.8 * total:
        yield Finding("memory", "ok", f"about {needed / GIB:.1f} of {total / GIB:.1f} GiB at most")
    else:
        hint = "lower sessions_max, queue_bytes_max or block_cache_bytes"
        sentence = f"a full server needs {needed / GIB:.1f} of {total / GIB:.1f} GiB"
        yield Finding("memory", "warn", sentence, hint)


def check_clock() -> Iterator[Finding]:
    """Tokens and retention go by the wall clock."""
    synchronized = clock_is_synchronized()
    if synchronized is None:
        yield Finding("clock", "warn", "the kernel does not say whether it is synchronized")
    elif synchronized:
        yield Finding("clock", "ok", "synchronized")
    else:
        hint = "run an NTP client; good tokens are refused when the clock is off"
        yield Finding("clock", "warn", "not synchronized, says the kernel", hint)


def check_platform() -> Iterator[Finding]:
    """What the server runs on."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    try:
        uvloop = metadata.version("uvloop")
        yield Finding("platform", "ok", f"Python {version}, uvloop {uvloop}")
    except metadata.PackageNotFoundError:
        hint = "pip install uvloop"
        yield Finding("platform", "warn", f"Python {version} without uvloop: slower", hint)


async def check_issuers(chosen: Configuration) -> list[Finding]:
    """Whether the apps' key addresses answer."""
    source = FetchedKeys(SystemClock())
    try:
        found = await asyncio.gather(*(_check_app(app, source) for app in chosen.apps))
    finally:
        await source.close()
    if not chosen.apps:
        return [Finding("apps", "ok", "none defined; development makes one called demo")]
    return [finding for findings in found for finding in findings]


async def _check_app(app: App, source: FetchedKeys) -> list[Finding]:
    findings = []
    for key in app.keys:
        if not isinstance(key, KeyUrl):
            continue
        try:
            keys = await source.keys(key.url, "")
            findings.append(Finding("apps", "ok", f"{app.name}: {len(keys)} keys at {key.url}"))
        except TokenRefused:
            hint = "does the address answer with a JWK set? Its devices cannot log in without"
            findings.append(Finding("apps", "fail", f"{app.name}: no keys at {key.url}", hint))
    return findings or [Finding("apps", "ok", f"{app.name}: {len(app.keys)} keys at hand")]


def fsync_ms(folder: Path) -> float:
    """The median time of an fsync of 4 KB appended in `folder`. Raises OSError."""
    path = folder / f".fsync-probe-{os.getpid()}"
    took_ms = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(FSYNC_TRIES):
            begin = time.perf_counter()
            os.write(handle, bytes(4096))
            os.fdatasync(handle)
            took_ms.append((time.perf_counter() - begin) * 1000)
    finally:
        os.close(handle)
        path.unlink(missing_ok=True)
    return statistics.median(took_ms)


def file_system_of(path: Path) -> str:
    """The kind of file system that `path` is on; empty when the kernel does not say."""
    real = path.resolve()
    best, kind = 0, ""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    for line in mounts:
        fields = line.split()
        mount = Path(fields[1].replace("\\040", " "))
        if real.is_relative_to(mount) and len(str(mount)) > best:
            best, kind = len(str(mount)), fields[2]
    return kind


def clock_is_synchronized() -> bool | None:
    """What adjtimex(2) says; None when it cannot be asked."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _CLOCK_ERROR


def is_served(data: Path) -> bool:
    """Whether a server runs on this data folder."""
    path = data / SOCKET_NAME
    if not path.exists():
        return False
    handle = os.open(data, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(f"/proc/self/fd/{handle}/{SOCKET_NAME}")
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _refusal_of(host: str, port: int) -> str:
    """Why nothing could listen there; empty if it could."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family):
            return ""
    except OSError as error:
        return "in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    absolute = path.absolute()
    return next(each for each in (absolute, *absolute.parents) if each.is_dir())


def _holds_secret(path: Path) -> bool:
    return "hs256_secret " in path.read_text(errors="replace").replace("=", " ")


def _count(limit: int) -> str:
    return "any number" if limit in {resource.RLIM_INFINITY, -1} else str(limit)
