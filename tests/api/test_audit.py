"""The audit over HTTP: by app, by page, and for whom it is."""

import pytest

from mobilesync.api.keys import ApiKeys
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.audit import Audit
from mobilesync.engine.service import Service
from tests.api.fakes import Caller, FakeClock, assert_error

PATH = "/v1/apps/demo/audit"


async def test_entries_page_by_page(caller: Caller, audit: Audit, clock: FakeClock) -> None:
    clock.now_ms += 1
    for number in range(3):
        await audit.note("demo", "tests", "session_ended", {"device": f"d{number}"})
    first = (await caller.get(f"{PATH}?limit=2&action=session_ended")).json()["entries"]
    assert first[0] == {
        "id": clock.now_ms * 1000 + 2,
        "at_ms": clock.now_ms,
        "who": "tests",
        "action": "session_ended",
        "details": {"device": "d2"},
    }
    query = f"limit=2&action=session_ended&before={first[-1]['id']}"
    rest = (await caller.get(f"{PATH}?{query}")).json()["entries"]
    assert [entry["details"]["device"] for entry in [*first, *rest]] == ["d2", "d1", "d0"]
    after = (await caller.get(f"{PATH}?after={first[-1]['id']}")).json()["entries"]
    assert after == first[:1]


async def test_an_app_sees_its_own(caller: Caller, service: Service) -> None:
    await service.configs.put("other", SyncConfig(biz="ALIEN"))
    entries = (await caller.get(PATH)).json()["entries"]
    assert [entry["details"]["biz"] for entry in entries] == ["CLOSED", "NOTICE", "LOCK", "CHAT"]


async def test_what_concerns_the_server_is_for_admins_of_all(caller: Caller, keys: ApiKeys) -> None:
    entries = (await caller.get("/v1/audit")).json()["entries"]
    assert [(entry["action"], entry["details"]["name"]) for entry in entries] == [
        ("key_created", "tests")
    ]
    admin = await keys.create("admin of demo", ["admin"], "demo")
    reader = await keys.create("reader", ["configure"], "demo")
    viewer = await keys.create("viewer", ["inspect"])
    for made, statuses in ((admin, (200, 403)), (reader, (200, 403)), (viewer, (403, 403))):
        for path, status in zip((PATH, "/v1/audit"), statuses, strict=True):
            answer = await caller.get(path, authorization=f"Bearer {made.text}")
            assert answer.status_code == status


@pytest.mark.parametrize(
    "query, field",
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("before=x", "before"),
        ("after=-1", "after"),
        ("action=nonsense", "action"),
        ("user=42", ""),
    ],
)
async def test_queries_that_are_none(caller: Caller, query: str, field: str) -> None:
    assert_error(await caller.get(f"{PATH}?{query}"), "INVALID_REQUEST", field)
