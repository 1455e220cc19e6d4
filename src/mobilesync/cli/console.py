"""What commands say: data on standard output, everything else on standard error.

Strategy: with `--json` the data is one JSON object a line and nothing else is on standard output,
so that a script can read it line by line while it comes; without, a person reads it.
"""

import shutil
import sys
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape


class DataConsole(Console):
    """When nobody reads the data any more, the command has done its work."""

    def on_broken_pipe(self) -> None:
        """Let root.py end the command well; rich would exit with 1."""
        raise BrokenPipeError


class TalkConsole(Console):
    """When nobody listens any more, what is being done goes on: a server above all."""

    def on_broken_pipe(self) -> None:
        """Fall silent."""
        self.quiet = True


OUT = DataConsole(highlight=False)
"""Data for a person."""
ERR = TalkConsole(stderr=True, highlight=False)
"""Progress, hints and errors."""


def say(text: str) -> None:
    """A line for a person, which may have marks such as [bold]; never wrapped, so that a command
    in it can be copied."""
    ERR.print(text, soft_wrap=True)


def program() -> str:
    """What to type to run this program, from where the person is now."""
    return "mobilesync" if shutil.which("mobilesync") else sys.argv[0]


def write_json(data: Any) -> None:
    """One object on one line, at once."""
    write_line(msgspec.json.encode(data).decode())


def write_line(text: str) -> None:
    """A line of data that a script may take as it is: a token, a key."""
    write_text(text + "\n")


def write_text(text: str) -> None:
    """Data as it is, such as a file."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Without its number: click exits with 1 on an EPIPE, root.py with 0.
        raise BrokenPipeError("nobody reads any more") from None


def shown(text: object, chars_max: int = 200) -> str:
    """`text` from elsewhere, made fit for a terminal: no control characters, not endless."""
    clean = "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in f"{text}"
    )
    return clean if len(clean) <= chars_max else clean[: chars_max - 1] + "…"


def marked(text: object, chars_max: int = 200) -> str:
    """`shown`, for a place where marks such as [bold] are obeyed: here they stay text."""
    return escape(shown(text, chars_max))


def shown_payload(payload: bytes, chars_max: int = 200) -> str:
    """A payload for a terminal: its text, or how many bytes it has."""
    try:
        return shown(payload.decode(), chars_max)
    except UnicodeDecodeError:
        return f"({len(payload)} bytes)"
