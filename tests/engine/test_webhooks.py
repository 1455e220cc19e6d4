"""Webhooks: durable before they are in effect, bounded, with secrets that nobody sees again."""

import asyncio
import random
from typing import cast

import msgspec
import pytest

from mobilesync.domain.errors import InvalidRequest, StoreUnavailable, UnknownWebhook
from mobilesync.engine.audit import Audit
from mobilesync.engine.webhooks import (
    BIZZES_MAX,
    DESCRIPTION_CHARS_MAX,
    KIND,
    RECEIVER,
    URL_CHARS_MAX,
    WEBHOOKS_MAX,
    Webhook,
    Webhooks,
    check_url,
    check_webhook_name,
)
from mobilesync.sim.clock import SimClock
from mobilesync.sim.loop import VirtualLoop
from mobilesync.storage.disk import Disk
from mobilesync.storage.memory import MemoryStore
from tests.engine.receivers import SECRET
from tests.engine.world import Gate, settle, simulated

HOOK = Webhook(name="hook", url="https://shop.example/in", kinds=("oplog.delivered",))


def _webhooks(store: MemoryStore | None = None) -> Webhooks:
    return Webhooks(store or MemoryStore(Disk((1,))), entropy=random.Random(1))


@simulated
async def test_what_was_put_is_there_after_a_restart() -> None:
    disk = Disk((1,))
    webhooks = _webhooks(MemoryStore(disk))
    kept = await webhooks.put("a", HOOK)
    await webhooks.put("b", HOOK)
    await webhooks.put("a", msgspec.structs.replace(HOOK, name="another", status="offline"))
    again = _webhooks(MemoryStore(disk))
    await again.load()
    assert again.get("a", "hook") == kept.webhook
    assert [webhook.name for webhook in again.list("a")] == ["another", "hook"]
    assert [app for app, _ in again.all()] == ["a", "a", "b"]


@simulated
async def test_a_secret_is_made_once_and_kept_until_another_is_given() -> None:
    webhooks = _webhooks()
    first = await webhooks.put("a", HOOK)
    assert first.is_secret_new
    changed = await webhooks.put("a", msgspec.structs.replace(HOOK, description="changed"))
    assert not changed.is_secret_new
    assert changed.webhook.secret == first.webhook.secret
    given = await webhooks.put("a", msgspec.structs.replace(HOOK, secret=SECRET))
    assert not given.is_secret_new
    assert webhooks.get("a", "hook").secret == SECRET
    other = await webhooks.put("b", HOOK)
    assert other.webhook.secret != first.webhook.secret
    assert SECRET not in repr(given)


@simulated
async def test_unknown_webhooks_are_told_with_a_hint() -> None:
    webhooks = _webhooks()
    assert webhooks.find("a", "hook") is None
    with pytest.raises(UnknownWebhook) as caught:
        webhooks.get("a", "hook")
    assert caught.value.hint
    with pytest.raises(UnknownWebhook):
        await webhooks.remove("a", "hook")


@simulated
async def test_an_app_has_no_more_than_its_bound() -> None:
    webhooks = _webhooks()
    for number in range(WEBHOOKS_MAX - 1):
        await webhooks.put("a", msgspec.structs.replace(HOOK, name=f"h{number}"))
    two = [webhooks.put("a", msgspec.structs.replace(HOOK, name=name)) for name in ("one", "two")]
    answers = await asyncio.gather(*two, return_exceptions=True)
    assert isinstance(answers[1], InvalidRequest), "also when they come at the same time"
    assert len(webhooks.list("a")) == WEBHOOKS_MAX
    await webhooks.put("a", msgspec.structs.replace(HOOK, name="one", description="changed"))
    await webhooks.put("b", HOOK)
    await webhooks.remove("a", "h0")
    await webhooks.put("a", msgspec.structs.replace(HOOK, name="two"))


@pytest.mark.parametrize(
    "changed, field",
    [
        ({"name": "Hook"}, "webhook"),
        ({"name": "a/b"}, "webhook"),
        ({"url": "ftp://shop.example"}, "url"),
        ({"kinds": ()}, "kinds"),
        ({"kinds": ("oplog.lost",)}, "kinds"),
        ({"kinds": ("device.online", "device.online")}, "kinds"),
        ({"bizzes": ("no biz",)}, "bizzes"),
        ({"bizzes": tuple(f"B{n}" for n in range(BIZZES_MAX + 1))}, "bizzes"),
        ({"status": "paused"}, "status"),
        ({"description": "x" * (DESCRIPTION_CHARS_MAX + 1)}, "description"),
        ({"secret": "whsec_short"}, "secret"),
    ],
)
def test_wrong_ones_are_refused_and_change_nothing(changed: dict[str, object], field: str) -> None:
    @simulated
    async def scenario() -> None:
        webhooks = _webhooks()
        with pytest.raises(InvalidRequest) as caught:
            await webhooks.put("a", msgspec.structs.replace(HOOK, **changed))
        assert caught.value.field == field
        assert caught.value.hint
        assert webhooks.list("a") == []

    scenario()


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example:8443/hooks/mobilesync?token=x",
        "https://127.0.0.1/",
        "https://[::1]:8443/in",
        "https://10.0.0.7/in",
    ],
)
def test_addresses_of_receivers(url: str) -> None:
    assert check_url(url, plain_loopback=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example",
        "https://",
        "https:///in",
        "https://shop.example/in#here",
        "https://shop.example/a b",
        "https://shop.example/\n",
        "https://schön.example/",
        "https://user@shop.example/",
        "https://user:secret@shop.example/",
        "https://:secret@shop.example/",
        "https://@shop.example/",
        "https://shop.example:99999/",
        "https://shop.example:port/",
        "https://[::1/",
        "https://shop.example/" + "x" * URL_CHARS_MAX,
        "http://shop.example/",
        "http://10.0.0.7/",
        "http://127.0.0.1.shop.example/",
        "file:///etc/passwd",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    for plain_loopback in (False, True):
        with pytest.raises(InvalidRequest) as caught:
            check_url(url, plain_loopback=plain_loopback)
        assert caught.value.field == "url"
        assert caught.value.hint


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/in", "http://localhost/", "http://[::1]:9000/"]
)
def test_plain_http_stays_on_this_machine_and_in_development(url: str) -> None:
    assert check_url(url, plain_loopback=True) == url
    with pytest.raises(InvalidRequest, match="unencrypted"):
        check_url(url, plain_loopback=False)


