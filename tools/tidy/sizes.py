"""Nothing grows beyond what one reading can hold.

The numbers are hard limits, not aims: a typical module has about 150 lines. They only ever go
down. A method whose name begins with `test_` does not count toward its class: a class of tests is
a folder.
"""

import ast
from collections.abc import Iterator

from tools.tidy.tree import Finding, SourceFile, SourceTree

MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
CLASS_METHODS_MAX = 25
COLUMNS_MAX = 100
DOCUMENT_COLUMNS = (".md", ".json", ".html")  # prose and data break where they like

assert FUNCTION_LINES_MAX < MODULE_LINES_MAX


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.files.values():
        if not file.path.endswith(DOCUMENT_COLUMNS):
            yield from _check_columns(file)
        if file.is_python:
            yield from _check_module(file)


def _check_columns(file: SourceFile) -> Iterator[Finding]:
    for number, line in enumerate(file.lines, start=1):
        if len(line) > COLUMNS_MAX and "://" not in line:
            sentence = f"{len(line)} columns; at most {COLUMNS_MAX}."
            yield Finding(file.path, number, "columns", sentence)


def _check_module(file: SourceFile) -> Iterator[Finding]:
    if len(file.lines) > MODULE_LINES_MAX:
        sentence = f"{len(file.lines)} lines; at most {MODULE_LINES_MAX}: split it by noun."
        yield Finding(file.path, 0, "module-size", sentence)
    for node in file.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _check_function(file, node)
        elif isinstance(node, ast.ClassDef):
            yield from _check_class(file, node)


def _check_function(
    file: SourceFile, node: ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Finding]:
    assert node.end_lineno is not None, "ast.parse always fills it in"
    lines = node.end_lineno - node.lineno + 1
    if lines > FUNCTION_LINES_MAX:
        sentence = f"`{node.name}` has {lines} lines; at most {FUNCTION_LINES_MAX}."
        yield Finding(file.path, node.lineno, "function-size", sentence)


def _check_class(file: SourceFile, node: ast.ClassDef) -> Iterator[Finding]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    methods = [
        each for each in node.body if isinstance(each, kinds) and not each.name.startswith("test_")
    ]
    if len(methods) > CLASS_METHODS_MAX:
        sentence = f"`{node.name}` has {len(methods)} methods; at most {CLASS_METHODS_MAX}."
        yield Finding(file.path, node.lineno, "class-size", sentence)
