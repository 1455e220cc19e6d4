"""The examples, run as they are; and small, as they promise."""

from pathlib import Path

import pytest

from examples import chat, flags, payment

FOLDER = Path(chat.__file__).parent
LINES_MAX = 80


async def test_chat_shows_every_line_on_every_device_in_order() -> None:
    lines = ["ada: Lunch?", "bob: At noon, the usual place.", "ada: See you there!"]

    shown = await chat.main()

    assert shown == {"ada's phone": lines, "ada's tablet": lines, "bob's mobile": lines}


async def test_payments_are_booked_once_each_though_the_phone_was_off() -> None:
    assert await payment.main() == [("p-1", 1250), ("p-2", 399), ("p-3", 8900)]


async def test_flags_reach_everyone_late_joiners_too_and_no_version_they_are_not_for() -> None:
    told = await flags.main()

    assert told["new"] == {"dark-mode": True, "checkout": "v2"}
    assert told["old"] == {"dark-mode": True, "checkout": "v1"}
    assert told["late"] == told["new"]


@pytest.mark.parametrize("name", ["chat.py", "payment.py", "flags.py"])
def test_an_example_stays_small(name: str) -> None:
    assert len((FOLDER / name).read_text().splitlines()) < LINES_MAX
