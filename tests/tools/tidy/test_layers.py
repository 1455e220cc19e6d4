"""Arrows that point the wrong way are caught wherever they hide."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import layers
from tools.tidy.tree import SourceTree

P = "src/mobilesync"


def rules(tree: SourceTree, *wanted: str) -> list[tuple[str, str]]:
    return [(f.rule, f.path) for f in layers.check(tree) if f.rule in (wanted or ("layer",))]


@pytest.mark.parametrize(
    "text",
    [
        "import mobilesync.engine.pump\n",
        "from mobilesync.engine import pump\n",
        "from mobilesync.engine.pump import Pump\n",
        "from mobilesync import engine\n",
        "from ..engine import pump\n",
        "def late():\n    from mobilesync.engine import pump\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mobilesync.engine.pump\n",
        "import importlib\nimportlib.import_module('mobilesync.engine.pump')\n",
        "__import__('mobilesync.engine.pump')\n",
    ],
)
def test_an_arrow_to_the_right_is_caught_in_every_spelling(plant: Plant, text: str) -> None:
    tree = plant(
        {
            f"{P}/storage/memory.py": text,
            f"{P}/engine/__init__.py": "",
            f"{P}/engine/pump.py": "",
        }
    )
    assert rules(tree) == [("layer", f"{P}/storage/memory.py")]


def test_arrows_to_the_left_to_oneself_and_to_the_root_are_fine(plant: Plant) -> None:
    tree = plant(
        {
            f"{P}/__init__.py": "__version__ = '1'\n",
            f"{P}/protocol/codec.py": "from mobilesync import __version__\n",
            f"{P}/engine/pump.py": (
                "import mobilesync.protocol.codec\nimport mobilesync.engine.waker\n"
            ),
            f"{P}/engine/waker.py": "import asyncio\n",
            f"{P}/testing/world.py": "import mobilesync.cli.serve\n",
        }
    )
    assert rules(tree) == []


@pytest.mark.parametrize(
    "source, target",
    [
        ("client", "domain"),
        ("publishing", "protocol"),
        ("sim", "transports"),
        ("api", "cli"),
        ("engine", "testing"),
    ],
)
def test_forbidden_pairs(plant: Plant, source: str, target: str) -> None:
    path = f"{P}/{source}/a.py"
    tree = plant({path: f"import mobilesync.{target}.b\n", f"{P}/{target}/b.py": ""})
    assert rules(tree) == [("layer", path)]


def test_the_root_imports_nothing_of_ours(plant: Plant) -> None:
    tree = plant({f"{P}/__init__.py": "import mobilesync.client\n", f"{P}/client/__init__.py": ""})
    assert rules(tree) == [("layer", f"{P}/__init__.py")]


def test_what_we_ship_imports_no_tests_or_tools(plant: Plant) -> None:
    tree = plant({f"{P}/cli/a.py": "from tools.tidy import tree\n"})
    assert rules(tree) == [("layer", f"{P}/cli/a.py")]


def test_a_folder_that_is_no_layer_is_refused(plant: Plant) -> None:
    assert rules(plant({f"{P}/extras/a.py": ""})) == [("layer", f"{P}/extras/a.py")]


def test_a_cycle_is_told_once_with_all_its_modules(plant: Plant) -> None:
    tree = plant(
        {
            f"{P}/engine/a.py": "from mobilesync.engine import b\n",
            f"{P}/engine/b.py": "def late():\n    import mobilesync.engine.c\n",
            f"{P}/engine/c.py": "from mobilesync.engine.a import x\n",
            f"{P}/engine/d.py": "from mobilesync.engine import a\n",
        }
    )
    (finding,) = [f for f in layers.check(tree) if f.rule == "cycle"]
    assert "mobilesync.engine.a, mobilesync.engine.b, mobilesync.engine.c" in finding.sentence
    assert "engine.d" not in finding.sentence


def test_a_package_may_list_the_names_of_its_modules(plant: Plant) -> None:
    tree = plant(
        {
            f"{P}/domain/__init__.py": "from mobilesync.domain.oplog import Oplog\n",
            f"{P}/domain/oplog.py": "from mobilesync.domain import names\n",
            f"{P}/domain/names.py": "",
        }
    )
    assert rules(tree, "layer", "cycle") == []


def test_but_its_modules_may_not_ask_the_package_for_them(plant: Plant) -> None:
    tree = plant(
        {
            f"{P}/domain/__init__.py": "from mobilesync.domain.oplog import Oplog\n",
            f"{P}/domain/oplog.py": "",
            f"{P}/domain/names.py": "from mobilesync.domain import Oplog\n",
        }
    )
    assert rules(tree, "cycle") == []
    tree = plant({f"{P}/domain/oplog.py": "from mobilesync.domain import Oplog\n"})
    assert [rule for rule, _ in rules(tree, "cycle")] == ["cycle"]


def test_a_module_that_only_its_test_imports_is_an_orphan(plant: Plant) -> None:
    tree = plant(
        {
            f"{P}/__init__.py": "",
            f"{P}/engine/__init__.py": "import mobilesync.engine.used\n",
            f"{P}/engine/used.py": "",
            f"{P}/engine/dead.py": "import mobilesync.engine.dead\n",
            f"{P}/cli/__main__.py": "",
            "tests/engine/test_dead.py": "import mobilesync.engine.dead\n",
        }
    )
    assert rules(tree, "orphan") == [("orphan", f"{P}/engine/dead.py")]
