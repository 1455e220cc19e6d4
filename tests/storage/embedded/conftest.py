"""Stores in a folder of the test's own, closed when it ends."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from mobilesync.storage.embedded import EmbeddedOptions, EmbeddedStore, open_embedded
from mobilesync.storage.embedded.tables import Tables

Opener = Callable[..., Awaitable[EmbeddedStore]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest_asyncio.fixture
async def opener(folder: Path) -> AsyncIterator[Opener]:
    """Opens the store in `folder`; arguments are those of `open_embedded`."""
    opened: list[EmbeddedStore] = []

    async def open_(path: Path = folder, **arguments: object) -> EmbeddedStore:
        given: Any = arguments
        store = await open_embedded(path, random=Random(7), **given)
        opened.append(store)
        return store

    yield open_
    for store in opened:
        await store.close()


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """An empty database. Tests that reopen it close it first."""
    return Tables(tmp_path / "database", EmbeddedOptions(), create=True)
