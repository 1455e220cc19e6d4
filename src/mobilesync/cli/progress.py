"""Progress of long work, for a person at a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from mobilesync.cli.console import ERR


@contextmanager
def bytes_progress(label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error; what it yields is called with bytes done and in all.

    Nothing is shown when `quiet`, nor where nobody would see it move.
    """
    if quiet or not ERR.is_terminal:
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TimeRemainingColumn(), console=ERR, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def rows_progress(label: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A count on standard error, for work whose end nobody knows; likewise."""
    if quiet or not ERR.is_terminal:
        yield lambda done: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:.0f} rows"))
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done: progress.update(task, completed=done)
