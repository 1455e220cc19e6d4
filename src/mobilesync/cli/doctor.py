"""`mobilesync doctor`: is everything here fit to serve?"""

from pathlib import Path

import click
import msgspec

from mobilesync.cli.checks import Finding, check_contents, check_issuers, machine_findings
from mobilesync.cli.console import OUT, shown, write_json
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.options import config_option, configuration, data_option, json_option
from mobilesync.cli.progress import rows_progress
from mobilesync.cli.running import run_async
from mobilesync.cli.setting import BadSetting

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    "doctor",
    epilog="""
    \b
    Examples:
      mobilesync doctor
      mobilesync doctor --config /etc/mobilesync.toml --json
      mobilesync doctor --contents

    Exits with 1 when a check has failed; warnings alone are no failure.
    """,
)
@click.option("--contents", is_flag=True, help="Read the whole store through; it must be stopped.")
@config_option
@data_option
@json_option
def command(contents: bool, config: Path | None, data: Path | None, as_json: bool) -> int:
    """Check the settings, the files and this machine, without changing anything.

    Each line says ok, warn or fail, and what to do about it. Fit for before the first start, and
    for while the server runs.
    """
    try:
        chosen = configuration(config, {"data": data})
    except BadSetting as error:
        findings = [Finding("settings", "fail", error.message, error.hint)]
        _show(findings[0], as_json)
        return ExitCode.FAILURE
    findings = []
    for finding in machine_findings(chosen):
        _show(finding, as_json)
        findings.append(finding)
    for finding in run_async(check_issuers(chosen)):
        _show(finding, as_json)
        findings.append(finding)
    if contents:
        with rows_progress("Reading", quiet=as_json) as report:
            found = list(check_contents(chosen.settings.data, report))
        for finding in found:
            _show(finding, as_json)
        findings += found
    failed = any(finding.verdict == "fail" for finding in findings)
    if not as_json:
        OUT.print("Something must be mended before it serves." if failed else "It can serve.")
    return ExitCode.FAILURE if failed else ExitCode.OK


def _show(finding: Finding, as_json: bool) -> None:
    if as_json:
        write_json(msgspec.to_builtins(finding))
        return
    colour = _COLOURS[finding.verdict]
    OUT.print(
        f"[{colour}]{finding.verdict:<4}[/{colour}]  [bold]{finding.check:<12}[/bold]", end=""
    )
    OUT.print(shown(finding.sentence), markup=False, soft_wrap=True)
    if finding.hint:
        OUT.print(f"{'':<18}→ {shown(finding.hint)}", markup=False, soft_wrap=True)
