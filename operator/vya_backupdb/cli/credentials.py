"""``vya-backupdb credentials encrypt|check`` and ``keys generate``: tokens for Secrets and Git, keys for nobody else.

What is encrypted is read from standard input, or asked for without echo: never from an argument, which any user of the
machine could read in the list of processes.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vya_backupdb.cli import options, output, settings
from vya_backupdb.cli.invocation import Format, Invocation, chosen
from vya_backupdb.domain.errors import BackupDBError, ConfigurationError, CredentialsMissing
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.storage import credentials as stored_credentials
from vya_backupdb.storage.crypto import Keyring, generate_key

app = typer.Typer(help="Encrypt and check the credentials of servers.", no_args_is_help=True)
keys = typer.Typer(help="Make keys.", no_args_is_help=True)

KeyringFile = Annotated[
    Path | None,
    typer.Option("--keyring", metavar="FILE", help="The keyring. Default: the configuration's.", show_default=False),
]


@keys.command("generate")
def generate() -> int:
    """Print a new Fernet key. Keep it where the tokens are not: a keyring holds one key a line, the first encrypts."""
    sys.stdout.write(generate_key() + "\n")
    return ExitCode.OK


@app.command("encrypt")
def encrypt(
    context: typer.Context,
    keyring: KeyringFile = None,
    config: options.Config = settings.DEFAULT_PATH,
    verbose: options.Verbose = False,
) -> int:
    """Read one value from standard input and print its token.

    A newline at the very end of piped input is not part of the value. On a terminal the value is asked for, unseen.
    """
    invocation: Invocation = context.obj
    ring = Keyring.load(keyring or _configured_keyring(invocation, config, verbose=verbose))
    value = typer.prompt("Value", hide_input=True) if sys.stdin.isatty() else _piped()
    invocation.redact.learn(value)
    sys.stdout.write(ring.encrypt(value) + "\n")
    return ExitCode.OK


def _piped() -> str:
    try:
        value = sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise ConfigurationError("the value on standard input is not UTF-8 text", hint="Pipe UTF-8.") from None
    if not value:
        raise ConfigurationError("there is no value on standard input", hint="Pipe the value, without quotes.")
    return value


def _configured_keyring(invocation: Invocation, config: Path, *, verbose: bool) -> Path:
    path = invocation.configure(config, verbose=verbose).credentials.keyring
    if path is None:
        raise CredentialsMissing("no keyring is configured", hint="Give --keyring, or set credentials.keyring.")
    return Path(path)


@app.command("check")
def check(
    context: typer.Context,
    config: options.Config = settings.DEFAULT_PATH,
    instance: options.Instance = None,
    wanted: options.FormatOption = None,
    verbose: options.Verbose = False,
) -> int:
    """Open the credentials of each instance. Nothing is shown of them, and no server is asked."""
    invocation: Invocation = context.obj
    loaded = invocation.configure(config, verbose=verbose)
    rows: list[tuple[str, BackupDBError | None]] = []
    for database in chosen(loaded, instance):
        try:
            secret = stored_credentials.load(loaded.credentials_of(database), database.id)
            invocation.redact.learn(secret.password)
            rows.append((database.id, None))
        except BackupDBError as error:
            rows.append((database.id, error))
    _show(rows, wanted)
    return next((error.exit_code for _, error in rows if error), ExitCode.OK)


def _show(rows: list[tuple[str, BackupDBError | None]], wanted: Format | None) -> None:
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(
            [{"instance": name, "ok": error is None, "error": str(error) if error else None} for name, error in rows]
        )
        return
    table = output.table("", "instance", "credentials", fold=("credentials",))
    for name, error in rows:
        mark = output.cell("✘", "bold red") if error else output.cell("✔", "green")
        table.add_row(mark, output.cell(name), output.cell(str(error) if error else "can be read"))
    output.console().print(table)
