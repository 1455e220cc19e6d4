"""A file and a class are named for one noun, never for a drawer.

A module called `utils` says what its author did not decide. So the words below may not stand in
the name of a module, a folder or a class, whole or as a part (`session_helpers`, `StoreManager`).
"""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from tools.tidy.tree import Finding, SourceFile, SourceTree, words_of

DRAWERS = frozenset(
    {"base", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.python:
        yield from _check_path(file)
        for node in file.nodes:
            if isinstance(node, ast.ClassDef):
                yield from _check_class(file, node)


def _check_path(file: SourceFile) -> Iterator[Finding]:
    for part in PurePosixPath(file.path).with_suffix("").parts:
        for word in words_of(part):
            if word in DRAWERS:
                sentence = f"`{part}`: name it for what it holds, not `{word}`."
                yield Finding(file.path, 0, "name", sentence)


def _check_class(file: SourceFile, node: ast.ClassDef) -> Iterator[Finding]:
    for word in words_of(node.name):
        if word in DRAWERS:
            sentence = f"class `{node.name}`: name it for what it is, not `{word}`."
            yield Finding(file.path, node.lineno, "name", sentence)
