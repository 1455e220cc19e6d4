"""What happens in the demo, as lines that a person can follow while it happens."""

import time

from rich.markup import escape

from mobilesync.cli.console import OUT, marked

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

    def tell(self, who: str, what: str, detail: str = "") -> None:
        """`who` did `what`; `detail` is shown dimly."""
        colour = self._colours.setdefault(who, COLOURS[len(self._colours) % len(COLOURS)])
        at_s = time.perf_counter() - self._begin_s
        tail = f"  [dim]{escape(detail)}[/dim]" if detail else ""
        OUT.print(
            f"[dim]{at_s:7.3f} s[/dim]  [{colour}]{escape(who):<{_WHO_COLUMNS}}[/{colour}]"
            f" {marked(what)}{tail}",
            soft_wrap=True,
        )
