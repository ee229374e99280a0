"""PostgreSQL's and libpq's errors in the words of our tree, redacted.

A statement's error carries an SQLSTATE. A refused connection does not (libpq has no result to keep it in), so it is
told by its English text; what is not recognised is a ConnectionFailed with the server's own words.
"""

import re
from collections.abc import Callable
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from vya_backupdb.domain.errors import (
    AuthenticationFailed,
    BackupDBError,
    ConnectionFailed,
    NotFound,
    PrivilegeMissing,
    ServerError,
    TLSFailed,
    WrongServer,
)
from vya_backupdb.engines import stderr, tls

_PASSWORD_HINT: Final = "Correct the credentials of the instance, or the account on the server."  # noqa: S105 - a sentence
_PRIVILEGE_HINT: Final = "Grant the account what the message names; pg_read_all_data and pg_monitor are enough to read."

_NOT_POSTGRESQL: Final = (
    r"received invalid response to SSL negotiation|expected authentication request from server|"
    r"received invalid authentication request|unsupported frontend protocol"
)
_TLS: Final = (
    r"certificate verify failed|SSL error|certificate .* does not exist|server certificate for|root certificate|"
    r"private key file|could not load|certificate authentication failed|valid client certificate|SSL SYSCALL error"
)
_ACCOUNT: Final = (
    r"password authentication failed|no password supplied|fe_sendauth|role .* does not exist|"
    r"role .* is not permitted to log in|authentication failed for user|authentication method"
)
_TLS_HINT: Final = f"If the server wants an encrypted connection, set {tls.MODE} to require; else mend its pg_hba.conf."
_CROWDED_HINT: Final = "The server's connections are used up: raise max_connections, or lower the parallelism."

#: Patterns of a refused connection, in this order: the first that fits decides.
_REFUSALS: Final[tuple[tuple[str, type[BackupDBError], str], ...]] = (
    (r"(?:no pg_hba\.conf entry|pg_hba\.conf rejects) .*no encryption", TLSFailed, _TLS_HINT),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        AuthenticationFailed,
        "Add a line for this account and address to pg_hba.conf.",
    ),
    (_NOT_POSTGRESQL, WrongServer, "Another product answers there: correct host, port or type."),
    (r"does not support SSL", TLSFailed, f"Switch TLS on at the server, or set {tls.MODE} to disable."),
    (_TLS, TLSFailed, tls.CHECK_HINT),
    (_ACCOUNT, AuthenticationFailed, _PASSWORD_HINT),
    (r"database .* does not exist", NotFound, "Check the name; maintenance_database must exist as well."),
    (r"permission denied for database", PrivilegeMissing, "Grant the account CONNECT on that database."),
    (r"too many connections|remaining connection slots|too many clients", ConnectionFailed, _CROWDED_HINT),
)
_CONNECTION_HINT: Final = "Check host, port and the network policy between here and the server."


def where(host: str, port: int) -> str:
    """Return the server in words, for a message."""
    return f"PostgreSQL at {host}:{port}"


def of_connection(error: SQLAlchemyError | psycopg.Error, server: str, redact: Callable[[str], str]) -> BackupDBError:
    """Return our error for a connection that could not be made."""
    text = _text(error, redact)
    for pattern, kind, hint in _REFUSALS:
        if re.search(pattern, text):
            return kind(f"connecting to {server} failed: {text}", hint=hint)
    return ConnectionFailed(f"connecting to {server} failed: {text}", hint=_CONNECTION_HINT)


def of_statement(error: SQLAlchemyError, doing: str, redact: Callable[[str], str]) -> BackupDBError:
    """Return our error for a statement that failed while `doing` (in words, such as 'listing the databases')."""
    text = _text(error, redact)
    state = sqlstate(error)
    if state == "42501":
        return PrivilegeMissing(f"{doing}: {text}", hint=_PRIVILEGE_HINT)
    if state == "3D000":
        return NotFound(f"{doing}: {text}", hint="Check the name of the database.")
    hint = stderr.hint_for(text, "See the server's log.")
    if state is None or state[:2] in {"08", "57"}:
        return ConnectionFailed(f"{doing}: the session was lost: {text}", hint=hint)
    return ServerError(f"{doing}: {text}", hint=hint)


def sqlstate(error: SQLAlchemyError) -> str | None:
    """Return the five characters of the server's code, or None where the server did not answer."""
    original = error.orig if isinstance(error, DBAPIError) else None
    return original.sqlstate if isinstance(original, psycopg.Error) else None


def _text(error: SQLAlchemyError | psycopg.Error, redact: Callable[[str], str]) -> str:
    """Return the server's own words on one line; SQLAlchemy's would quote statement and parameters."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.Error) and original.diag.message_primary:
        text = original.diag.message_primary
        if original.diag.message_detail:
            text += f" ({original.diag.message_detail})"
    else:
        text = str(original)
    text = re.sub(r"^connection failed: ", "", text)
    return redact(" ".join(text.split()))
