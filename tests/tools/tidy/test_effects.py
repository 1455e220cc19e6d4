"""Every spelling of an effect is caught, except in its homes."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import effects
from tools.tidy.tree import SourceTree

ENGINE = "src/mobilesync/engine/pump.py"


def lines(tree: SourceTree) -> list[int]:
    return [finding.line for finding in effects.check(tree)]


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.monotonic()\n",
        "import time as t\nnow = t.time\n",
        "from time import perf_counter\nperf_counter()\n",
        "from datetime import datetime\ndatetime.now()\n",
        "import datetime as dt\ndt.datetime.now(dt.UTC)\n",
        "import random\nrandom.random()\n",
        "from random import choice as pick\npick([1])\n",
        "import random\nrandom.Random()\n",
        "import random\nrandom.SystemRandom(1)\n",
        "import os\nos.urandom(8)\n",
        "import secrets\nsecrets.token_hex()\n",
        "import uuid\nuuid.uuid4()\n",
        "import asyncio\nasyncio.sleep(1)\n",
        "from asyncio import sleep\nsleep(delay)\n",
        "\nprint('x')\n",
        "\nshow = print\n",
    ],
)
def test_an_effect_in_the_engine_is_caught_once(plant: Plant, text: str) -> None:
    assert lines(plant({ENGINE: text})) == [2]


@pytest.mark.parametrize(
    "text",
    [
        "import random\nrng = random.Random(7)\n",
        "import random\ndef f(rng: random.Random) -> float: return rng.random()\n",
        "import asyncio\nasyncio.sleep(0)\n",
        "from asyncio import sleep\nsleep(0)\n",
        "import asyncio\nasyncio.wait_for(x, 3)\n",
        "import secrets\nsecrets.compare_digest(a, b)\n",
        "from datetime import datetime\ndatetime.fromtimestamp(0, UTC)\n",
        "def f(time): return time.monotonic()\n",
        "def f(self): return self.random.random() + self.print.time()\n",
        "import uuid\nuuid.UUID(text)\n",
    ],
)
def test_what_only_looks_like_an_effect_is_fine(plant: Plant, text: str) -> None:
    assert lines(plant({ENGINE: text})) == []


@pytest.mark.parametrize(
    "path, text",
    [
        ("src/mobilesync/engine/clock.py", "import time\ntime.time_ns()\n"),
        ("src/mobilesync/client/clock.py", "import random\nrandom.Random()\n"),
        ("src/mobilesync/client/connection.py", "import asyncio\nasyncio.sleep(1)\n"),
        ("src/mobilesync/transports/tls/listener.py", "import os\nos.urandom(8)\n"),
        ("src/mobilesync/cli/demo.py", "print(1)\n"),
        ("tools/a.py", "print(1)\n"),
        ("tests/test_a.py", "import time\ntime.monotonic()\n"),
    ],
)
def test_an_effect_at_home_is_fine(plant: Plant, path: str, text: str) -> None:
    assert lines(plant({path: text})) == []


@pytest.mark.parametrize(
    "path, text",
    [
        ("src/mobilesync/client/connection.py", "import time\ntime.time()\n"),
        ("src/mobilesync/engine/clock.py", "import random\nrandom.random()\n"),
        ("src/mobilesync/storage/memory.py", "import asyncio\nasyncio.sleep(1)\n"),
        ("src/mobilesync/api/publish.py", "\nprint(1)\n"),
        ("tests/test_a.py", "\nprint(1)\n"),
    ],
)
def test_a_home_is_for_its_own_effects_only(plant: Plant, path: str, text: str) -> None:
    assert lines(plant({path: text})) == [2]
