"""How the body of a webhook is signed: the scheme of Standard Webhooks 1.0, symmetric.

Strategy: HMAC-SHA256 over `<id>.<seconds>.<body>` with a secret that only the receiver shares. The
id stays the same when a request is repeated, the time is that of the try.

Not here: checking a signature, which is the receiver's (mobilesync.publishing).
"""

import base64
import binascii
import hashlib
import hmac
import random

from mobilesync.domain.errors import InvalidRequest

PREFIX = "whsec_"
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
"""Both bounds are the scheme's."""
_SECRET_BYTES = 32

assert SECRET_BYTES_MIN <= _SECRET_BYTES <= SECRET_BYTES_MAX


def make_secret(entropy: random.Random) -> str:
    """A new secret. `entropy` must be fit for secrets, as SystemRandom is."""
    return PREFIX + base64.b64encode(entropy.randbytes(_SECRET_BYTES)).decode()


def check_secret(text: str) -> str:
    """`text`, or InvalidRequest."""
    key = _decode(text)
    if key is None or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        size = f"{SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} random bytes"
        hint = f"{PREFIX} and {size} in base64; or leave it out, and one is made"
        raise InvalidRequest("not a secret for signatures", field="secret", hint=hint)
    return text


def sign(secret: str, request_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers that prove that `body` comes from who knows `secret`, a checked one."""
    key = _decode(secret)
    assert key is not None, "it was checked when it was kept"
    assert "." not in request_id, "it would make what is signed ambiguous"
    signed = f"{request_id}.{at_s}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": request_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _decode(text: str) -> bytes | None:
    if not text.startswith(PREFIX):
        return None
    try:
        return base64.b64decode(text[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        return None