def test_names() -> None:
    assert check_webhook_name("billing_2-a") == "billing_2-a"
    for wrong in ("", "-a", "a.b", "a" * 65, "ä"):
        with pytest.raises(InvalidRequest):
            check_webhook_name(wrong)


@simulated
async def test_listeners_hear_of_changes_once_they_are_durable() -> None:
    gate = Gate()
    webhooks = _webhooks(MemoryStore(Disk((1,)), sync=gate.passed))
    heard: list[tuple[str, str, str]] = []
    webhooks.on_change(
        lambda app, name, hook: heard.append((app, name, hook.status if hook else "gone"))
    )
    putting = asyncio.ensure_future(webhooks.put("a", HOOK))
    await settle()
    assert heard == []
    assert webhooks.list("a") == []
    gate.open()
    await putting
    await webhooks.take_offline("a", "hook", HOOK.url)
    await webhooks.remove("a", "hook")
    assert heard == [
        ("a", "hook", "online"),
        ("a", "hook", "offline"),
        ("a", "hook", "offline"),
        ("a", "hook", "gone"),
    ]


@simulated
async def test_going_offline_is_about_the_address_that_said_so() -> None:
    webhooks = _webhooks()
    await webhooks.put("a", HOOK)
    await webhooks.take_offline("a", "hook", "https://shop.example/old")
    assert webhooks.get("a", "hook").status == "online", "it has moved meanwhile"
    await webhooks.take_offline("a", "gone", HOOK.url)
    await webhooks.take_offline("a", "hook", HOOK.url)
    assert webhooks.get("a", "hook").status == "offline"
    assert webhooks.get("a", "hook").secret


@simulated
async def test_who_changed_what_is_noted_in_the_same_commit_and_no_secret_is() -> None:
    disk = Disk((1,))
    store = MemoryStore(disk)
    clock = SimClock(cast("VirtualLoop", asyncio.get_running_loop()))
    audit = Audit(store, clock)
    webhooks = Webhooks(store, entropy=random.Random(1), audit=audit)
    await webhooks.put("a", HOOK, who="ada")
    await webhooks.put("a", HOOK, who="bob")
    changed = msgspec.structs.replace(HOOK, kinds=("device.online",), secret=SECRET)
    await webhooks.put("a", changed, who="ada")
    commits = store.stats().commits
    await webhooks.take_offline("a", "hook", HOOK.url)
    assert store.stats().commits == commits + 1
    await webhooks.remove("a", "hook", who="eve")
    entries = [
        (entry.who, entry.action, {rule["rule"]: rule["to"] for rule in entry.details["rules"]})
        for entry in reversed(await audit.read("a"))
    ]
    rest = {"bizzes": [], "status": "online", "description": ""}
    made = {"url": HOOK.url, "kinds": ["oplog.delivered"], **rest}
    assert entries == [
        ("ada", "webhook_created", made),
        ("ada", "webhook_changed", {"kinds": ["device.online"], "secret": "this one"}),
        (RECEIVER, "webhook_changed", {"status": "offline"}),
        ("eve", "webhook_removed", dict.fromkeys(made)),
    ]
    assert all(b"whsec" not in value for (of, _), value in disk.documents.items() if of != KIND)


@simulated
async def test_a_removal_that_fails_leaves_it_offline() -> None:
    store = MemoryStore(Disk((1,)))
    webhooks = _webhooks(store)
    await webhooks.put("a", HOOK)
    cleared: list[str] = []

    async def clear(app: str, name: str) -> bool:
        cleared.append(name)
        if len(cleared) == 2:
            await store.close()
        return True

    webhooks.on_remove(clear)
    with pytest.raises(StoreUnavailable):
        await webhooks.remove("a", "hook")
    assert cleared == ["hook", "hook"]
    assert webhooks.get("a", "hook").status == "offline"


@simulated
async def test_a_store_that_refuses_leaves_the_old_one() -> None:
    store = MemoryStore(Disk((1,)))
    webhooks = _webhooks(store)
    kept = await webhooks.put("a", HOOK)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await webhooks.put("a", msgspec.structs.replace(HOOK, status="offline"))
    assert webhooks.get("a", "hook") == kept.webhook
