"""Clocks, chance, sleeping and printing happen only where the table says.

Strategy: everything left of the transports takes time and randomness as arguments, or the
simulator could not replay a seed. So follow each module's imports to learn what a dotted name
really means, and report every use of an effect, called or passed on, in a file whose path is not
one of its homes. `asyncio.sleep(0)` is a yield and no sleep, so it is fine everywhere; so is a
seeded `random.Random(seed)`.

Limit: an effect that hides behind a third-party library is not seen.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tools.tidy.tree import SOURCE, Finding, SourceFile, SourceTree

CLOCK, CHANCE, SLEEP, PRINT = "clock", "chance", "sleep", "print"


@dataclass(frozen=True)
class Home:
    """Files matching `path` may use `effects`."""

    path: str
    effects: frozenset[str]
    reason: str


HOMES = (
    Home(f"{SOURCE}/engine/clock.py", frozenset({CLOCK}), "the service's clock"),
    Home(f"{SOURCE}/engine/ticker.py", frozenset({SLEEP}), "waits for the whole engine"),
    Home(
        f"{SOURCE}/client/clock.py",
        frozenset({CLOCK, CHANCE}),
        "the app's clock, and the seed of its jitter",
    ),
    Home(f"{SOURCE}/client/*", frozenset({SLEEP}), "waits on its loop, virtual in the simulator"),
    Home(f"{SOURCE}/transports/*", frozenset({SLEEP, CHANCE}), "the real network is out here"),
    Home(f"{SOURCE}/api/*", frozenset({SLEEP}), "the real network is out here"),
    Home(
        f"{SOURCE}/publishing/*",
        frozenset({CLOCK, CHANCE, SLEEP}),
        "runs in a business's own program and imports nothing of ours",
    ),
    Home(
        f"{SOURCE}/cli/*",
        frozenset({CLOCK, CHANCE, SLEEP, PRINT}),
        "puts the service together and speaks to a person",
    ),
    Home(f"{SOURCE}/testing/*", frozenset({CLOCK, CHANCE, SLEEP}), "serves tests, ships no oplog"),
    Home("tools/*", frozenset({PRINT}), "speaks to a person"),
    Home("benchmarks/*", frozenset({PRINT}), "speaks to a person"),
    Home("examples/*", frozenset({PRINT}), "speaks to a person"),
)

# A name that ends in "." means everything in it.
_EFFECTS = {
    "time.": CLOCK,
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "datetime.date.today": CLOCK,
    "random.": CHANCE,
    "secrets.": CHANCE,
    "os.urandom": CHANCE,
    "os.getrandom": CHANCE,
    "uuid.uuid1": CHANCE,
    "uuid.uuid4": CHANCE,
    "asyncio.sleep": SLEEP,
    "print": PRINT,
}
_PURE = ("random.Random", "secrets.compare_digest", "time.struct_time")


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.python:
        allowed = {
            each for home in HOMES if fnmatchcase(file.path, home.path) for each in home.effects
        }
        ours = file.path.startswith(f"{SOURCE}/")
        for line, name, effect in _uses(file):
            if effect not in allowed and (ours or effect == PRINT):
                sentence = f"`{name}` ({effect}) has no home here; take it as an argument."
                yield Finding(file.path, line, "effect", sentence)


def _uses(file: SourceFile) -> Iterator[tuple[int, str, str]]:
    meanings = _meanings(file)
    pure_calls = {
        node.func for node in file.nodes if isinstance(node, ast.Call) and _is_yield(node)
    }
    inner = {node.value for node in file.nodes if isinstance(node, ast.Attribute)}
    for node in file.nodes:
        if not isinstance(node, ast.Attribute | ast.Name) or node in inner or node in pure_calls:
            continue
        name = _dotted(node, meanings)
        effect = _effect(name)
        if effect:
            yield node.lineno, name, effect
    for node in file.nodes:
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            name = _dotted(node.func, meanings)
            if name == "random.Random":
                yield node.lineno, "random.Random()", CHANCE


def _meanings(file: SourceFile) -> dict[str, str]:
    """What each imported name stands for; a name bound otherwise keeps its own meaning."""
    meanings: dict[str, str] = {}
    for node in file.nodes:
        match node:
            case ast.Import():
                for alias in node.names:
                    first = alias.name.partition(".")[0]
                    meanings[alias.asname or first] = alias.name if alias.asname else first
            case ast.ImportFrom(module=str() as origin, level=0):
                for alias in node.names:
                    meanings[alias.asname or alias.name] = f"{origin}.{alias.name}"
    return meanings


def _dotted(node: ast.AST, meanings: dict[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return meanings.get(name, name if name == "print" else "")
        case ast.Attribute(value=value, attr=attr):
            above = _dotted(value, meanings)
            return f"{above}.{attr}" if above else ""
    return ""


def _effect(name: str) -> str | None:
    if any(name == pure or name.startswith(f"{pure}.") for pure in _PURE):
        return None
    for known, effect in _EFFECTS.items():
        if name == known or (known.endswith(".") and name.startswith(known)):
            return effect
    return None


def _is_yield(call: ast.Call) -> bool:
    """Whether it reads `….sleep(0)`."""
    match call:
        case ast.Call(
            func=ast.Attribute(attr="sleep") | ast.Name(id="sleep"), args=[ast.Constant(value=0)]
        ):
            return True
    return False
