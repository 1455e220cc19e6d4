"""The files that the rules look at, read once.

Strategy: a `SourceTree` reads the folders named below, and nothing else, so that a virtual
environment or a build never slows a check. Each file parses itself when a rule first asks. Paths
are relative to the root and use forward slashes, so that a finding reads the same everywhere.

Not here: any judgement, except that a Python file must parse (`broken`).
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

PACKAGE = "mobilesync"
SOURCE = f"src/{PACKAGE}"
CODE_FOLDERS = ("src", "tests", "tools", "benchmarks", "examples")
DOCUMENT_FOLDERS = ("docs", "spec", *CODE_FOLDERS)
ROOT_FILES = ("Makefile", "pyproject.toml", ".ci/run")
SUFFIXES = (".py", ".md", ".toml", ".json", ".sh", ".js", ".html", ".yml", ".yaml")
SKIPPED = ("__pycache__", "node_modules")


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule. Printed as `path:line: rule: sentence`; line 0 means the whole file."""

    path: str
    line: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.rule}: {self.sentence}"


class SourceFile:
    """One file: its text, and for Python its syntax tree and its comments."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    @property
    def is_document(self) -> bool:
        return self.path.endswith(".md")

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def module(self) -> ast.Module:
        """The syntax tree. Raises SyntaxError; `SourceTree` keeps no file that would."""
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree: walking it is most of the work, and nearly every rule does."""
        return tuple(ast.walk(self.module))

    @cached_property
    def comments(self) -> list[tuple[int, str]]:
        """Each comment with its line, in order."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """What is written for people: a document's lines; a module's comments and docstrings."""
        if self.is_document:
            return list(enumerate(self.lines, start=1))
        if not self.is_python:
            return []
        return sorted([*self.comments, *self._docstring_lines()])

    def _docstring_lines(self) -> Iterator[tuple[int, str]]:
        for node in self.nodes:
            match node:
                case ast.Expr(value=ast.Constant(value=str() as text, lineno=first)):
                    yield from enumerate(text.splitlines(), start=first)


class SourceTree:
    """Every file that a rule may look at, by path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.broken: list[Finding] = []
        self.files: dict[str, SourceFile] = {}
        for path in sorted(set(_paths(root))):
            self._read(path)

    @property
    def python(self) -> list[SourceFile]:
        """Python files of every code folder."""
        return [file for file in self.files.values() if file.is_python]

    @property
    def package(self) -> list[SourceFile]:
        """Python files of the package that we ship."""
        return [file for file in self.python if file.path.startswith(f"{SOURCE}/")]

    @property
    def documents(self) -> list[SourceFile]:
        return [file for file in self.files.values() if file.is_document]

    def _read(self, path: Path) -> None:
        name = path.relative_to(self.root).as_posix()
        try:
            file = SourceFile(name, path.read_text(encoding="utf-8"))
            if file.is_python:
                _ = file.module
        except FileNotFoundError:
            return  # somebody deleted it while we were reading
        except (SyntaxError, ValueError) as error:
            self.broken.append(Finding(name, 0, "syntax", f"cannot be read: {error}."))
            return
        self.files[name] = file


def module_name(path: str) -> str:
    """The dotted name under which `path` is imported."""
    parts = PurePosixPath(path.removeprefix("src/")).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def words_of(name: str) -> list[str]:
    """The lower-case words of a snake_case or CamelCase name."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


def _paths(root: Path) -> Iterator[Path]:
    yield from root.glob("*.md")
    yield from (root / name for name in ROOT_FILES if (root / name).is_file())
    for folder in DOCUMENT_FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.suffix in SUFFIXES and path.is_file() and not _skipped(path, root):
                yield path


def _skipped(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return any(part in SKIPPED or part.startswith(".") for part in parts)
