"""FCM and the token address of Google's OAuth 2, as Google describes them, on this machine.

The token address verifies each claim and gives a bearer for it; FCM takes only bearers that were
given and have not ended by a test's clock. What a test wants otherwise is scripted.
"""

import asyncio
import json
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mobilesync.transports.certificates import CertificateFiles
from mobilesync.transports.fcm import FcmGateway, FcmOptions, load_fcm
from tests.transports.door import client_context
from tests.transports.push_services import (
    Call,
    Http1Service,
    Reply,
    StoppedClock,
    json_reply,
    served,
    service_tls,
)

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
KEY_ID, PROJECT = "k1", "shop-12345"
EMAIL = "push@shop-12345.iam.example.com"
PHONE = "dQw4w9WgXcQ:APA91b" + "x" * 130
"""A registration token."""
BEARER_S = 3599
SEND_PATH = f"/v1/projects/{PROJECT}/messages:send"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def account(**members: Any) -> bytes:
    """The file of a service account."""
    file = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": KEY_ID,
        "private_key": PEM,
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": "https://localhost:1/token",
        **members,
    }
    return json.dumps(file).encode()


class Google:
    """Both services, and what a test may do to them."""

    def __init__(self) -> None:
        self.clock = StoppedClock()
        self.service = Http1Service(self.handle)
        self.script: deque[Reply] = deque()
        """Replies of FCM in place of its own judgement, one for each message."""
        self.token_script: deque[Reply] = deque()
        """The same for the token address."""
        self.answers = asyncio.Event()
        """While it is not set, nothing is answered."""
        self.answers.set()
        self._bearers: dict[str, float] = {}

    @property
    def token_url(self) -> str:
        return f"{self.service.origin}/token"

    @property
    def sent(self) -> list[Call]:
        return [call for call in self.service.calls if call.path == SEND_PATH]

    @property
    def claims(self) -> list[Call]:
        return [call for call in self.service.calls if call.path == "/token"]

    def will_refuse(
        self, status: int, code: str = "", *fields: str, name: str = "", **headers: str
    ) -> None:
        """Answer as FCM does: `code` is FCM's own, `name` that of all of Google's APIs."""
        details: list[dict[str, Any]] = []
        if fields:
            violations = [{"field": each, "description": PHONE} for each in fields]
            details.append({"@type": _BAD_REQUEST, "fieldViolations": violations})
        if code:
            details.append({"@type": _FCM_ERROR, "errorCode": code})
        error = {"code": status, "message": PHONE, "status": name, "details": details}
        self.script.append(json_reply(status, {"error": error}, **headers))

    def revoke(self) -> None:
        """Forget every bearer."""
        self._bearers.clear()

    async def handle(self, call: Call) -> Reply:
        await self.answers.wait()
        assert call.method == "POST"
        if call.path == "/token":
            return self.token_script.popleft() if self.token_script else self._grant(call)
        assert call.path == SEND_PATH
        if self.script:
            return self.script.popleft()
        bearer = call.headers["authorization"].removeprefix("Bearer ")
        if self._bearers.get(bearer, 0.0) <= self.clock.wall_s:
            return json_reply(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        return json_reply(200, {"name": f"projects/{PROJECT}/messages/1"})

    def _grant(self, call: Call) -> Reply:
        assert call.headers["content-type"] == "application/x-www-form-urlencoded"
        form = {name: values[0] for name, values in parse_qs(call.body.decode()).items()}
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        try:
            claims = jwt.decode(
                form["assertion"],
                KEY.public_key(),
                algorithms=["RS256"],
                audience=self.token_url,
                issuer=EMAIL,
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return json_reply(400, {"error": "invalid_grant", "error_description": PHONE})
        assert jwt.get_unverified_header(form["assertion"])["kid"] == KEY_ID
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert set(claims) == {"iss", "scope", "aud", "iat", "exp"}
        if not claims["iat"] <= self.clock.wall_s < claims["exp"] <= claims["iat"] + 3600:
            return json_reply(400, {"error": "invalid_grant"})
        bearer = f"ya29.c-{len(self.claims)}_~/+=="
        self._bearers[bearer] = self.clock.wall_s + BEARER_S
        grant = {"access_token": bearer, "expires_in": BEARER_S, "token_type": "Bearer"}
        return json_reply(200, grant)


def check_push(call: Call, options: FcmOptions) -> None:
    """Nothing but a wake is in `call`."""
    assert call.headers["content-type"] == "application/json"
    assert json.loads(call.body) == {
        "message": {
            "token": PHONE,
            "data": {"mobilesync": "wake"},
            "android": {
                "priority": options.priority,
                "collapse_key": "mobilesync",
                "ttl": f"{options.kept_s}s",
            },
        }
    }


@asynccontextmanager
async def google_and_gateway(
    files: CertificateFiles, options: FcmOptions | None = None
) -> AsyncIterator[tuple[Google, FcmGateway]]:
    """The services on a free port, and a gateway to them."""
    google = Google()
    async with served(google.service, service_tls(files, "http/1.1")):
        gateway = load_fcm(
            account(token_uri=google.token_url),
            clock=google.clock,
            entropy=random.Random(1),
            options=replace(options or FcmOptions(), origin=google.service.origin),
            tls=client_context(files),
        )
        try:
            yield google, gateway
        finally:
            google.answers.set()
            await gateway.close()
