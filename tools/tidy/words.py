"""One word for one thing: synonyms of the glossary are refused.

Strategy: a synonym is wrong only where it names one of our things, which no program can know in
general. So two small tables hold the synonyms that mean nothing else here: words of names that *we
bind* (a name of somebody else's library is not ours to choose), and phrases in comments,
docstrings and documents.
"""

import ast
import re
from collections.abc import Iterator

from tools.tidy.tree import Finding, SourceFile, SourceTree, words_of

# Consecutive words of a name, and what to say instead.
NAMES: dict[tuple[str, ...], str] = {
    ("msg", "id"): "message_id",
    ("msgid",): "message_id",
    ("seq", "no"): "oplog_id",
    ("seqno",): "oplog_id",
    ("sequence", "number"): "oplog_id",
    ("oplog", "offset"): "oplog_id",
    ("oplog", "seq"): "oplog_id",
    ("oplog", "event"): "oplog",
    ("oplog", "events"): "oplogs",
    ("oplog", "message"): "oplog",
    ("oplog", "messages"): "oplogs",
    ("oplog", "record"): "oplog",
    ("oplog", "records"): "oplogs",
    ("sync", "key"): "sync_point",
    ("sync", "mark"): "sync_point",
    ("ack", "mark"): "sync_point",
    ("topic",): "biz or channel",
    ("topics",): "bizs or channels",
    ("tenant",): "app",
    ("tenants",): "apps",
}

PHRASES: dict[str, str] = {
    r"\boplog (?:event|record|message)s?\b": "oplog",
    r"\boplog(?:'s)? (?:offset|sequence number|seq)s?\b": "oplog id",
    r"\b(?:msg|message) offsets?\b": "oplog id",
    r"\bmsg[ _-]?ids?\b": "message id",
    r"\bseq[ _-]?no\b": "oplog id",
    r"\bsync[ _-]?(?:key|mark)s?\b": "sync point",
    r"\btopics?\b": "biz or channel",
}
_PHRASES = [(re.compile(text, re.IGNORECASE), instead) for text, instead in PHRASES.items()]


def check(tree: SourceTree) -> Iterator[Finding]:
    for file in tree.files.values():
        if file.is_python:
            for line, name in _bound_names(file):
                yield from _check_name(file, line, name)
        for line, text in file.prose:
            yield from _check_text(file, line, text)


def _check_name(file: SourceFile, line: int, name: str) -> Iterator[Finding]:
    words = tuple(words_of(name))
    for banned, instead in NAMES.items():
        length = len(banned)
        if any(words[i : i + length] == banned for i in range(len(words) - length + 1)):
            yield Finding(file.path, line, "word", f"`{name}`: say {instead}.")


def _check_text(file: SourceFile, line: int, text: str) -> Iterator[Finding]:
    for pattern, instead in _PHRASES:
        found = pattern.search(text)
        if found:
            yield Finding(file.path, line, "word", f"“{found[0]}”: say {instead}.")


def _bound_names(file: SourceFile) -> Iterator[tuple[int, str]]:
    for node in file.nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
