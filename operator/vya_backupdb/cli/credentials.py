"""``vya-backupdb credentials encrypt|import|rotate|check`` and ``keys generate``: tokens for Secrets and Git.

What is encrypted is read from standard input, or asked for without echo: never from an argument, which any user of the
machine could read in the list of processes. No command here shows what a token holds.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vya_backupdb.cli import options, output
from vya_backupdb.cli.frame import Configured, Frame, framed, grouped
from vya_backupdb.cli.invocation import Format, Invocation
from vya_backupdb.domain.config import AppConfig, DatabaseConfig
from vya_backupdb.domain.errors import BackupDBError, ConfigurationError, CredentialsMissing
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import Finding
from vya_backupdb.storage import credentials as stored_credentials
from vya_backupdb.storage import rewrite, rotation
from vya_backupdb.storage.crypto import Keyring, generate_key, legacy_key
from vya_backupdb.storage.inspection import inspect
from vya_backupdb.storage.rotation import Fate, Rotated

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
@grouped
def encrypt(context: typer.Context, configured: Configured, keyring: KeyringFile = None) -> int:
    """Read one value from standard input and print its token.

    A newline at the very end of piped input is not part of the value. On a terminal the value is asked for, unseen.
    """
    invocation: Invocation = context.obj
    ring = Keyring.load(keyring or _keyring_of(configured.load(context)))
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


def _keyring_of(app: AppConfig) -> Path:
    path = app.credentials.keyring
    if path is None:
        raise CredentialsMissing("no keyring is configured", hint="Give --keyring, or set credentials.keyring.")
    return Path(path)


@app.command("import")
@grouped
def import_store(
    context: typer.Context,
    configured: Configured,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="The credentials.json of the other installation.")],
    legacy_hostname: Annotated[
        str, typer.Option("--legacy-hostname", metavar="NAME", help="What 'hostname' prints on the machine it is from.")
    ],
    target: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to write. Default: credentials.path.", show_default=False),
    ] = None,
    keyring: KeyringFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what --output names.")] = False,
    wanted: options.FormatOption = None,
) -> int:
    """Take over a credentials.json whose key was made of a host's name: every token is encrypted anew.

    All or nothing: if one token does not open, nothing is written. FILE itself is only read, and should be deleted
    afterwards: whoever knows the host's name can open it.
    """
    ring = Keyring.load(keyring or _keyring_of(configured.load(context)))
    legacy = Keyring([legacy_key(legacy_hostname)], name=f"the key derived from the host name {legacy_hostname!r}")
    store = rotation.imported(source, legacy, ring)
    path = target or _store_of(configured.load(context))
    rewrite.create(path, store.to_json(), force=force)
    ids = [entry.id for entry in store.credentials]
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json({"file": str(path), "imported": ids})
    else:
        output.console().print(output.text(f"{path}: {', '.join(ids) or 'no entry'}"))
    return ExitCode.OK


def _store_of(app: AppConfig) -> Path:
    path = Path(app.credentials.path)
    return path / stored_credentials.STORE_NAME if path.is_dir() else path


@app.command("rotate")
@grouped
def rotate(
    context: typer.Context,
    configured: Configured,
    paths: Annotated[
        list[Path] | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="A credentials.json, a file of one token, or a directory of such; may be given often. "
            "Default: all that the configuration names.",
            show_default=False,
        ),
    ] = None,
    keyring: KeyringFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    wanted: options.FormatOption = None,
) -> int:
    """Encrypt every token with the first key of the keyring.

    Put the new key before the others, rotate, then take the old ones out. A token that no key opens is left as it is
    and named, and the exit code is 12. A second run changes nothing.
    """
    if paths:
        ring = Keyring.load(keyring or _keyring_of(configured.load(context)))
        files = {file: ring for path in paths for file in rotation.files_below(path)}
    else:
        files = _configured_files(configured.load(context), Keyring.load(keyring) if keyring else None)
    rows: list[Rotated] = []
    for file, ring in files.items():
        rows += rotation.rotate(file, ring, dry_run=dry_run)
    _show_rotation(rows, wanted, dry_run=dry_run)
    return ExitCode.CREDENTIALS_UNREADABLE if any(row.stays_behind for row in rows) else ExitCode.OK


def _configured_files(loaded: AppConfig, ring: Keyring | None) -> dict[Path, Keyring]:
    places = dict.fromkeys(loaded.credentials_of(database) for database in loaded.databases)
    found = {
        file: ring or stored_credentials.load_keyring(place) for place in places for file in rotation.rotatable(place)
    }
    if not found:
        raise ConfigurationError(
            "the configuration names no encrypted credentials", hint="Name files or directories with --path."
        )
    return found


def _show_rotation(rows: list[Rotated], wanted: Format | None, *, dry_run: bool) -> None:
    if output.chosen_format(wanted) is Format.JSON:
        documents = [{"file": str(row.path), "field": row.place or None, "state": row.fate.value} for row in rows]
        output.print_json({"dry_run": dry_run, "tokens": documents})
        return
    table = output.table("file", "field", "state", fold=("file", "field"))
    styles = {Fate.ROTATED: "green", Fate.CURRENT: "dim"}
    for row in rows:
        word = "would be rotated" if dry_run and row.fate is Fate.ROTATED else row.fate.value
        style = styles.get(row.fate, "bold red")
        table.add_row(output.cell(str(row.path)), output.cell(row.place), output.cell(word, style))
    output.console().print(table)


@app.command("check")
@framed
def check(frame: Frame) -> int:
    """Open the credentials of each instance, and say what is wrong with them or will be.

    Nothing is shown of them, and no server is asked. The exit code tells of what keeps a backup from beginning, not of
    advice such as a token that only an old key opens.
    """
    rows = [(database.id, _problem(frame.invocation, frame.app, database)) for database in frame.databases]
    findings = inspect(frame.app, frame.databases)
    _show(rows, findings, frame.wanted)
    broken = ExitCode.CREDENTIALS_UNREADABLE if any(one.blocking for one in findings) else ExitCode.OK
    return next((error.exit_code for _, error in rows if error), broken)


def _problem(invocation: Invocation, loaded: AppConfig, database: DatabaseConfig) -> BackupDBError | None:
    try:
        secret = stored_credentials.load(loaded.credentials_of(database), database.id)
    except BackupDBError as error:
        return error
    invocation.redact.learn(secret.password)
    return None


def _show(rows: list[tuple[str, BackupDBError | None]], findings: list[Finding], wanted: Format | None) -> None:
    if output.chosen_format(wanted) is Format.JSON:
        instances = [
            {"instance": name, "ok": error is None, "error": str(error) if error else None} for name, error in rows
        ]
        output.print_json({"instances": instances, "findings": [one.model_dump() for one in findings]})
        return
    table = output.table("", "instance", "credentials", fold=("credentials",))
    for name, error in rows:
        mark = output.cell("✘", "bold red") if error else output.cell("✔", "green")
        table.add_row(mark, output.cell(name), output.cell(str(error) if error else "can be read"))
    console = output.console()
    console.print(table)
    for one in findings:
        console.print(output.finding(one))
