"""`mobilesync token`: sign a device token, for development."""

import time
from pathlib import Path

import click

from mobilesync.cli.console import write_json, write_line
from mobilesync.cli.development import read_development
from mobilesync.cli.options import config_option, data_folder, data_option, json_option
from mobilesync.domain.errors import InvalidRequest
from mobilesync.domain.names import check_app, check_owner
from mobilesync.engine.apps import Algorithm
from mobilesync.engine.tokens import sign_token

DAY_S = 24 * 3600
VALID_S_MAX = 3650 * DAY_S


@click.command(
    "token",
    epilog="""
    \b
    Examples:
      mobilesync token alice phone-1
      mobilesync token alice phone-1 --app shop --secret-file shop.secret
      mobilesync token "" kiosk-7 --app shop --algorithm ES256 --secret-file private.pem
    """,
)
@click.argument("user")
@click.argument("device")
@click.option("--app", default="", help="The app.  [default: that of the development server]")
@click.option(
    "--secret-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The HS256 secret, or a private key in PEM.  [default: the development server's secret]",
)
@click.option(
    "--algorithm",
    type=click.Choice(["HS256", "RS256", "ES256"]),
    default="HS256",
    show_default=True,
)
@click.option(
    "--valid-s",
    type=click.IntRange(1, VALID_S_MAX),
    default=DAY_S,
    show_default=True,
    help="How many seconds it is good for.",
)
@click.option("--audience", default="", help="The claim aud, if the app wants one.")
@click.option("--issuer", default="", help="The claim iss, if the app wants one.")
@click.option("--kid", default="", help="The id of the key, if the app has several.")
@config_option
@data_option
@json_option
def command(
    user: str,
    device: str,
    app: str,
    secret_file: Path | None,
    algorithm: Algorithm,
    valid_s: int,
    audience: str,
    issuer: str,
    kid: str,
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Sign a token with which DEVICE may connect for USER ("" for nobody).

    In production the business server signs tokens itself, when its user has logged in.
    """
    if user:
        check_owner(user, "user")
    check_owner(device, "device")
    known = None if secret_file and app else read_development(data_folder(config, data))
    secret = secret_file.read_bytes().strip() if secret_file else b""
    if not secret and known is not None:
        secret = known.hs256_secret.encode()
    if not secret:
        hint = "name it with --secret-file, or start a development server: mobilesync serve"
        raise InvalidRequest("there is no secret to sign with", field="secret_file", hint=hint)
    now_ms = time.time_ns() // 1_000_000
    claims = {"app": check_app(app or (known.app if known else "")), "user": user, "device": device}
    token = sign_token(
        secret,
        **claims,
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + valid_s * 1000,
        algorithm=algorithm,
        audience=audience,
        issuer=issuer,
        kid=kid,
    )
    if as_json:
        write_json({"token": token, **claims, "expires_at_ms": now_ms + valid_s * 1000})
    else:
        write_line(token)
