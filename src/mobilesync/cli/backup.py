"""`mobilesync backup`: copy the store, while it serves or not."""

from pathlib import Path

import click

from mobilesync.cli.console import OUT, write_json
from mobilesync.cli.control import Backup, operate
from mobilesync.cli.options import config_option, data_folder, data_option, json_option
from mobilesync.cli.progress import bytes_progress
from mobilesync.cli.running import run_async
from mobilesync.cli.setting import show_size


@click.command(
    "backup",
    epilog="""
    \b
    Examples:
      mobilesync backup /mnt/backups/$(date +%F)
      mobilesync backup /mnt/backups/now --data /var/lib/mobilesync --json
    """,
)
@click.argument("folder", type=click.Path(path_type=Path))
@config_option
@data_option
@json_option
def command(folder: Path, config: Path | None, data: Path | None, as_json: bool) -> None:
    """Copy the store into FOLDER, which must not exist yet.

    A running server makes the copy itself and serves on meanwhile. The copy holds everything that
    was acknowledged before the command began, and is checked byte by byte when it is restored.
    """
    with bytes_progress("Copying", quiet=as_json) as report:
        made = run_async(operate(data_folder(config, data), Backup(str(folder.absolute())), report))
    if as_json:
        write_json(made)
    else:
        OUT.print(f"Backup of {show_size(made['bytes'])} in {made['path']}")
        OUT.print(f"To use it: mobilesync restore {made['path']} NEW-FOLDER")
