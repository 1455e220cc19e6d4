"""Write the spec's tables from the code that obeys them: `python -m tools.generate_spec`.

Strategy: a page of `spec/` holds blocks between `<!-- generated: NAME -->` and `<!-- end -->`. Each
name is a function here that reads the protocol's own tables: messages and their docstrings,
bounds, codes, transitions. With `--check` nothing is written, and a stale page is an error; a test
does the same, so that text and code cannot part.

Not here: the sentences around the tables, which are written by hand and are what binds.
"""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec.inspect as mi

from mobilesync.protocol import codes, heartbeat, limits, messages
from mobilesync.protocol.codes import (
    MEANINGS,
    CloseCode,
    ResetReason,
    Waits,
    WithdrawalReason,
    reaction,
)
from mobilesync.protocol.transitions import TRANSITIONS, ConversationState, Role

SPEC = Path(__file__).resolve().parents[1] / "spec"
_BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PARTS = (
    messages.SyncPoint,
    messages.PushedOplog,
    messages.Origin,
    messages.Withdrawal,
    messages.IdRange,
    messages.Acked,
)


def generate(text: str) -> str:
    """`text` with every block filled anew. Raises KeyError for a block without a function."""
    return _BLOCK.sub(lambda block: f"{block[1]}{BLOCKS[block[2]]()}\n{block[3]}", text)


def stale(folder: Path = SPEC) -> list[Path]:
    """The pages whose blocks are not what the code says."""
    return [page for page in _pages(folder) if generate(page.read_text()) != page.read_text()]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the spec's tables from the code.")
    parser.add_argument("--check", action="store_true", help="only say which pages are stale")
    check = parser.parse_args(arguments).check
    pages = stale()
    for page in pages:
        print(f"{page.relative_to(SPEC.parent)}: {'stale' if check else 'written'}")
        if not check:
            page.write_text(generate(page.read_text()))
    return 1 if check and pages else 0


def docstrings(module: ModuleType, inside: str = "") -> dict[str, str]:
    """The sentence below each assignment of `module`, or of its class `inside`, by name."""
    body = ast.parse(inspect.getsource(module)).body
    if inside:
        [body] = [
            each.body for each in body if isinstance(each, ast.ClassDef) and each.name == inside
        ]
    found: dict[str, str] = {}
    for node, after in pairwise(body):
        match node, after:
            case (
                (ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name))),
                ast.Expr(value=ast.Constant(value=str() as sentence)),
            ):
                found[name] = inspect.cleandoc(sentence).replace("\n", " ")
    return found


def _bounds() -> str:
    said = docstrings(limits)
    rows = [
        (f"`{name}`", f"{value:,}" if isinstance(value, int) else f"`{value}`", said.get(name, ""))
        for name, value in vars(limits).items()
        if name.isupper() and not name.startswith("_")
    ]
    return _table(("bound", "value", "of what"), rows)


def _messages() -> str:
    return "\n\n".join(_section(kind) for kind in get_args(messages.Message))


def _parts() -> str:
    return "\n\n".join(_section(kind) for kind in _PARTS)


def _section(kind: type) -> str:
    tag = kind.__struct_config__.tag  # type: ignore[attr-defined]  # every struct has one
    title = f"### {kind.__name__} ({tag})" if isinstance(tag, int) else f"### {kind.__name__}"
    said = docstrings(messages, kind.__name__)
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    first = 1 if isinstance(tag, int) else 0
    rows = [
        (
            str(index),
            f"`{field.name}`",
            type_in_words(field.type),
            _default(field),
            said[field.name],
        )
        for index, field in enumerate(info.fields, first)
    ]
    if not rows:
        return f"{title}\n\n{inspect.getdoc(kind)}\n\nNo fields."
    table = _table(("#", "field", "type", "default", "meaning"), rows)
    return f"{title}\n\n{inspect.getdoc(kind)}\n\n{table}"


def _default(field: mi.Field) -> str:
    if field.required:
        return "required"
    if field.default_factory in {dict, list}:
        return "`{}`" if field.default_factory is dict else "`[]`"
    if field.default is None:
        return "`nil`"
    return f"`{str(field.default).lower()}`" if field.default != "" else '`""`'


