"""Files that settings name: keys and secrets, bounded in size."""

from pathlib import Path

from mobilesync.domain.errors import InvalidRequest

KEY_FILE_BYTES_MAX = 64 * 1024


def read_key_file(path: str) -> bytes:
    """What the file at `path` holds. Raises InvalidRequest when it cannot be read or is too large
    for any key."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        hint = "does it exist, and may this user read it?"
        reason = getattr(error, "strerror", None) or "not a path"
        raise InvalidRequest(f"cannot read {path}: {reason}", hint=hint) from None
    if len(data) > KEY_FILE_BYTES_MAX:
        hint = f"at most {KEY_FILE_BYTES_MAX} bytes: is it the right file?"
        raise InvalidRequest(f"{path} is too large for a key", hint=hint)
    return data
