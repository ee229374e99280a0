"""Secrets in the form in which each client reads them: a passfile (libpq), an option file (MySQL, MariaDB).

A password may hold anything. What a format cannot carry is refused by the field's name; what it can is escaped so that
the client reads exactly the same bytes. The option file is given by ``--defaults-file``, first, so that no other file
is read: a host's ``[mysqldump] where=…`` would pass every later check.
"""

from collections.abc import Mapping
from typing import Final

from vya_backupdb.domain.errors import CredentialsUnreadable
from vya_backupdb.engines.base import SecretFile

_LONGEST_VALUE: Final = 3900


def check_postgresql(username: str, password: str) -> None:
    """Raise CredentialsUnreadable, naming the field, if libpq's files cannot carry one of the two."""
    if "\0" in username:
        raise CredentialsUnreadable("the username holds a NUL character", hint="Correct the field 'username'.")
    fault = "a newline" if "\n" in password else "a NUL character" if "\0" in password else ""
    if password.endswith("\r"):
        fault = "a carriage return at its end"
    if fault:
        raise CredentialsUnreadable(
            f"the password holds {fault}, which a PostgreSQL passfile cannot carry",
            hint="Give the account another password and correct the field 'password'.",
        )


def passfile(password: str) -> SecretFile:
    """Return a libpq passfile with one line for any host, port, database and user."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return SecretFile("passfile", f"*:*:*:*:{escaped}\n".encode())


def check_mysql(username: str, password: str) -> None:
    """Raise CredentialsUnreadable, naming the field, if the protocol cannot carry one of the two."""
    for field, value in (("username", username), ("password", password)):
        if "\0" in value:
            raise CredentialsUnreadable(f"the {field} holds a NUL character", hint=f"Correct the field '{field}'.")
        # the clients read lines of 4 KiB, and would take the rest for another option
        if len(_quoted(value).encode()) > _LONGEST_VALUE:
            raise CredentialsUnreadable(f"the {field} is too long", hint=f"Correct the field '{field}'.")


def option_file(values: Mapping[str, str]) -> SecretFile:
    """Return an option file with one ``[client]`` group; each value is read back as exactly the same text."""
    lines = "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())
    return SecretFile("option file", f"[client]\n{lines}".encode())


def _quoted(value: str) -> str:
    # Inside double quotes '#' is no comment and blanks at the ends stay; both clients take \\ \" \n \r \t \b \s there.
    table = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b"})
    return f'"{value.translate(table)}"'