def type_in_words(kind: mi.Type) -> str:
    """A field's type, as the tables say it. Raises TypeError for one without words."""
    match kind:
        case mi.IntType(ge=low, le=high):
            return f"int {low} … {'2^53 - 1' if high == limits.ID_MAX else high}"
        case mi.StrType(min_length=low, max_length=high):
            return f"str, {low or 0} … {high} characters"
        case mi.BytesType(max_length=high):
            return f"bin, up to {high} bytes"
        case mi.BoolType():
            return "bool"
        case mi.ListType(item_type=item, min_length=low, max_length=high):
            return f"array of {low or 0} … {high} × {type_in_words(item)}"
        case mi.DictType(key_type=key, value_type=value, max_length=high):
            return f"map of up to {high}: {type_in_words(key)} → {type_in_words(value)}"
        case mi.UnionType(types=(mi.StructType() as present, mi.NoneType())):
            return f"{type_in_words(present)} or nil"
        case mi.StructType(cls=cls):
            tag = cls.__struct_config__.tag
            return f"[{cls.__name__}](#{cls.__name__.lower()}{f'-{tag}' if tag else ''})"
    raise TypeError(f"no words for {kind}")


def _steps() -> Iterator[tuple[ConversationState, Role, str, ConversationState]]:
    for state, steps in TRANSITIONS.items():
        for (sender, kind), after in steps.items():
            yield state, sender, kind.__name__, after


def _diagram() -> str:
    arrows: dict[tuple[ConversationState, ConversationState, Role], list[str]] = {}
    for state, sender, name, after in _steps():
        arrows.setdefault((state, after, sender), []).append(name)
    lines = [
        f"    {state.value} --> {after.value}: {sender.value}: {', '.join(names)}"
        for (state, after, sender), names in arrows.items()
    ]
    lines.insert(0, f"    [*] --> {ConversationState.NEW.value}")
    lines.append(f"    {ConversationState.CLOSED.value} --> [*]")
    return "\n".join(("```mermaid", "stateDiagram-v2", *lines, "```"))


def _transitions() -> str:
    rows = [
        (state.value, sender.value, f"[{name}](messages.md#{_anchor(name)})", after.value)
        for state, sender, name, after in _steps()
    ]
    return _table(("state", "sender", "message", "state after"), rows)


def _anchor(name: str) -> str:
    tag = getattr(messages, name).__struct_config__.tag
    return f"{name.lower()}-{tag}"


def _close_codes() -> str:
    rows = [
        (str(int(code)), f"`{code.name}`", reaction(code).value, MEANINGS[code])
        for code in CloseCode
    ]
    return _table(("code", "name", "the client", "meaning"), rows)


def _reset_reasons() -> str:
    return _numbers("reason", ResetReason)


def _withdrawal_reasons() -> str:
    return _numbers("reason", WithdrawalReason)


def _waits() -> str:
    return _numbers("waits", Waits)


def _numbers(head: str, kind: type[IntEnum]) -> str:
    said = docstrings(codes, kind.__name__)
    rows = [(str(int(each)), f"`{each.name}`", said[each.name]) for each in kind]
    return _table((head, "name", "meaning"), rows)


def _heartbeat() -> str:
    names = ("GRACE_FACTOR", "GRACE_S", "STABLE_BEATS", "STEP_S", "BACK_OFF_S", "FORGET_BEATS")
    return _table(("constant", "value"), [(f"`{n}`", str(getattr(heartbeat, n))) for n in names])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _pages(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.md"))


BLOCKS: dict[str, Callable[[], str]] = {
    "bounds": _bounds,
    "messages": _messages,
    "parts": _parts,
    "diagram": _diagram,
    "transitions": _transitions,
    "close-codes": _close_codes,
    "reset-reasons": _reset_reasons,
    "withdrawal-reasons": _withdrawal_reasons,
    "waits": _waits,
    "heartbeat": _heartbeat,
}

if __name__ == "__main__":
    sys.exit(main())
