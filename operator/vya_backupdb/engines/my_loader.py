"""Loading into MySQL or MariaDB over PyMySQL: each statement alone, as bytes, with multi-statements off."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pymysql
from pymysql.constants import SERVER_STATUS

from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.domain.metadata import TableInfo
from vya_backupdb.engines import discreet, my_errors, my_faithful
from vya_backupdb.engines.base import Product, ServerInfo
from vya_backupdb.engines.loader import UNCOMMITTED, StatementFailed, hang_up
from vya_backupdb.engines.my_session import Server, quote
from vya_backupdb.engines.my_transforms import MyFacts
from vya_backupdb.engines.my_values import ROWS_ELSEWHERE
from vya_backupdb.engines.my_views import WaitingViews
from vya_backupdb.engines.transforms import Notes

#: The reader of statements begins without these; what the server has otherwise, a script may rely on.
_READER_LACKS: Final = frozenset({"ANSI", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES"})
#: How dumps and people write it: the definer, and comments for versions around each part, may be there or not.
_EVENT: Final = re.compile(
    rb"""(?:/\*M?!\d*\s*)?CREATE\b(?:\s|\*/|/\*M?!\d*|OR\s+REPLACE\b
    |DEFINER\s*=\s*(?:`(?:[^`]|``)*`|'[^']*'|\"[^\"]*\"|\w+)(?:@(?:`(?:[^`]|``)*`|'[^']*'|\"[^\"]*\"|\w+))?)*+EVENT\b
    (?:\s|\*/|/\*M?!\d*|IF\s+NOT\s+EXISTS\b)*+(`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|[^\s`\"]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_WRITES: Final = re.compile(rb"(?:/\*M?!\d*\s*)?(?:INSERT|REPLACE|UPDATE|DELETE|CALL|TRUNCATE)\b", re.IGNORECASE)
_TABLES: Final = (
    "SELECT TABLE_SCHEMA, DATABASE(), TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1"
)
_OF_OWN: Final = (b"SET SESSION check_constraint_checks = OFF", b"SET SESSION innodb_strict_mode = OFF")
_SETTINGS: Final = "SET SESSION wait_timeout = 86400, net_read_timeout = 3600, net_write_timeout = 3600"
_RIGHTS: Final = "SELECT DISTINCT PRIVILEGE_TYPE AS name FROM information_schema.USER_PRIVILEGES"
_SET_DEFINERS: Final = frozenset({"SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER"})
_FULL_NAMES: Final = "SELECT FULL_COLLATION_NAME AS name FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
#: Session variables that a server knows and does not list.
_UNLISTED: Final = frozenset(
    {"sql_log_bin", "insert_id", "last_insert_id", "timestamp", "identity", "rand_seed1", "rand_seed2"}
)


class MyTarget:
    """`loader.Target` over one connection.

    An event runs from the moment at which it is made, in a scratch database, too: rows are counted before the first.
    """

    def __init__(self, driver: Any, server: Server, notes: Notes) -> None:
        self._driver, self._server, self._notes = driver, server, notes
        self._views = WaitingViews(self._execute)
        self._events = False
        self._counted: tuple[TableInfo, ...] | None = None
        # results are dropped: nothing in them is to be decoded
        driver.use_unicode, driver.decoders = False, {}

    def execute(self, text: bytes) -> None:
        """See `loader.Target.execute`. A view that is refused waits for the end of the file."""
        event = _EVENT.match(text)
        if event is not None and not self._events:
            self._events, self._counted = True, self._count()
        elif self._counted is not None and _WRITES.match(text):
            self._counted = None  # no dump of the servers' own clients goes on like that
        if b"SETVAL" in text[:16] and (asked := my_faithful.setval(text)) is not None:
            self._set_sequence(*asked)
            return
        self._views.execute(text)
        if event is not None and not self._is_there(event[1]):
            self._notes.transform("past-event", event[1].decode("utf-8", "replace"))

    def _set_sequence(self, statement: bytes, instead: bytes) -> None:
        self._execute(statement)
        if [row[0] for row in self._driver._result.rows or ()] == [None]:
            with suppress(StatementFailed):  # as far as it goes: one that has run out is so after the first, too
                self._execute(instead)

    def _is_there(self, event: bytes) -> bool:
        """Whether an event is there that was just made, its name as it was written: one of the past is not."""
        try:
            self._driver.query(b"SHOW CREATE EVENT " + event)
        except pymysql.MySQLError as error:
            return my_errors.number(error) != my_errors.NO_EVENT
        return True

    def counted(self) -> tuple[TableInfo, ...] | None:
        """See `loader.Target.counted`."""
        return self._counted

    def _count(self) -> tuple[TableInfo, ...] | None:
        """Count the rows of all tables, over the session of the load, which may hold locks; None where that fails."""
        try:
            rows = [[str(word, "utf-8") for word in row] for row in self._rows(_TABLES)]
            return tuple(self._counted_table(*row[2:]) for row in rows if row[0] == row[1]) or None
        except (pymysql.MySQLError, UnicodeError):
            return None

    def _counted_table(self, name: str, kind: str, engine: str) -> TableInfo:
        if engine.upper() in ROWS_ELSEWHERE:
            return TableInfo(name=name)
        period = " FOR SYSTEM_TIME ALL" * (kind == "SYSTEM VERSIONED")
        ((number,),) = self._rows(f"SELECT COUNT(*) FROM {quote(name)}{period}")  # noqa: S608 - quoted
        return TableInfo(name=name, rows=int(number))

    def _rows(self, sql: str) -> list[tuple[bytes, ...]]:
        self._driver.query(sql.encode())
        return list(self._driver._result.rows or ())

    def finish(self) -> None:
        """See `loader.Target.finish`."""
        self._views.finish()
        if self._driver.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            raise StatementFailed(UNCOMMITTED)

    def _execute(self, text: bytes) -> None:
        try:
            # a view, so that a long statement is not copied for each 16 MiB of it
            self._driver.query(memoryview(text))
            # only where one is announced: asked for without that, the driver waits for what never comes
            while self._driver._result is not None and self._driver._result.has_next:
                self._driver.next_result()
        except pymysql.MySQLError as error:
            number = my_errors.number(error)
            said = discreet.mysql(number, my_errors.text(error, self._server.redact))
            raise StatementFailed(said, alone=number not in my_errors.LOST, final=number in my_errors.WRONG) from error

    def copy(self, text: bytes) -> None:
        """Refuse: these servers have no COPY, and the reader gives none."""
        raise StatementFailed("rows cannot be copied into this server")

    def rows(self, data: bytes) -> None:
        """See `copy`."""
        self.copy(data)

    def copied(self) -> int:
        """See `copy`."""
        return 0

    def cancel(self) -> None:
        """See `loader.Target.cancel`."""
        with suppress(OSError, AttributeError):
            hang_up(self._driver._sock.fileno())


@contextmanager
def target(server: Server, product: Product, database: str, notes: Notes, *, own: bool) -> Iterator[MyTarget]:
    """Connect to `database` for a load. When the block fails, its session is ended on the server, too.

    What the server leaves out, and says so, goes into `notes`.

    A backup of our `own` holds what a server had. Its rows have passed the checks of their tables, perhaps under
    another time zone than the dump's: where the server can be told so (MariaDB), it does not ask again. Its tables may
    be of a time when InnoDB was not strict about rows that may get too long, or formats: it takes them as it did.
    """
    with server.driver(database) as driver:
        identity = driver.identity
        made = MyTarget(driver, server, notes)
        try:
            made.execute((_SETTINGS + ", max_statement_time = 0" * (product == "MariaDB")).encode())
            for setting in _OF_OWN if own else ():
                with suppress(StatementFailed):  # MySQL has no checks to switch off, and asks for a right
                    made.execute(setting)
            made.execute(f"SET SESSION sql_mode = '{_mode(server)}'".encode())
            yield made
        except BaseException:
            with suppress(BackupDBError), server.session() as session:
                session.execute(f"KILL {identity}", "ending the load")
            raise


def packet_limit(server: Server) -> int:
    """Return the most bytes that this server takes in one statement."""
    with server.session() as session:
        return int(session.value("SELECT @@GLOBAL.max_allowed_packet", "asking for max_allowed_packet")) - 1


def facts(server: Server, info: ServerInfo) -> MyFacts:
    """Ask the server what decides on a file's statements."""
    numbers = (*info.version_tuple, 0, 0)
    with server.session() as session:
        rows = session.rows("SHOW VARIABLES", "listing the variables")
        variables = {str(row["Variable_name"]).lower(): str(row["Value"]) for row in rows}
        collations = {str(row["Collation"]).lower() for row in session.rows("SHOW COLLATION", "listing collations")}
        if info.product == "MariaDB":
            full = session.rows(_FULL_NAMES, "listing collations") if numbers[:2] >= (10, 10) else []
            collations |= {str(row["name"]).lower() for row in full}
        rights = session.rows(_RIGHTS, "asking for rights")
    return MyFacts(
        mariadb=info.product == "MariaDB",
        version=numbers[0] * 10000 + numbers[1] * 100 + numbers[2],
        variables=frozenset(variables) | _UNLISTED,
        collations=frozenset(collations),
        sets_definers=any(str(row["name"]).upper() in _SET_DEFINERS for row in rights),
        folds_names=variables.get("lower_case_table_names", "0") != "0",
    )


def _mode(server: Server) -> str:
    with server.session() as session:
        words = str(session.value("SELECT @@GLOBAL.sql_mode", "asking for the SQL mode")).split(",")
    return ",".join(word for word in words if word not in _READER_LACKS)
