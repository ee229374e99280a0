"""The errors of MySQL, MariaDB and PyMySQL in the words of our tree, redacted. They are told by their numbers."""

import re
import ssl
from collections.abc import Callable
from typing import Final

import pymysql
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from vya_backupdb.domain.errors import (
    AuthenticationFailed,
    BackupDBError,
    ConnectionFailed,
    NotFound,
    PrivilegeMissing,
    ServerError,
    TLSFailed,
)
from vya_backupdb.engines import tls

_REFUSED: Final = frozenset({1045, 1130, 1251, 1524, 1698, 1820, 1862, 2049, 2059, 2061, 3118, 3955, 4151})
_DENIED: Final = frozenset({1044, 1095, 1142, 1143, 1227, 1370, 1410, 3619, 3988})
_CROWDED: Final = frozenset({1040, 1129, 1203, 1226})
LOST: Final = frozenset({1053, 1152, 1153, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2055, 4031})
_NO_DATABASE: Final = 1049
#: What SHOW CREATE USER and SHOW GRANTS say of an account that is not there.
_NO_ACCOUNT: Final = frozenset({1133, 1141, 1396})
#: A statement is wrong, whenever it comes: its syntax, a name in it, a value, a key, a constraint. Whatever is not
#: among them (a full disk, a lock, a session that was lost, a right) may pass.
WRONG: Final = frozenset(
    {1048, 1050, 1052, 1054, 1060, 1061, 1062, 1064, 1067, 1068, 1069, 1070, 1071, 1072, 1074, 1075, 1089, 1101, 1103}
    | {1113, 1115, 1118, 1128, 1136, 1146, 1166, 1170, 1193, 1215, 1216, 1217, 1231, 1238, 1264, 1265, 1273, 1286}
    | {1292, 1293, 1304, 1305, 1359, 1364, 1366, 1406, 1451, 1452, 1503, 1553, 1690, 3105, 3140, 3780, 3819, 4025}
)
NO_EVENT: Final = 1539
_UNREACHED: Final = frozenset({2003, 2013})
_INSECURE: Final = frozenset({2026, 3159})

_ACCOUNT_HINT: Final = (
    "Correct the credentials of the instance, or the account on the server (its host part, a lock);"
    f" if the account or the server requires TLS, set {tls.MODE}."
)
_PRIVILEGE_HINT: Final = "Grant the account what the message names."


def where(product: str, host: str, port: int) -> str:
    """Return the server in words, for a message."""
    return f"{product} at {host}" if host.startswith("/") else f"{product} at {host}:{port}"


def number(error: SQLAlchemyError | pymysql.MySQLError) -> int | None:
    """Return the server's or the driver's error number, or None where there is none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    first = original.args[0] if isinstance(original, pymysql.MySQLError) and original.args else None
    return first if isinstance(first, int) else None


def of_connection(
    error: SQLAlchemyError | pymysql.MySQLError, server: str, redact: Callable[[str], str]
) -> BackupDBError:
    """Return our error for a connection that could not be made."""
    message = f"connecting to {server} failed: {text(error, redact)}"
    code = number(error)
    if code in _INSECURE or _is_tls(error):
        return TLSFailed(message, hint=tls.CHECK_HINT)
    if code in _REFUSED:
        return AuthenticationFailed(message, hint=_ACCOUNT_HINT)
    if code in _DENIED:
        return PrivilegeMissing(message, hint=_PRIVILEGE_HINT)
    if code in _CROWDED:
        return ConnectionFailed(message, hint="Raise the server's limit, lower the parallelism, or FLUSH HOSTS.")
    return ConnectionFailed(message, hint="Check host, port and the network policy between here and the server.")


def of_statement(error: SQLAlchemyError, doing: str, redact: Callable[[str], str]) -> BackupDBError:
    """Return our error for a statement that failed while `doing` (in words, such as 'listing the databases')."""
    said = text(error, redact)
    code = number(error)
    if code in _DENIED:
        return PrivilegeMissing(f"{doing}: {said}", hint=_PRIVILEGE_HINT)
    if code == _NO_DATABASE:
        return NotFound(f"{doing}: {said}", hint="Check the name of the database.")
    if code in _NO_ACCOUNT:
        return NotFound(f"{doing}: {said}", hint="Check the name of the account.")
    if code is None or code in LOST or code == 0:
        return ConnectionFailed(f"{doing}: the session was lost: {said}", hint="See the server's log.")
    return ServerError(f"{doing}: {said}", hint="See the server's log.")


def timed_out(error: SQLAlchemyError) -> bool:
    """Whether the other side took the connection and then said nothing."""
    original = error.orig if isinstance(error, DBAPIError) else None
    said = str(original.args[1]) if isinstance(original, pymysql.MySQLError) and len(original.args) > 1 else ""
    return number(error) in _UNREACHED and "timed out" in said


def text(error: SQLAlchemyError | pymysql.MySQLError, redact: Callable[[str], str]) -> str:
    """Return the server's own words on one line; SQLAlchemy's would quote statement and parameters."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, pymysql.MySQLError) and len(original.args) > 1:
        words = f"{original.args[1]} ({original.args[0]})"
    else:
        words = str(original) or type(original).__name__
    return redact(" ".join(words.split()))


def _is_tls(error: SQLAlchemyError | pymysql.MySQLError) -> bool:
    original = error.orig if isinstance(error, DBAPIError) else error
    inner = getattr(original, "original_exception", None)
    return isinstance(inner, ssl.SSLError) or bool(re.search(r"\bSSL is required\b|insecure transport", str(original)))
