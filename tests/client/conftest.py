"""What the SDK's tests share: stores that a test dropped are closed behind it."""

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def dropped_stores_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests drop open stores on purpose: so dies an app. Python 3.13 and later warn of each."""
    connect = sqlite3.connect
    made: list[sqlite3.Connection] = []

    def connect_and_note(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", connect_and_note)
    yield
    for connection in made:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
