"""Nobody wants to know nothing, and fits the shape of who does."""

from mobilesync.engine.happenings import Listener, Nobody


def test_nobody_takes_it_and_keeps_nothing() -> None:
    nobody: Listener = Nobody()
    assert not nobody.wants("shop", "oplog.delivered", "CHAT")
    assert not nobody.has("shop", "orders")
    nobody.put("shop", "oplog.delivered", {})
    nobody.put_for("shop", "orders", "oplog.outcome", {})
    nobody.cancel("shop", "wake-up user:ada")
