"""Imports point one way, and every module is reached by one.

Strategy: read every import of the package, wherever it stands (under `TYPE_CHECKING`, inside a
function, through `importlib.import_module("…")`), as an arrow between two modules. Three rules
follow:
- layer: an arrow between two layers must be in `ARROWS`;
- cycle: inside the package no path of arrows leads back to its start;
- orphan: a module that no other module imports is dead, unless it is an entrance.

`from pkg import name` is an arrow to the module `pkg.name` if there is one, else to `pkg`. That
importing `pkg.name` also runs `pkg/__init__.py` is no arrow, or every package that lists its names
would be a cycle.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tools.tidy.tree import CODE_FOLDERS, PACKAGE, Finding, SourceFile, SourceTree
from tools.tidy.tree import module_name as name_of

_PATH = ("protocol", "domain", "storage", "engine", "transports", "api")

# Who may import whom; each layer may import itself and the package's root, which imports nothing.
ARROWS: dict[str, frozenset[str]] = {
    **{layer: frozenset(_PATH[:place]) for place, layer in enumerate(_PATH)},
    "client": frozenset({"protocol"}),
    "publishing": frozenset(),
    "console": frozenset(),
    "sim": frozenset({"protocol", "domain", "storage", "engine", "client"}),
    "cli": frozenset({*_PATH, "client", "publishing", "console", "sim"}),
    "testing": frozenset({*_PATH, "client", "publishing", "console", "sim", "cli"}),
}
_DYNAMIC = ("import_module", "__import__")


@dataclass(frozen=True)
class Arrow:
    """`source` imports `target` (both dotted names) at `line` of `path`."""

    path: str
    line: int
    source: str
    target: str


def check(tree: SourceTree) -> Iterator[Finding]:
    names = {name_of(file.path) for file in tree.python}
    arrows = [arrow for file in tree.package for arrow in _arrows(file, names)]
    yield from _check_layers(tree, arrows)
    yield from _check_cycles(arrows)
    yield from _check_orphans(tree, names)


def _check_layers(tree: SourceTree, arrows: list[Arrow]) -> Iterator[Finding]:
    for file in tree.package:
        layer = _layer(name_of(file.path))
        if layer and layer not in ARROWS:
            yield Finding(file.path, 0, "layer", f"`{layer}` is no layer; see ARROWS.")
    for arrow in arrows:
        if not arrow.target.startswith(PACKAGE):
            sentence = f"what we ship may not import `{arrow.target}`."
            yield Finding(arrow.path, arrow.line, "layer", sentence)
            continue
        source, target = _layer(arrow.source), _layer(arrow.target)
        if target not in {"", source} and target not in ARROWS.get(source, frozenset()):
            allowed = ", ".join(sorted(ARROWS.get(source, ()))) or "none"
            where = source or "the package's root"
            sentence = f"{where} imports `{arrow.target}`; it may import of ours: {allowed}."
            yield Finding(arrow.path, arrow.line, "layer", sentence)


def _check_cycles(arrows: list[Arrow]) -> Iterator[Finding]:
    graph: dict[str, set[str]] = {}
    paths: dict[str, str] = {}
    for arrow in arrows:
        graph.setdefault(arrow.source, set()).add(arrow.target)
        paths[arrow.source] = arrow.path
    reach = {name: _reachable(name, graph) for name in graph}
    told: set[str] = set()
    for name in sorted(graph):
        if name in told or name not in reach[name]:
            continue
        ring = sorted(other for other in reach[name] if name in reach.get(other, set()))
        told.update(ring)
        yield Finding(paths[name], 0, "cycle", f"these import each other: {', '.join(ring)}.")


def _check_orphans(tree: SourceTree, names: set[str]) -> Iterator[Finding]:
    users = [file for file in tree.python if not file.path.startswith("tests/")]
    imported = {
        arrow.target
        for file in users
        for arrow in _arrows(file, names)
        if arrow.target != arrow.source
    }
    for file in tree.package:
        name = name_of(file.path)
        if file.stem not in {"__init__", "__main__"} and name not in imported:
            yield Finding(file.path, 0, "orphan", "no module imports this one.")


def _arrows(file: SourceFile, names: set[str]) -> Iterator[Arrow]:
    source = name_of(file.path)
    package = source if file.stem == "__init__" else source.rpartition(".")[0]
    for node in file.nodes:
        for line, target in _targets(node, package, names):
            if target.partition(".")[0] in {PACKAGE, *CODE_FOLDERS} - {"src"}:
                yield Arrow(file.path, line, source, target)


def _targets(node: ast.AST, package: str, names: set[str]) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Import():
            yield from ((node.lineno, alias.name) for alias in node.names)
        case ast.ImportFrom():
            origin = _origin(node, package)
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                yield node.lineno, full if full in names else origin
        case ast.Call(func=ast.Name(id=call), args=[ast.Constant(value=str() as name), *_]) | (
            ast.Call(func=ast.Attribute(attr=call), args=[ast.Constant(value=str() as name), *_])
        ) if call in _DYNAMIC:
            yield node.lineno, name


def _origin(node: ast.ImportFrom, package: str) -> str:
    """The absolute module that `node` imports from."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, node.module] if node.module else above)


def _layer(name: str) -> str:
    """The layer of a module of ours: its folder or file below the package; "" for the root."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def _reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(graph.get(name, ()))
    return seen


assert ARROWS["domain"] == {"protocol"}, "protocol ← domain is the first arrow"
assert all(ARROWS[target] <= allowed for allowed in ARROWS.values() for target in allowed), (
    "a layer may import whatever the layers that it imports may"
)
