"""APNs as Apple describes it, on this machine: HTTP/2, provider tokens, and its own mind.

It checks every request by itself: the signature, the claims and their age by a test's clock, and
how often a connection brings a new provider token. What a test wants otherwise is scripted.
"""

import asyncio
import json
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mobilesync.transports.apns import ApnsGateway, ApnsOptions, load_apns
from mobilesync.transports.certificates import CertificateFiles
from tests.transports.door import client_context
from tests.transports.push_services import (
    Call,
    Http2Service,
    Reply,
    StoppedClock,
    json_reply,
    served,
    service_tls,
)

KEY = ec.generate_private_key(ec.SECP256R1())
P8 = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
KEY_ID, TEAM_ID, BUNDLE_ID = "ABC123DEFG", "DEF123GHIJ", "com.example.shop"
PHONE = "0badc0de" * 8
"""A push token."""


class Apple:
    """The service, and what a test may do to it."""

    def __init__(self) -> None:
        self.clock = StoppedClock()
        self.service = Http2Service(self.handle)
        # One request only, until the first with a good provider token.
        self.service.streams_at_first = 1
        self.script: deque[Reply] = deque()
        """Replies in place of its own judgement, one for each request."""
        self.answers = asyncio.Event()
        """While it is not set, nothing is answered."""
        self.answers.set()
        self._tokens: dict[int, tuple[str, float]] = {}

    @property
    def calls(self) -> list[Call]:
        return self.service.calls

    @property
    def tokens(self) -> list[str]:
        """The provider token of each call."""
        return [call.headers["authorization"].removeprefix("bearer ") for call in self.calls]

    def will_refuse(self, status: int, reason: str, **headers: str) -> None:
        self.script.append(json_reply(status, {"reason": reason}, **headers))

    async def handle(self, call: Call) -> Reply:
        await self.answers.wait()
        if self.script:
            return self.script.popleft()
        problem = self._problem(call)
        return json_reply(*problem) if problem else Reply(headers={"apns-id": "1"})

    def _problem(self, call: Call) -> tuple[int, dict[str, Any]] | None:
        token = call.headers["authorization"].removeprefix("bearer ")
        try:
            claims = jwt.decode(
                token,
                KEY.public_key(),
                algorithms=["ES256"],
                issuer=TEAM_ID,
                options={"require": ["iss", "iat"], "verify_iat": False},
            )
        except jwt.PyJWTError:
            return 403, {"reason": "InvalidProviderToken"}
        assert jwt.get_unverified_header(token)["kid"] == KEY_ID
        assert set(claims) == {"iss", "iat"}
        now_s = self.clock.wall_s
        if now_s - claims["iat"] > 3600:
            return 403, {"reason": "ExpiredProviderToken"}
        before, since_s = self._tokens.get(call.connection, (token, now_s))
        if before != token and now_s - since_s < 20 * 60:
            return 429, {"reason": "TooManyProviderTokenUpdates"}
        if call.connection not in self._tokens:
            self.service.connections[call.connection - 1].allow(1000)
        if before != token or call.connection not in self._tokens:
            self._tokens[call.connection] = (token, now_s)
        return None


def check_push(call: Call, now_s: float, options: ApnsOptions) -> None:
    """Nothing but a wake is in `call`, and everything that Apple asks for."""
    assert (call.method, call.path) == ("POST", f"/3/device/{PHONE}")
    assert json.loads(call.body) == {"aps": {"content-available": 1}}
    headers = {name: value for name, value in call.headers.items() if name.startswith("apns-")}
    assert headers == {
        "apns-topic": BUNDLE_ID,
        "apns-push-type": "background",
        "apns-priority": "5",
        "apns-expiration": str(int(now_s) + options.kept_s),
        "apns-collapse-id": "mobilesync",
    }


def apns_gateway(
    apple: Apple, tls: ssl.SSLContext | None, options: ApnsOptions | None = None
) -> ApnsGateway:
    return load_apns(
        P8,
        key_id=KEY_ID,
        team_id=TEAM_ID,
        bundle_id=BUNDLE_ID,
        clock=apple.clock,
        entropy=random.Random(1),
        options=replace(options or ApnsOptions(), origin=apple.service.origin),
        tls=tls,
    )


@asynccontextmanager
async def apple_and_gateway(
    files: CertificateFiles, options: ApnsOptions | None = None
) -> AsyncIterator[tuple[Apple, ApnsGateway]]:
    """The service on a free port, and a gateway to it."""
    apple = Apple()
    async with served(apple.service, service_tls(files, "h2")):
        gateway = apns_gateway(apple, client_context(files), options)
        try:
            yield apple, gateway
        finally:
            apple.answers.set()
            await gateway.close()
