"""Which commands there are, and what each of them needs to be imported: only the one that is called is.

Everything together takes half a second and 20 MiB before the first byte moves; a Job that dumps has no use for what
restores. Help, and anything that is no command, sees them all.
"""

from collections.abc import Callable, Sequence
from typing import Final

import typer


def _backup(program: typer.Typer) -> None:
    from vya_backupdb.cli import backup

    backup.register(program)


def _restore(program: typer.Typer) -> None:
    from vya_backupdb.cli import restore

    restore.register(program)


def _list(program: typer.Typer) -> None:
    from vya_backupdb.cli import listing

    listing.register(program)


def _show(program: typer.Typer) -> None:
    from vya_backupdb.cli import show

    show.register(program)


def _verify(program: typer.Typer) -> None:
    from vya_backupdb.cli import verify

    verify.register(program)


def _adopt(program: typer.Typer) -> None:
    from vya_backupdb.cli import adopt

    adopt.register(program)


def _pins(program: typer.Typer) -> None:
    from vya_backupdb.cli import pin

    pin.register(program)


def _check(program: typer.Typer) -> None:
    from vya_backupdb.cli import check

    check.register(program)


def _retention(program: typer.Typer) -> None:
    from vya_backupdb.cli import retention

    program.add_typer(retention.app, name="retention")


def _audit(program: typer.Typer) -> None:
    from vya_backupdb.cli import audit

    program.add_typer(audit.app, name="audit")


def _users(program: typer.Typer) -> None:
    from vya_backupdb.cli import users

    program.add_typer(users.app, name="users")


def _credentials(program: typer.Typer) -> None:
    from vya_backupdb.cli import credentials

    program.add_typer(credentials.app, name="credentials")
    program.add_typer(credentials.keys, name="keys")


#: In the order of the help.
_COMMANDS: Final[dict[str, Callable[[typer.Typer], None]]] = {
    "backup": _backup,
    "restore": _restore,
    "list": _list,
    "show": _show,
    "verify": _verify,
    "adopt": _adopt,
    "pin": _pins,
    "unpin": _pins,
    "check": _check,
    "retention": _retention,
    "audit": _audit,
    "users": _users,
    "credentials": _credentials,
    "keys": _credentials,
}


def register(program: typer.Typer, arguments: Sequence[str]) -> None:
    """Add to `program` the command that `arguments` begin with; every command if they begin with none."""
    only = _COMMANDS.get(arguments[0]) if arguments else None
    for add in dict.fromkeys(_COMMANDS.values()) if only is None else (only,):
        add(program)
