"""One `maker` per implementation: a test that asks for it runs over each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.storage.makers import MAKERS, EmbeddedMaker, Maker, MemoryMaker


@pytest_asyncio.fixture(params=MAKERS, ids=lambda maker: maker.name)
async def maker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Maker]:
    chosen: type[MemoryMaker | EmbeddedMaker] = request.param
    made = chosen(tmp_path)
    yield made
    await made.close()
