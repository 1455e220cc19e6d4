"""Device tokens: what is accepted, and every forgery that we know of, refused with its code."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.domain.errors import InvalidRequest, TokenRefused, UnknownApp
from mobilesync.engine.apps import KEYS_MAX, App, Apps, KeyUrl, PublicKey, SecretKey
from mobilesync.engine.tokens import LEEWAY_S, Identity, NoKeySource, Tokens, sign_token
from mobilesync.protocol.codes import CloseCode, Reaction, reaction
from mobilesync.protocol.limits import TOKEN_CHARS_MAX

NOW_S = 1_700_000_000
SECRET = b"0123456789abcdef0123456789abcdef"
RSA = rsa.generate_private_key(65537, 2048)
P256 = ec.generate_private_key(ec.SECP256R1())
URL = "https://issuer.example/keys.json"
CLAIMS: dict[str, Any] = {"app": "demo", "sub": "alice", "device": "phone-1", "exp": NOW_S + 3600}


class StoppedClock:
    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s


class ListedKeys:
    """A key source that knows its keys and writes down what it was asked."""

    def __init__(self, *keys: PublicKey) -> None:
        self.known = keys
        self.asked: list[tuple[str, str]] = []

    async def keys(self, url: str, kid: str) -> Sequence[PublicKey]:
        self.asked.append((url, kid))
        return [key for key in self.known if not kid or key.kid == kid]


def _demo(*keys: SecretKey | PublicKey | KeyUrl, **rules: Any) -> App:
    return App("demo", keys or (SecretKey(SECRET),), **rules)


def _tokens(app: App | None = None, clock: StoppedClock | None = None) -> Tokens:
    return Tokens(Apps([app or _demo()]), clock or StoppedClock(), NoKeySource())


def _b64(data: bytes | str | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    raw = raw.encode() if isinstance(raw, str) else raw
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _forge(
    header: bytes | str | dict[str, Any],
    claims: bytes | str | dict[str, Any] = CLAIMS,
    secret: bytes = SECRET,
) -> str:
    """Signed with HMAC whatever the header says."""
    signed = f"{_b64(header)}.{_b64(claims)}"
    return f"{signed}.{_b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _hs256(claims: bytes | str | dict[str, Any]) -> str:
    return _forge({"alg": "HS256", "typ": "JWT"}, claims)


def _private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def _refusal(tokens: Tokens, token: str) -> TokenRefused:
    with pytest.raises(TokenRefused) as caught:
        await tokens.verify(token)
    return caught.value


async def _refused(token: str, code: CloseCode, tokens: Tokens | None = None) -> None:
    assert (await _refusal(tokens or _tokens(), token)).close_code is code


# What is accepted.


async def test_each_algorithm_with_its_key() -> None:
    for key, private, algorithm in (
        (SecretKey(SECRET), SECRET, "HS256"),
        (PublicKey(RSA.public_key()), RSA, "RS256"),
        (PublicKey(P256.public_key()), P256, "ES256"),
    ):
        token = jwt.encode(CLAIMS, private, algorithm=algorithm)
        identity = await _tokens(_demo(key)).verify(token)
        until_ms = (NOW_S + 3600) * 1000 + round(LEEWAY_S * 1000)
        assert identity == Identity("demo", "alice", "phone-1", until_ms)


async def test_sign_token_makes_what_verify_accepts() -> None:
    app = _demo(SecretKey(SECRET, "k1"), PublicKey(P256.public_key()), issuer="me", audience="us")
    for key, algorithm in ((SECRET, "HS256"), (_private_pem(P256), "ES256")):
        token = sign_token(
            key,
            app="demo",
            user="bob",
            device="tablet",
            issued_at_ms=NOW_S * 1000,
            expires_at_ms=NOW_S * 1000 + 60_000,
            algorithm=algorithm,  # type: ignore[arg-type] # a tuple of literals widens to str
            audience="us",
            issuer="me",
            kid="k1" if algorithm == "HS256" else "",
        )
        identity = await _tokens(app).verify(token)
        assert (identity.user, identity.device) == ("bob", "tablet")


def test_sign_token_refuses_a_key_that_does_not_fit() -> None:
    with pytest.raises(InvalidRequest, match="cannot sign"):
        sign_token(
            SECRET,
            app="demo",
            user="",
            device="d",
            issued_at_ms=0,
            expires_at_ms=1,
            algorithm="RS256",
        )


async def test_without_a_user_the_session_is_the_devices_alone() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "sub"}
    assert (await _tokens().verify(_hs256(claims))).user == ""


async def test_a_device_claim_may_be_waived_by_the_app() -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != "device"}
    await _refused(_hs256(claims), CloseCode.TOKEN_CLAIMS)
    waived = _tokens(_demo(device_claim_required=False))
    assert (await waived.verify(_hs256(claims))).device == ""


async def test_keys_rotate_by_kid_or_by_trying() -> None:
    old, new = SecretKey(SECRET, "old"), SecretKey(b"n" * 40, "new")
    tokens = _tokens(_demo(old, new))
    assert (await tokens.verify(_forge({"alg": "HS256", "kid": "new"}, secret=b"n" * 40))).user
    assert (await tokens.verify(_forge({"alg": "HS256"}, secret=b"n" * 40))).user
    # A key is only tried under its own name.
    token = _forge({"alg": "HS256", "kid": "old"}, secret=b"n" * 40)
    await _refused(token, CloseCode.TOKEN_INVALID, tokens)


async def test_keys_by_address() -> None:
    source = ListedKeys(PublicKey(RSA.public_key(), "r1"), PublicKey(P256.public_key(), "e1"))
    tokens = Tokens(Apps([_demo(KeyUrl(URL))]), StoppedClock(), source)
    token = jwt.encode(CLAIMS, P256, algorithm="ES256", headers={"kid": "e1"})
    assert (await tokens.verify(token)).user == "alice"
    assert source.asked == [(URL, "e1")]
    unknown = jwt.encode(CLAIMS, P256, algorithm="ES256", headers={"kid": "e2"})
    await _refused(unknown, CloseCode.TOKEN_INVALID, tokens)


async def test_no_fetch_when_a_key_at_hand_fits() -> None:
    source = ListedKeys()
    app = _demo(KeyUrl(URL), SecretKey(SECRET))
    await Tokens(Apps([app]), StoppedClock(), source).verify(_hs256(CLAIMS))
    assert source.asked == []


async def test_a_source_cannot_make_us_try_more_keys_than_the_bound() -> None:
    others = [PublicKey(ec.generate_private_key(ec.SECP256R1()).public_key())] * KEYS_MAX
    source = ListedKeys(*others, PublicKey(P256.public_key()))
    tokens = Tokens(Apps([_demo(KeyUrl(URL))]), StoppedClock(), source)
    token = jwt.encode(CLAIMS, P256, algorithm="ES256")
    await _refused(token, CloseCode.TOKEN_INVALID, tokens)


async def test_a_source_that_is_down_asks_the_device_to_come_back() -> None:
    class Down:
        async def keys(self, url: str, kid: str) -> Sequence[PublicKey]:
            raise TokenRefused(CloseCode.INTERNAL, "no keys now")

    tokens = Tokens(Apps([_demo(KeyUrl(URL))]), StoppedClock(), Down())
    error = await _refusal(tokens, jwt.encode(CLAIMS, P256, algorithm="ES256"))
    assert reaction(error.close_code) is Reaction.RETRY


# Forged signatures.


async def test_none_is_no_algorithm() -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        signed = f"{_b64({'alg': name})}.{_b64(CLAIMS)}"
        await _refused(f"{signed}.", CloseCode.TOKEN_INVALID)
        await _refused(f"{signed}.AA", CloseCode.TOKEN_INVALID)
        await _refused(_forge({"alg": name}), CloseCode.TOKEN_INVALID)


async def test_a_public_key_does_not_work_as_an_hmac_secret() -> None:
    """The classic confusion: sign with HS256 and the public key, which everybody has."""
    for private in (RSA, P256):
        tokens = _tokens(_demo(PublicKey(private.public_key())))
        der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for secret in (_public_pem(private), _public_pem(private).strip(), der):
            for algorithm in ("HS256", "RS256", "ES256"):
                token = _forge({"alg": algorithm}, secret=secret)
                await _refused(token, CloseCode.TOKEN_INVALID, tokens)


@pytest.mark.parametrize("name", ["HS384", "HS512", "RS256", "ES256", "PS256", "hs256", "EdDSA"])
async def test_a_right_signature_under_a_wrong_algorithm_is_refused(name: str) -> None:
    await _refused(_forge({"alg": name}), CloseCode.TOKEN_INVALID)


async def test_other_hashes_than_the_keys_own_are_refused() -> None:
    for algorithm, private in (("RS384", RSA), ("PS256", RSA), ("RS512", RSA)):
        token = jwt.encode(CLAIMS, private, algorithm=algorithm)
        await _refused(token, CloseCode.TOKEN_INVALID, _tokens(_demo(PublicKey(RSA.public_key()))))


async def test_keys_that_a_token_brings_along_are_not_read() -> None:
    mine = rsa.generate_private_key(65537, 2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key()))
    source = ListedKeys()
    tokens = Tokens(Apps([_demo(PublicKey(RSA.public_key()))]), StoppedClock(), source)
    headers: tuple[dict[str, Any], ...] = (
        {"jwk": jwk},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/certificate"},
        {"x5c": ["MIIB"]},
    )
    for header in headers:
        token = jwt.encode(CLAIMS, mine, algorithm="RS256", headers=header)
        await _refused(token, CloseCode.TOKEN_INVALID, tokens)
    assert source.asked == []


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "https://evil.example/k", "\x00"])
async def test_a_kid_is_only_compared(kid: str) -> None:
    tokens = _tokens(_demo(SecretKey(SECRET, "k1")))
    await _refused(_forge({"alg": "HS256", "kid": kid}), CloseCode.TOKEN_INVALID, tokens)


@pytest.mark.parametrize("header", [{"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": "x"}])
async def test_demanded_extensions_are_refused(header: dict[str, Any]) -> None:
    """RFC 7515 §4.1.11: who does not understand what is critical must refuse."""
    await _refused(_forge({"alg": "HS256", **header}), CloseCode.TOKEN_INVALID)


async def test_changed_claims_are_refused() -> None:
    head, claims, signature = _hs256(CLAIMS).split(".")
    other = _b64({**CLAIMS, "sub": "mallory"})
    await _refused(f"{head}.{other}.{signature}", CloseCode.TOKEN_INVALID)
    assert (await _tokens().verify(f"{head}.{claims}.{signature}")).user


async def test_a_token_of_another_app_is_refused() -> None:
    apps = Apps([_demo(), App("shop", (SecretKey(b"o" * 32),))])
    tokens = Tokens(apps, StoppedClock(), NoKeySource())
    await _refused(_hs256({**CLAIMS, "app": "shop"}), CloseCode.TOKEN_INVALID, tokens)


@pytest.mark.parametrize("signature", [bytes(64), bytes(63), b"\x00" * 200, b"\xff" * 64])
async def test_impossible_elliptic_signatures(signature: bytes) -> None:
    """All zero was once accepted by some libraries (CVE-2022-21449)."""
    token = f"{_b64({'alg': 'ES256'})}.{_b64(CLAIMS)}.{_b64(signature)}"
    await _refused(token, CloseCode.TOKEN_INVALID, _tokens(_demo(PublicKey(P256.public_key()))))


# Claims.


async def test_an_unknown_app_is_told_as_such() -> None:
    with pytest.raises(UnknownApp):
        await _tokens().verify(_hs256({**CLAIMS, "app": "nobody"}))


async def test_times_are_judged_by_our_clock_with_leeway() -> None:
    clock = StoppedClock()
    tokens = _tokens(clock=clock)
    token = _hs256({**CLAIMS, "nbf": NOW_S, "iat": NOW_S, "exp": NOW_S + 100.5})
    for now_s, good in (
        (NOW_S - LEEWAY_S - 1, False),
        (NOW_S - LEEWAY_S, True),
        (NOW_S + 100.4 + LEEWAY_S, True),
        (NOW_S + 100.5 + LEEWAY_S, False),
    ):
        clock.now_s = now_s
        if good:
            assert (await tokens.verify(token)).expires_at_ms > clock.wall_ms()
        else:
            await _refused(token, CloseCode.TOKEN_EXPIRED, tokens)


@pytest.mark.parametrize("name", ["nbf", "iat"])
async def test_a_token_from_the_future_is_refused(name: str) -> None:
    await _refused(_hs256({**CLAIMS, name: NOW_S + 31}), CloseCode.TOKEN_EXPIRED)


@pytest.mark.parametrize(
    "claims",
    [
        {**CLAIMS, "exp": "1999999999"},
        {**CLAIMS, "exp": None},
        {**CLAIMS, "exp": True},
        {**CLAIMS, "exp": 10**30},
        {**CLAIMS, "exp": -1},
        {**CLAIMS, "nbf": -1},
        {**CLAIMS, "iat": [1]},
        {**CLAIMS, "sub": 7},
        {**CLAIMS, "sub": "a\x00b"},
        {**CLAIMS, "sub": "a" * 129},
        {**CLAIMS, "sub": "\ud800"},
        {**CLAIMS, "device": {"id": "x"}},
        {**CLAIMS, "device": "line\nbreak"},
        {**CLAIMS, "aud": 1},
        {**CLAIMS, "aud": [1]},
        {**CLAIMS, "app": 1},
        {**CLAIMS, "app": "../x"},
        {**CLAIMS, "app": ""},
        {"app": "demo", "sub": "alice", "device": "d"},
        {"sub": "alice", "device": "d", "exp": NOW_S + 10},
        "[]",
        '"demo"',
    ],
)
async def test_missing_and_misshapen_claims(claims: str | dict[str, Any]) -> None:
    error = await _refusal(_tokens(), _hs256(claims))
    assert error.close_code in {CloseCode.TOKEN_CLAIMS, CloseCode.TOKEN_INVALID}
    if claims != {**CLAIMS, "sub": "\ud800"}:  # half a character: that is no JSON at all
        assert error.close_code is CloseCode.TOKEN_CLAIMS


@pytest.mark.parametrize(
    "audience, aud, good",
    [
        ("us", "us", True),
        ("us", ["them", "us"], True),
        ("us", "them", False),
        ("us", [], False),
        ("us", None, False),
        ("us", "us ", False),
        ("", None, True),
        ("", "us", False),
        ("", [""], False),
        ("", "", False),
    ],
)
async def test_audience(audience: str, aud: Any, good: bool) -> None:
    claims = CLAIMS if aud is None else {**CLAIMS, "aud": aud}
    tokens = _tokens(_demo(audience=audience))
    if good:
        assert (await tokens.verify(_hs256(claims))).user
    else:
        await _refused(_hs256(claims), CloseCode.TOKEN_AUDIENCE, tokens)


async def test_issuer() -> None:
    tokens = _tokens(_demo(issuer="https://login.example"))
    assert (await tokens.verify(_hs256({**CLAIMS, "iss": "https://login.example"}))).user
    await _refused(
        _hs256({**CLAIMS, "iss": "https://login.evil"}), CloseCode.TOKEN_AUDIENCE, tokens
    )
    await _refused(_hs256(CLAIMS), CloseCode.TOKEN_AUDIENCE, tokens)
    assert (await _tokens().verify(_hs256({**CLAIMS, "iss": "whoever"}))).user


async def test_claims_that_we_do_not_know_are_ignored() -> None:
    assert (
        await _tokens().verify(_hs256({**CLAIMS, "scope": ["a"], "jti": 7, "x": {"y": None}}))
    ).user


# Shapes.


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "ä.b.c",
        "a b.c.d",
        "a.b.c",
        "YWI.YQ.abcde",
        "a.b.c=",
        "a.b.c\n",
    ],
)
async def test_what_is_no_token(token: str) -> None:
    await _refused(token, CloseCode.TOKEN_INVALID)


async def test_nothing_over_the_bound_is_looked_at() -> None:
    fitting = TOKEN_CHARS_MAX - len(_hs256({**CLAIMS, "x": ""})) - 4
    good = _hs256({**CLAIMS, "x": "x" * (fitting * 3 // 4)})
    assert TOKEN_CHARS_MAX - 16 < len(good) <= TOKEN_CHARS_MAX
    assert (await _tokens().verify(good)).user
    await _refused(_hs256({**CLAIMS, "x": "x" * TOKEN_CHARS_MAX}), CloseCode.TOKEN_INVALID)


@pytest.mark.parametrize(
    "text", ["", "{", '{"x":' + "[" * 4000, '{"a":' * 1000, "nul", '{"alg": NaN}', "\xff\xfe"]
)
async def test_what_is_no_json(text: str) -> None:
    raw = text.encode("latin-1")
    await _refused(_forge(raw or b" "), CloseCode.TOKEN_INVALID)
    await _refused(_hs256(raw or b" "), CloseCode.TOKEN_INVALID)


async def test_invalid_utf8_inside_a_claim() -> None:
    raw = json.dumps(CLAIMS).encode().replace(b"alice", b"al\xffce")
    await _refused(_hs256(raw), CloseCode.TOKEN_INVALID)


async def test_a_refusal_repeats_nothing_of_the_token() -> None:
    for claims in ({**CLAIMS, "sub": "se\ncret"}, {**CLAIMS, "exp": "secret"}):
        error = await _refusal(_tokens(), _hs256(claims))
        assert "cret" not in f"{error} {error.hint}"


@given(st.text(max_size=200) | st.from_regex(r"\A[\w-]{0,60}\.[\w-]{0,60}\.[\w-]{0,60}\Z"))
async def test_any_text_is_refused_and_nothing_else_happens(token: str) -> None:
    with pytest.raises((TokenRefused, UnknownApp)):
        await _tokens().verify(token)


@given(
    st.dictionaries(
        st.sampled_from([*CLAIMS, "nbf", "iat", "aud", "iss"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=10)
        | st.lists(st.text(max_size=3), max_size=3),
    )
)
async def test_any_claims_have_a_defined_answer(claims: dict[str, Any]) -> None:
    try:
        identity = await _tokens().verify(_hs256(json.dumps({**CLAIMS, **claims}).encode()))
    except (TokenRefused, UnknownApp):
        return
    assert identity.app == "demo"
    assert identity.expires_at_ms > NOW_S * 1000
