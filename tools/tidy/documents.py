"""Documents do not rot: links resolve, and nobody points at a line or at one machine.

- link: a relative link in a document names a file that exists, and its anchor a heading of that
  file;
- line-reference: `name.py` with a colon and a number is wrong after the next edit; name the
  function;
- machine-path: a path of the machine that something was written on means nothing to a reader.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tools.tidy.tree import Finding, SourceFile, SourceTree

_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_CODE = re.compile(r"`[^`]*`")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_LINE_REFERENCE = re.compile(r"[\w-]\.(?:py|md|toml|js|rs|go):\d+\b")
_MACHINE_PATH = re.compile(r"(?<![\w.$})])/(?:work|root)/")


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.documents:
        yield from _check_links(tree, file)
    for file in tree.files.values():
        for line, text in file.prose:
            if _LINE_REFERENCE.search(text):
                sentence = "names a line, which the next edit moves; name the thing."
                yield Finding(file.path, line, "line-reference", sentence)
        for line, text in enumerate(file.lines, start=1):
            if _MACHINE_PATH.search(text):
                sentence = "holds a path of one machine."
                yield Finding(file.path, line, "machine-path", sentence)


def _check_links(tree: SourceTree, file: SourceFile) -> Iterator[Finding]:
    for line, text in _outside_fences(file):
        for target in _LINK.findall(_CODE.sub("", text)):
            if not _SCHEME.match(target) and not _resolves(tree, file, target):
                yield Finding(file.path, line, "link", f"`{target}` leads nowhere.")


def _resolves(tree: SourceTree, file: SourceFile, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (tree.root / PurePosixPath(file.path).parent / name).resolve() if name else None
    if path is not None and not path.exists():
        return False
    if not anchor:
        return True
    relative = file.path if path is None else _relative(tree, path)
    document = tree.files.get(relative)
    return document is None or not document.is_document or anchor in _anchors(document)


def _relative(tree: SourceTree, path: Path) -> str:
    root = tree.root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else ""


def _anchors(file: SourceFile) -> set[str]:
    """The anchors of a document's headings, as the usual renderers make them."""
    anchors: set[str] = set()
    for _, text in _outside_fences(file):
        if text.startswith("#"):
            title = text.lstrip("#").strip().lower()
            anchors.add(re.sub(r"[^\w\- ]", "", title).replace(" ", "-"))
    return anchors


def _outside_fences(file: SourceFile) -> Iterator[tuple[int, str]]:
    fenced = False
    for line, text in enumerate(file.lines, start=1):
        if _FENCE.match(text):
            fenced = not fenced
        elif not fenced:
            yield line, text
