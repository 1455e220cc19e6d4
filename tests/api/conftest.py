"""What the tests of the API share: the real service on a memory store, and a clock that stands."""

import itertools
import random
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from argon2 import PasswordHasher

from mobilesync.api.app import create_api
from mobilesync.api.keys import ApiKeys
from mobilesync.api.options import ApiOptions, MssOptions
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.audit import Audit
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import NoKeySource, Tokens
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, FakeClock
from tests.api.in_process import InProcess


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def random_bytes() -> Callable[[int], bytes]:
    """Different at each call, and the same in each run."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


@pytest.fixture
def disk() -> Disk:
    return Disk((7,))


@pytest.fixture
def store(disk: Disk) -> MemoryStore:
    return MemoryStore(disk)


@pytest.fixture
def audit(store: MemoryStore, clock: FakeClock) -> Audit:
    return Audit(store, clock)


@pytest.fixture
async def keys(
    store: MemoryStore, clock: FakeClock, random_bytes: Callable[[int], bytes], audit: Audit
) -> ApiKeys:
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    keys = ApiKeys(store, clock=clock, random_bytes=random_bytes, hasher=hasher, audit=audit)
    await keys.load()
    return keys


@pytest.fixture
def options() -> ApiOptions:
    mss = MssOptions(
        instances={"PROD_ONEX570DA89211721": "demo"}, device_bizzes=frozenset({"demo/LOCK"})
    )
    return ApiOptions(mss=mss, access_log=False, body_bytes_max=200_000, bodies_bytes_max=400_000)


@pytest.fixture
async def service(store: MemoryStore, clock: FakeClock, audit: Audit) -> AsyncIterator[Service]:
    """Two apps, `demo` and `other`; in `demo` the bizzes CHAT, LOCK, NOTICE and CLOSED."""
    secret = SecretKey(b"s" * 32)
    apps = Apps([App("demo", (secret,)), App("other", (secret,))])
    tokens = Tokens(apps, clock, NoKeySource())
    entropy = random.Random(1)
    service = Service(store, apps, tokens, clock=clock, entropy=entropy, audit=audit)
    await service.start()
    await service.configs.put("demo", SyncConfig(biz="CHAT"))
    await service.configs.put("demo", SyncConfig(biz="LOCK"))
    await service.configs.put("demo", SyncConfig(biz="NOTICE", persistent=False))
    await service.configs.put("demo", SyncConfig(biz="CLOSED", status="offline"))
    yield service
    await service.stop()


@pytest.fixture
async def caller(service: Service, keys: ApiKeys, options: ApiOptions) -> AsyncIterator[Caller]:
    """Calls the API with a key that may do everything."""
    made = await keys.create("tests", ["admin"])
    app = create_api(service, keys, options)
    transport = InProcess(app)
    headers = {"authorization": f"Bearer {made.text}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api.test", headers=headers
    ) as client:
        yield Caller(client, app)
