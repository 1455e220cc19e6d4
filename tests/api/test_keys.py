"""API keys: stored hashed, verified once, refused at once when revoked."""

import asyncio
from collections.abc import Callable
from typing import Literal

import pytest
from argon2 import PasswordHasher

from mobilesync.api import keys as keys_module
from mobilesync.api.attempts import FAILURES_MAX
from mobilesync.api.errors import HttpError
from mobilesync.api.keys import (
    KEYS_MAX,
    REMEMBERED_MAX,
    VERIFICATIONS_MAX,
    ApiKeys,
    Scope,
    authorize,
)
from mobilesync.domain.errors import InvalidRequest, Overloaded
from mobilesync.engine.audit import SERVER, Audit
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import FakeClock


class CountingHasher(PasswordHasher):
    """Quick, and says how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified += 1
        return super().verify(hash, password)


def bearer(text: str) -> bytes:
    return b"Bearer " + text.encode()


async def test_a_made_key_opens_the_door(keys: ApiKeys) -> None:
    made = await keys.create("shop", ["publish"], "demo")
    assert made.text.startswith(f"ms_{made.key.id}_")
    assert await keys.authenticate(bearer(made.text), "peer") == made.key
    assert keys.list() == [made.key]


async def test_the_secret_is_nowhere_in_the_store(keys: ApiKeys, disk: Disk) -> None:
    made = await keys.create("shop", ["publish"])
    secret = made.text.split("_", 2)[2].encode()
    assert disk.documents
    assert not any(secret in value for value in disk.documents.values())
    assert secret.decode() not in repr(keys.list())


async def test_keys_survive_a_restart(
    keys: ApiKeys, disk: Disk, clock: FakeClock, random_bytes: Callable[[int], bytes]
) -> None:
    made = await keys.create("shop", ["publish"])
    again = ApiKeys(MemoryStore(disk), clock=clock, random_bytes=random_bytes)
    await again.load()
    assert await again.authenticate(bearer(made.text), "peer") == made.key


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic ms_1_2",
        b"Bearer nothing",
        b"Bearer ms__",
        b"Bearer ms_00_x_y_z",
        b"Bearer \xff\xfe_\x00",
        b"Bearer ms_" + b"9" * 5000,
    ],
)
async def test_no_key_or_a_bad_one(keys: ApiKeys, header: bytes | None) -> None:
    await keys.create("shop", ["publish"])
    with pytest.raises(HttpError) as caught:
        await keys.authenticate(header, "peer")
    assert caught.value.code == "UNAUTHORIZED"
    assert caught.value.headers[0][0] == b"www-authenticate"


async def test_the_right_id_with_a_wrong_secret(keys: ApiKeys) -> None:
    made = await keys.create("shop", ["publish"])
    with pytest.raises(HttpError, match="not good"):
        await keys.authenticate(bearer(made.text[:-1]), "peer")


async def test_a_revoked_key_is_refused_although_remembered(keys: ApiKeys, disk: Disk) -> None:
    made = await keys.create("shop", ["publish"])
    await keys.authenticate(bearer(made.text), "peer")
    await keys.revoke(made.key.id)
    assert not [kind for kind, _ in disk.documents if not kind.startswith("audit/")]
    with pytest.raises(HttpError):
        await keys.authenticate(bearer(made.text), "peer")
    with pytest.raises(HttpError) as caught:
        await keys.revoke(made.key.id)
    assert caught.value.code == "NOT_FOUND"


async def test_the_audit_tells_of_keys_in_the_same_commit(
    keys: ApiKeys, audit: Audit, store: MemoryStore
) -> None:
    made = await keys.create("shop", ["publish"], "demo", who="ann")
    await keys.revoke(made.key.id, who="bob")
    assert store.stats().commits == 2
    await keys.create("ops", ["admin"], who="ann")
    entries = await audit.read("demo")
    assert [(entry.who, entry.action) for entry in entries] == [
        ("bob", "key_revoked"),
        ("ann", "key_created"),
    ]
    told = {"key": made.key.id, "name": "shop", "scopes": ["publish"], "app": "demo"}
    assert [entry.details for entry in entries] == [told, told]
    (beyond,) = await audit.read(SERVER)
    assert beyond.details["name"] == "ops"
    assert made.key.who == f"shop ({made.key.id})"


async def test_the_audit_tells_of_the_development_key(keys: ApiKeys, audit: Audit) -> None:
    await keys.development_key()
    await keys.forget_development_key()
    entries = await audit.read(SERVER)
    assert [(entry.who, entry.action) for entry in entries] == [
        ("production", "key_revoked"),
        ("development", "key_created"),
    ]


async def counting(
    store: MemoryStore, clock: FakeClock, random_bytes: Callable[[int], bytes]
) -> tuple[ApiKeys, CountingHasher]:
    hasher = CountingHasher()
    return ApiKeys(store, clock=clock, random_bytes=random_bytes, hasher=hasher), hasher


async def test_a_key_is_hashed_once_even_when_many_come_at_once(
    store: MemoryStore, clock: FakeClock, random_bytes: Callable[[int], bytes]
) -> None:
    keys, hasher = await counting(store, clock, random_bytes)
    made = await keys.create("shop", ["publish"])
    calls = [keys.authenticate(bearer(made.text), f"peer {n}") for n in range(50)]
    assert await asyncio.gather(*calls) == [made.key] * 50
    await keys.authenticate(bearer(made.text), "peer")
    assert hasher.verified == 1


async def test_verifications_are_bounded(
    store: MemoryStore, clock: FakeClock, random_bytes: Callable[[int], bytes]
) -> None:
    keys, hasher = await counting(store, clock, random_bytes)
    made = await keys.create("shop", ["publish"])
    calls = [keys.authenticate(bearer(f"{made.text}{n}"), f"peer {n}") for n in range(40)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, Overloaded) for each in outcomes) == 40 - VERIFICATIONS_MAX
    assert hasher.verified == VERIFICATIONS_MAX


async def test_remembered_keys_are_bounded(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    assert REMEMBERED_MAX > KEYS_MAX, "all keys of a store can be remembered"
    monkeypatch.setattr(keys_module, "REMEMBERED_MAX", 3)
    made = [await keys.create(f"shop {n}", ["publish"]) for n in range(5)]
    for each in made:
        await keys.authenticate(bearer(each.text), "peer")
    assert len(keys._remembered) == 3


async def test_keys_are_bounded(keys: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "KEYS_MAX", 2)
    await keys.create("a", ["publish"])
    await keys.create("b", ["publish"])
    with pytest.raises(InvalidRequest, match="2 keys already"):
        await keys.create("c", ["publish"])


async def test_guessing_is_slowed_down_but_not_for_a_key_that_works(
    keys: ApiKeys, clock: FakeClock
) -> None:
    made = await keys.create("shop", ["publish"])
    await keys.authenticate(bearer(made.text), "proxy")
    for _ in range(FAILURES_MAX):
        with pytest.raises(HttpError, match="not good"):
            await keys.authenticate(b"Bearer ms_no_no", "proxy")
    with pytest.raises(HttpError) as caught:
        await keys.authenticate(b"Bearer ms_no_no", "proxy")
    assert caught.value.code == "TOO_MANY_ATTEMPTS"
    assert caught.value.retry_after_s is not None
    assert await keys.authenticate(bearer(made.text), "proxy") == made.key
    clock.now_s += caught.value.retry_after_s
    with pytest.raises(HttpError, match="not good"):
        await keys.authenticate(b"Bearer ms_no_no", "proxy")


@pytest.mark.parametrize(
    "scopes, bound, scope, app, allowed",
    [
        (["publish"], "", "publish", "demo", True),
        (["publish"], "demo", "publish", "demo", True),
        (["publish"], "other", "publish", "demo", False),
        (["publish"], "", "inspect", "demo", False),
        (["publish", "inspect"], "", "inspect", "demo", True),
        (["admin"], "", "configure", "demo", True),
        (["admin"], "demo", "configure", "demo", True),
        (["admin"], "demo", "admin", "", False),
        (["admin"], "", "admin", "", True),
        (["configure"], "", "admin", "demo", False),
    ],
)
async def test_scopes(
    keys: ApiKeys, scopes: list[Scope], bound: str, scope: Scope, app: str, allowed: bool
) -> None:
    made = await keys.create("x", scopes, bound)
    assert made.key.permits(scope, app) is allowed
    if not allowed:
        with pytest.raises(HttpError) as caught:
            authorize(made.key, scope, app)
        assert caught.value.code == "FORBIDDEN"


@pytest.mark.parametrize(
    "name, scopes, app, field",
    [
        ("", ["publish"], "", "name"),
        ("x" * 101, ["publish"], "", "name"),
        ("a\nb", ["publish"], "", "name"),
        ("x", [], "", "scopes"),
        ("x", ["everything"], "", "scopes"),
        ("x", ["publish"], "No App", "app"),
    ],
)
async def test_what_makes_no_key(
    keys: ApiKeys, name: str, scopes: list[Scope], app: str, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await keys.create(name, scopes, app)
    assert caught.value.field == field


async def test_the_development_key_stays_the_same_until_it_is_forgotten(
    keys: ApiKeys, disk: Disk, clock: FakeClock, random_bytes: Callable[[int], bytes]
) -> None:
    text = await keys.development_key()
    again = ApiKeys(MemoryStore(disk), clock=clock, random_bytes=random_bytes)
    await again.load()
    assert await again.development_key() == text
    assert (await again.authenticate(bearer(text), "peer")).permits("admin", "")
    await again.forget_development_key()
    await again.forget_development_key()
    assert not [kind for kind, _ in disk.documents if not kind.startswith("audit/")]
    with pytest.raises(HttpError):
        await again.authenticate(bearer(text), "peer")


async def test_a_key_that_is_revoked_while_it_is_verified(
    keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await keys.create("shop", ["publish"])

    async def slow(*arguments: object) -> bool:
        await keys.revoke(made.key.id)
        return True

    monkeypatch.setattr(keys, "_is_right", slow)
    with pytest.raises(HttpError, match="not good"):
        await keys.authenticate(bearer(made.text), "peer")
