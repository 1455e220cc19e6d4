"""What a development server leaves in its data folder, so that `listen`, `publish`, `inspect` and
`token` on the same machine need no settings: where it listens, and its keys.

Strategy: one file, readable by its owner only, written when the server is ready and with the ports
that it really has. Its secret for signing device tokens is kept from one start to the next, so
that tokens stay good.

Not here: anything of production. There is no such file then.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed

NAME = "development.json"
APP = "demo"
_BYTES_MAX = 64 * 1024


class Development(Struct, kw_only=True):
    """How to reach a development server, and with what."""

    app: str = APP
    hs256_secret: str
    """Signs device tokens of `app`; empty when the settings file defines the apps."""
    host: str = ""
    port: int = 0
    certificate: str = ""
    api_url: str = ""
    api_key: str = ""


def read_development(data: Path) -> Development | None:
    """What the server of this data folder left; None when there is nothing or nothing usable."""
    try:
        with (data / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_BYTES_MAX), type=Development)
    except (OSError, msgspec.DecodeError):
        return None


def require_development(data: Path) -> Development:
    """As `read_development`. Raises CommandFailed when there is none."""
    found = read_development(data)
    if found is None or not found.port:
        raise CommandFailed(
            f"no development server has left its address in {data}",
            hint="start one with: mobilesync serve (or name its folder with --data)",
            code="NO_SERVER",
            exit_code=ExitCode.RETRY,
        )
    return found


def write_development(data: Path, development: Development) -> None:
    """Replace the file whole; only its owner may read it."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = data / f"{NAME}.new"
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(development), indent=1) + b"\n")
    draft.replace(data / NAME)
