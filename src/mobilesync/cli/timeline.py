"""What happens in the demo, as lines that a person can follow while it happens."""

import time

from rich.cells import cell_len
from rich.markup import escape

from mobilesync.cli.console import OUT, shown

_WHO_COLUMNS = 13
COLOURS = ("cyan", "magenta", "yellow", "green", "blue")


class Timeline:
    """Prints one line for each thing that happens, with the time since the beginning."""

    def __init__(self) -> None:
        self._begin_s = time.perf_counter()
        self._colours: dict[str, str] = {}

    def title(self, text: str) -> None:
        """A part of the story begins."""
        OUT.print(f"\n[bold]{escape(text)}[/bold]", soft_wrap=True)

    def tell(self, who: str, what: str, detail: str = "", *, brief: str = "") -> None:
        """`who` did `what`; `detail` is shown dimly.

        On a terminal that is too narrow for `detail`, `brief` stands for it, and nothing where that
        does not fit either: lines that wrap are hard to follow. A file gets it all.
        """
        colour = self._colours.setdefault(who, COLOURS[len(self._colours) % len(COLOURS)])
        at_s = time.perf_counter() - self._begin_s
        shown_what = shown(what)
        if OUT.is_terminal:
            room = OUT.width - len(f"{at_s:7.3f} s  {who:<{_WHO_COLUMNS}} ") - cell_len(shown_what)
            fitting = (each for each in (detail, brief) if len(each) + 2 <= room)
            detail = next(fitting, "")
        tail = f"  [dim]{escape(detail)}[/dim]" if detail else ""
        OUT.print(
            f"[dim]{at_s:7.3f} s[/dim]  [{colour}]{escape(who):<{_WHO_COLUMNS}}[/{colour}]"
            f" {escape(shown_what)}{tail}",
            soft_wrap=True,
        )
