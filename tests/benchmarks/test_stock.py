"""A filled data folder is one that a server would have left."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from benchmarks import stock
from mobilesync.cli.control import STORE_NAME
from mobilesync.cli.development import APP
from mobilesync.storage.embedded import open_embedded


async def _stored(data: Path) -> int:
    store = await open_embedded(data / STORE_NAME, random=Random(1))
    targets = [f"user:u{stock.FIRST + number}" for number in range(stock.USERS)]
    heads = await store.heads(APP, targets)
    await store.close()
    return sum(head.last for head in heads.values())


def test_it_holds_as_many_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "USERS", 50)
    monkeypatch.setattr(stock, "GROUP", 100)
    monkeypatch.setattr(stock, "TELL_EVERY", 400)
    told: list[str] = []
    stock.fill(tmp_path / "data", 901, told.append)
    assert asyncio.run(_stored(tmp_path / "data")) == 901
    assert told == ["stored 400 of 901 oplogs", "stored 800 of 901 oplogs"]
