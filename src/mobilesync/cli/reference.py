"""`mobilesync reference`: write the pages that are made from the code.

Strategy: docs/operating/settings.md comes from the table of settings, docs/reference/cli.md from
the commands' own help, docs/reference/rules.md from the rules that the pump goes by. A test
compares all of them with what this module would write.
"""

from pathlib import Path

import click

from mobilesync.cli.app_tables import APP_KEYS
from mobilesync.cli.exit_codes import MEANINGS, ExitCode
from mobilesync.cli.rules_page import rules_page
from mobilesync.cli.safety import RULES
from mobilesync.cli.setting import Setting
from mobilesync.cli.settings import SETTINGS

_WIDTH = 90
_MADE = "<!-- Made by `mobilesync reference`; change the source instead. -->"


@click.command("reference")
@click.argument("docs", type=click.Path(path_type=Path, file_okay=False), default=Path("docs"))
@click.pass_context
def command(context: click.Context, docs: Path) -> None:
    """Write the generated pages below DOCS."""
    root = context.find_root().command
    assert isinstance(root, click.Group)
    for name, text in pages(root).items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(text)


def pages(root: click.Group) -> dict[str, str]:
    """Every generated page, by its path below docs/."""
    return {
        "operating/settings.md": settings_page(),
        "reference/cli.md": cli_page(root),
        "reference/rules.md": rules_page(_MADE),
    }


def settings_page() -> str:
    """The page for operators."""
    groups = dict.fromkeys(setting.group for setting in SETTINGS)
    parts = [_SETTINGS_INTRODUCTION]
    for group in groups:
        rows = [_row(setting) for setting in SETTINGS if setting.group == group]
        parts.append(f"## {group}\n\n" + "\n\n".join(rows))
    keys = "\n".join(f"| `{name}` | {purpose} |" for name, purpose in APP_KEYS.items())
    parts.append(_APPS.format(keys=keys))
    refused = "\n".join(
        f"- `{rule.field}`: {rule.sentence}. Instead: {rule.hint}." for rule in RULES
    )
    parts.append(f"## What is refused\n\nThe server does not start when:\n\n{refused}")
    return "\n\n".join(parts) + "\n"


def cli_page(root: click.Group) -> str:
    """The help of every command."""
    codes = "\n".join(f"| {code.value} | {MEANINGS[code]} |" for code in ExitCode)
    parts = [_CLI_INTRODUCTION.format(codes=codes), _help(root, "mobilesync", None)]
    context = click.Context(root, info_name="mobilesync", **root.context_settings)
    for name in root.list_commands(context):
        found = root.get_command(context, name)
        assert found is not None
        if name == "serve":
            parts.append(_help_of_serve(found, context))
            continue
        parts.append(_help(found, name, context))
        if isinstance(found, click.Group):
            inner = click.Context(found, info_name=name, parent=context)
            parts += [_help(sub, key, inner) for key, sub in found.commands.items()]
    return "\n\n".join(parts) + "\n"


def _help(found: click.Command, name: str, parent: click.Context | None) -> str:
    names = parent.help_option_names if parent else found.context_settings["help_option_names"]
    context = click.Context(
        found, info_name=name, parent=parent, terminal_width=_WIDTH, help_option_names=names
    )
    text = "\n".join(line.rstrip() for line in found.get_help(context).splitlines())
    return f"## {context.command_path}\n\n```text\n{text}\n```"


def _help_of_serve(found: click.Command, parent: click.Context) -> str:
    """Without the flags of the settings, which have a page of their own."""
    names = {setting.name for setting in SETTINGS}
    short = click.Command(
        found.name,
        help=found.help,
        epilog=found.epilog,
        params=[each for each in found.params if each.name not in names],
    )
    note = "Besides, there is a flag for each of [the settings](../operating/settings.md)."
    return f"{_help(short, 'serve', parent)}\n\n{note}"


def _row(setting: Setting) -> str:
    default = f"`{setting.show(setting.default)}`" if setting.default != "" else "none"
    if setting.production != setting.default:
        default += f", in production `{setting.show(setting.production)}`"
    lines = [
        f"### {setting.name}\n",
        f"{setting.purpose}\n",
        f"- Default: {default}",
        f"- Values: {_values(setting)}",
        f"- Who turns it: {setting.turned}",
        f"- `{setting.variable}` · `{setting.flag}`",
    ]
    return "\n".join(lines)


def _values(setting: Setting) -> str:
    if setting.choices:
        return ", ".join(f"`{choice}`" for choice in setting.choices)
    if setting.kind in {"text", "path", "switch"}:
        return {"switch": "`true` or `false`"}.get(setting.kind, f"a {setting.kind}")
    unit = f" {setting.unit}" if setting.unit and setting.kind != "size" else ""
    example = ", for example `64KiB`" if setting.kind == "size" else ""
    return f"{setting.show(setting.low)} to {setting.show(setting.high)}{unit}{example}"


_SETTINGS_INTRODUCTION = f"""# Settings

{_MADE}

A server needs no settings to be tried: `mobilesync serve` runs in development mode. For production,
write a file `mobilesync.toml` (or name another with `--config`):

```toml
mode = "production"
data = "/var/lib/mobilesync"
host = "0.0.0.0"
tls_certificate = "/etc/mobilesync/certificate.pem"
tls_key = "/etc/mobilesync/key.pem"

[apps.shop]
jwks_url = "https://login.shop.example/.well-known/jwks.json"
issuer = "https://login.shop.example"
audience = "mobilesync"
```

Each setting can also be given in the environment, which overrides the file, or as a flag of
`mobilesync serve`, which overrides both. Names that do not exist are refused. `mobilesync doctor`
checks the settings and the machine."""

_APPS = """## Apps

Only the file can define apps, each in a table of its own, `[apps.<name>]`. An app needs at least
one key; the keys may be lists, so that an old and a new one work side by side. In development,
without any app, there is one called `demo`.

| key | |
|---|---|
{keys}"""

_CLI_INTRODUCTION = f"""# The command line

{_MADE}

Data goes to standard output, everything else to standard error. With `--json` the data is one JSON
object a line, and so is an error.

| exit code | |
|---|---|
{{codes}}"""
