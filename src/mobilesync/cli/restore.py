"""`mobilesync restore`: make a store from a backup."""

from pathlib import Path
from random import SystemRandom

import click

from mobilesync.cli.console import OUT, write_json
from mobilesync.cli.control import STORE_NAME
from mobilesync.cli.options import json_option
from mobilesync.cli.progress import bytes_progress
from mobilesync.storage.embedded.backup import restore


@click.command(
    "restore",
    epilog="""
    \b
    Example:
      mobilesync restore /mnt/backups/2026-01-31 /var/lib/mobilesync-restored
      mobilesync serve --data /var/lib/mobilesync-restored
    """,
)
@click.argument("backup", type=click.Path(path_type=Path, file_okay=False))
@click.argument("data", type=click.Path(path_type=Path, file_okay=False))
@json_option
def command(backup: Path, data: Path, as_json: bool) -> None:
    """Make a data folder DATA from BACKUP. A store is never overwritten.

    The restored store gets a new epoch: devices that hold more than the backup does are told so,
    keep what they have, and go on from there (docs/guarantees.md).
    """
    with bytes_progress("Checking and copying", quiet=as_json) as report:
        epoch = restore(backup, data / STORE_NAME, random=SystemRandom(), progress=report)
    if as_json:
        write_json({"data": str(data), "epoch": epoch})
    else:
        OUT.print(f"Restored into {data}, as epoch {epoch}.")
        OUT.print(f"To serve it: mobilesync serve --data {data}")
