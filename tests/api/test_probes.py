"""Alive, ready, and in figures."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mobilesync.api.app import create_api
from mobilesync.api.keys import ApiKeys
from mobilesync.api.options import ApiOptions
from mobilesync.api.probes import METRICS_TYPE, render
from mobilesync.engine.metrics import Family
from mobilesync.engine.service import Service
from mobilesync.storage.memory import MemoryStore
from tests.api.fakes import Caller, assert_error
from tests.api.in_process import InProcess


@pytest.fixture
async def anybody(
    service: Service, keys: ApiKeys, options: ApiOptions
) -> AsyncIterator[httpx.AsyncClient]:
    """Without a key, where figures are public."""
    api = create_api(service, keys, replace(options, metrics_public=True))
    async with httpx.AsyncClient(transport=InProcess(api), base_url="http://x") as client:
        yield client


async def test_alive_and_ready_need_no_key(anybody: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await anybody.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_not_ready_while_draining(anybody: httpx.AsyncClient, service: Service) -> None:
    await service.drain(0)
    assert "draining" in assert_error(await anybody.get("/readyz"), "NOT_READY")["message"]
    assert (await anybody.get("/healthz")).status_code == 200


async def test_not_ready_without_a_store_and_silent_about_the_cause(
    anybody: httpx.AsyncClient, store: MemoryStore
) -> None:
    store._failed = "secret-folder: disk full"
    error = assert_error(await anybody.get("/readyz"), "NOT_READY")
    assert "secret-folder" not in str(error)


async def test_figures(anybody: httpx.AsyncClient, caller: Caller) -> None:
    await caller.publish()
    await caller.publish(biz="NONE")
    answer = await anybody.get("/metrics")
    assert answer.headers["content-type"] == METRICS_TYPE
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    assert families["mobilesync_publishes"].samples[0].value == 1
    refused = families["mobilesync_publishes_refused"].samples[0]
    assert (refused.labels, refused.value) == ({"code": "INVALID_BATCH"}, 1)
    buckets = families["mobilesync_append_seconds"].samples
    assert [sample.value for sample in buckets if sample.name.endswith("_count")] == [1]


async def test_figures_are_for_keys_of_all_apps(caller: Caller, keys: ApiKeys) -> None:
    assert (await caller.get("/metrics")).status_code == 200
    assert_error(await caller.get("/metrics", authorization=""), "UNAUTHORIZED")
    assert_error(await caller.get("/metrics", authorization="Bearer ms_no_no"), "UNAUTHORIZED")
    for scope, app in (("publish", ""), ("inspect", "demo")):
        made = await keys.create("x", [scope], app)  # type: ignore[list-item]  # of two literals
        answer = await caller.get("/metrics", authorization=f"Bearer {made.text}")
        assert_error(answer, "FORBIDDEN")


def test_the_text_format() -> None:
    samples = [("a_total", {"code": 'x"\\\n'}, 2.0), ("a_total", {}, 1e300)]
    text = render([Family("a_total", "counter", "one\ntwo \\", samples)]).decode()
    assert text == (
        "# HELP a_total one\\ntwo \\\\\n"
        "# TYPE a_total counter\n"
        'a_total{code="x\\"\\\\\\n"} 2\n'
        "a_total 1.0000000000000001e+300\n"
    )
