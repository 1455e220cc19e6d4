"""The command `mobilesync`: its sub-commands, and how any of them ends.

Strategy: the table below is all that `--help` needs; the module of a command is imported when the
command is asked for. Every error that we foresee becomes one sentence and a hint, and an exit code;
a traceback is shown for what we did not foresee, since then it is our bug.

Not here: what the commands do (one module each), what an error means (failures.py).
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import click

from mobilesync import __version__
from mobilesync.cli.exit_codes import MEANINGS, ExitCode
from mobilesync.cli.suggestion import did_you_mean


class Entry(NamedTuple):
    """A sub-command: how to get its module, and its line in the help."""

    load: Callable[[], ModuleType]
    section: str
    summary: str
    hidden: bool = False


_RUN, _USE, _KEEP, _PROVE = "Run", "Use", "Operate", "Prove"
COMMANDS: dict[str, Entry] = {
    "serve": Entry(
        lambda: import_module("mobilesync.cli.serve"),
        _RUN,
        "Run the server; needs no settings to try.",
    ),
    "demo": Entry(
        lambda: import_module("mobilesync.cli.demo"), _RUN, "Watch the whole path at work, live."
    ),
    "publish": Entry(
        lambda: import_module("mobilesync.cli.publish"),
        _USE,
        "Publish oplogs, as a business server does.",
    ),
    "listen": Entry(
        lambda: import_module("mobilesync.cli.listen"), _USE, "Receive oplogs, as an app does."
    ),
    "token": Entry(
        lambda: import_module("mobilesync.cli.token"), _USE, "Sign a device token for development."
    ),
    "inspect": Entry(
        lambda: import_module("mobilesync.cli.inspect"),
        _USE,
        "Look at channels, devices and deliveries.",
    ),
    "explain": Entry(
        lambda: import_module("mobilesync.cli.explain"),
        _USE,
        "Say what happened to an oplog on a device, and why.",
    ),
    "recall": Entry(lambda: import_module("mobilesync.cli.recall"), _USE, "Take an oplog back."),
    "offer": Entry(
        lambda: import_module("mobilesync.cli.offer"), _USE, "Have a device get an oplog again."
    ),
    "replay": Entry(
        lambda: import_module("mobilesync.cli.replay"), _USE, "Put a device's sync point back."
    ),
    "scheduled": Entry(
        lambda: import_module("mobilesync.cli.scheduled"),
        _USE,
        "List or cancel what is published later.",
    ),
    "doctor": Entry(
        lambda: import_module("mobilesync.cli.doctor"),
        _KEEP,
        "Check settings, files and this machine.",
    ),
    "key": Entry(
        lambda: import_module("mobilesync.cli.key"), _KEEP, "Make, list and revoke API keys."
    ),
    "config": Entry(
        lambda: import_module("mobilesync.cli.config"),
        _KEEP,
        "Configure bizzes, one by one or from a file.",
    ),
    "audit": Entry(lambda: import_module("mobilesync.cli.audit"), _KEEP, "See who did what."),
    "webhook": Entry(
        lambda: import_module("mobilesync.cli.webhook"),
        _KEEP,
        "Have a server of yours told what happens.",
    ),
    "backup": Entry(
        lambda: import_module("mobilesync.cli.backup"),
        _KEEP,
        "Copy the store, also while it serves.",
    ),
    "restore": Entry(
        lambda: import_module("mobilesync.cli.restore"), _KEEP, "Make a store from a backup."
    ),
    "sim": Entry(
        lambda: import_module("mobilesync.cli.sim"),
        _PROVE,
        "Simulate faults in virtual time, by seed.",
    ),
    "reference": Entry(
        lambda: import_module("mobilesync.cli.reference"),
        _PROVE,
        "Write the generated pages.",
        True,
    ),
}

EPILOG = "Exit codes: " + "; ".join(f"{code.value} {MEANINGS[code]}" for code in ExitCode) + "."


class Root(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return [name for name, entry in COMMANDS.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module. None for an unknown name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = entry.load().command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a misspelled command gets a suggestion."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(
                f"no command {args[0]!r}; {did_you_mean(args[0], self.list_commands(ctx))}"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """By section, without importing anything."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            rows = [
                (name, entry.summary)
                for name, entry in COMMANDS.items()
                if entry.section == section and not entry.hidden
            ]
            with formatter.section(section):
                formatter.write_dl(rows)


@click.group(
    cls=Root,
    name="mobilesync",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s")
def root() -> None:
    """Mobilesync stores data changes durably and pushes them, in order, to the apps that should
    have them.

    \b
    To see it:       mobilesync demo
    To try it:       mobilesync serve        and in other terminals
                     mobilesync listen CHAT
                     mobilesync publish CHAT user:alice "hello"
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command line; answers its exit code."""
    try:
        result = root.main(list(arguments), prog_name="mobilesync", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else ExitCode.OK
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`… | head`); Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except ModuleNotFoundError:
        raise
    except Exception as error:
        from mobilesync.cli.failures import failure_of, tell

        failure = failure_of(error)
        if failure is None:
            raise
        tell(failure, as_json="--json" in arguments)
        return failure.exit_code
