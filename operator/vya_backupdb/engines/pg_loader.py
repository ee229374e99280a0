"""Loading into PostgreSQL over libpq itself: each statement alone, as bytes, rows as COPY data.

By the extended protocol, in which the server takes exactly one statement: whatever a file holds, what was judged as
one statement cannot be executed as two. Bytes are neither decoded nor encoded: a dump says its encoding itself.

A dump names all that it means with its schema, and so lets names be looked up nowhere (``search_path`` is empty). What
its functions mean by a bare name they found by the path of those who used them: a CHECK or a generated column by such a
function refuses every row under an empty path, and an index on it cannot be built. So rows go in under the path of the
source's sessions, and a statement that misses a name is tried again under it. What the database sets for its sessions
under a name of its own (``app.tenant``) such a function may ask for, too: it is set from the start.

What an account or a server sets for its sessions could give the file's words another meaning: an array's NULL would
become a text, and amounts of money are written by the source's ``lc_monetary``. Both are set as the dump has them, and
so are time zone, style of dates and language of searches, by which a CHECK may judge the source's rows.

Event triggers are made last of all: pg_dump fills materialized views behind them, and one that forbids changes of
definitions would forbid that.
"""

import re
import select
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg import pq

from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.engines import discreet
from vya_backupdb.engines.loader import UNCOMMITTED, StatementFailed, hang_up
from vya_backupdb.engines.loading import LoadOptions
from vya_backupdb.engines.pg_checks import Checks
from vya_backupdb.engines.pg_scan import python_codec
from vya_backupdb.engines.pg_session import Server, known_timeouts, quote
from vya_backupdb.engines.pg_transforms import NAME_MISSED, PgFacts

_DONE: Final = {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY}


class PgTarget:
    """`loader.Target` over one connection.

    libpq is never let to wait: a signal's handler would not run as long as it does.
    """

    def __init__(
        self,
        connection: "psycopg.Connection[object]",
        server: Server,
        path: str,
        nullable: Iterable[tuple[str, str, str]],
        note: Callable[[str, str], None],
    ) -> None:
        self._pg = connection.pgconn
        self._redact = server.redact
        self._poll = select.poll()
        self._path = path
        self._under_path = False
        self._amounts = ""
        self._last: list[bytes] = []
        self._nullable = [*nullable]
        self._ready = False
        self._checks = Checks(self._found, self._run_under_path, note)

    def execute(self, text: bytes) -> None:
        """See `loader.Target.execute`."""
        if _EVENT_TRIGGER.match(text):
            self._last.append(text)
            return
        self._run(text)

    def _run(self, text: bytes) -> None:
        self._leave_path()
        result = self._asked(text)
        if result is None or result.status not in _DONE:
            failed = self._failed(result)
            if not self._done_under_path(text, result):
                raise failed

    def copy(self, text: bytes) -> None:
        """See `loader.Target.copy`."""
        self._make_ready()
        self._enter_path()
        result = self._asked(text)
        if result is None or result.status != pq.ExecStatus.COPY_IN:
            raise self._failed(result)

    def _make_ready(self) -> None:
        """Before the first rows come, all tables are there: take away what the dump could not say of them."""
        if not self._ready:
            self._ready = True
            self._loosen(self._nullable)
            self._checks.take_off()

    def _loosen(self, columns: Iterable[tuple[str, str, str]]) -> None:
        """Let columns take NULL that did.

        A table that was not chosen is not there; what a server of 18 refuses, the rows or the comparison will tell.
        """
        encoding = python_codec((self._pg.parameter_status(b"client_encoding") or b"UTF8").decode())
        for schema, table, column in columns:
            text = f"ALTER TABLE ONLY {quote(schema)}.{quote(table)} ALTER COLUMN {quote(column)} DROP NOT NULL"
            with suppress(StatementFailed):
                self._run(text.encode(encoding, "replace"))

    def _found(self, query: bytes) -> list[tuple[bytes, ...]]:
        result = self._asked(query)
        if result is None or result.status not in _DONE:
            raise self._failed(result)
        rows, columns = range(result.ntuples), range(result.nfields)
        return [tuple(result.get_value(row, column) or b"" for column in columns) for row in rows]

    def _run_under_path(self, text: bytes) -> None:
        self._enter_path()
        self._found(text)

    def _done_under_path(self, text: bytes, result: pq.abc.PGresult | None) -> bool:
        """Try once more what missed a name; return whether it succeeded."""
        state = None if result is None else result.error_field(pq.DiagnosticField.SQLSTATE)
        if (state or b"").decode() not in NAME_MISSED or not self._enter_path():
            return False
        again = self._asked(text)
        self._leave_path()
        return again is not None and again.status in _DONE

    def _enter_path(self) -> bool:
        """Look names up by the source's path from now on; False if the file itself says where they are looked up."""
        if not self._under_path:
            now = self._asked(b"SELECT pg_catalog.current_setting('search_path')")
            if now is not None and now.status in _DONE and now.get_value(0, 0) == b"":
                self._under_path = self.set("search_path", self._path)
        return self._under_path

    def _leave_path(self) -> None:
        if self._under_path:
            self._under_path = False
            self.set("search_path", "")

    def _asked(self, text: bytes, *parameters: bytes) -> pq.abc.PGresult | None:
        return self._answer(lambda: self._pg.send_query_params(text, parameters or None))

    def rows(self, data: bytes) -> None:
        """See `loader.Target.rows`."""
        try:
            self._pg.put_copy_data(data)
            self._flush()
        except psycopg.Error as error:
            raise self._broken(error) from error

    def copied(self) -> int:
        """See `loader.Target.copied`."""
        result = self._answer(self._pg.put_copy_end)
        if result is None or result.status not in _DONE:
            raise self._failed(result)
        return result.command_tuples or 0

    def finish(self) -> None:
        """See `loader.Target.finish`: pg_dump writes views after what they need."""
        self._checks.put_back()
        self._leave_path()
        for text in self._last:
            self._run(text)
        if self._pg.transaction_status != pq.TransactionStatus.IDLE:
            raise StatementFailed(UNCOMMITTED)
        if self._amounts and (found := self._asked(_MONEY)) is not None and found.ntuples:
            column = (found.get_value(0, 0) or b"").decode("utf-8", "backslashreplace")
            raise StatementFailed(
                f"the server has no locale {self._amounts!r} (lc_monetary), by which the file writes amounts of money,"
                f" and {column} holds some"
            )

    def counted(self) -> None:
        """See `loader.Target.counted`: nothing here runs by itself."""

    def write_amounts(self, locale: str) -> None:
        """Read amounts of money as the source wrote them; what cannot be read like that is refused at the end."""
        if not self.set("lc_monetary", locale) and not (_PLAIN_LOCALE.match(locale) and self.set("lc_monetary", "C")):
            self._amounts = locale

    def set(self, name: str, value: str) -> bool:
        """Set a parameter of the session; return whether the server took it."""
        result = self._asked(b"SELECT pg_catalog.set_config($1, $2, false)", name.encode(), value.encode())
        return result is not None and result.status in _DONE

    def cancel(self) -> None:
        """See `loader.Target.cancel`."""
        with suppress(psycopg.Error):
            hang_up(self._pg.socket)

    def _answer(self, ask: Callable[[], object]) -> pq.abc.PGresult | None:
        """Return the server's answer to what `ask` sends; what follows it is read, too, unless rows are wanted."""
        try:
            ask()
            self._flush()
            result = self._result()
            while result is not None and result.status not in _COPYING and self._result() is not None:
                pass
        except psycopg.Error as error:
            raise self._broken(error) from error
        return result

    def _result(self) -> pq.abc.PGresult | None:
        while self._pg.is_busy():
            self._wait(select.POLLIN)
            self._pg.consume_input()
        return self._pg.get_result()

    def _flush(self) -> None:
        """Send what is queued; the server may want to be read meanwhile."""
        while self._pg.flush():
            if self._wait(select.POLLIN | select.POLLOUT) & ~select.POLLOUT:
                self._pg.consume_input()

    def _wait(self, events: int) -> int:
        self._poll.register(self._pg.socket, events)
        ((_descriptor, ready),) = self._poll.poll()
        return ready

    def _failed(self, result: pq.abc.PGresult | None) -> StatementFailed:
        """Return what the server said: its message, the detail, and where in a COPY it was, without values of rows."""
        said = [b"" if result is None else result.error_field(field) or b"" for field in _FIELDS]
        state = None if result is None else result.error_field(pq.DiagnosticField.SQLSTATE)
        words = discreet.postgresql(state, [one.decode("utf-8", "backslashreplace") for one in said])
        text = "; ".join(words) or self._pg.error_message.decode("utf-8", "backslashreplace") or "no answer"
        alone = state is not None and self._pg.status == pq.ConnStatus.OK and not state.startswith(_OF_THE_SERVER)
        code = (state or b"").decode()
        return StatementFailed(self._redact(" ".join(text.split())), alone=alone, final=_is_final(state), state=code)

    def _broken(self, error: psycopg.Error) -> StatementFailed:
        return StatementFailed(self._redact(" ".join(str(error).split())))


def _is_final(state: bytes | None) -> bool:
    return state is not None and state[:2] in _FINAL and state != _NO_RIGHT


_COPYING: Final = {pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH}
_FIELDS: Final = (pq.DiagnosticField.MESSAGE_PRIMARY, pq.DiagnosticField.MESSAGE_DETAIL, pq.DiagnosticField.CONTEXT)


#: Classes of SQLSTATEs by which a statement is wrong, whenever it comes. What a server may lack for a while
#: (connections, memory, disk, locks, time, a right) is in others.
_FINAL: Final = frozenset({b"0A", b"21", b"22", b"23", b"2B", b"2F", b"3F", b"42", b"44", b"54", b"P0"})
_NO_RIGHT: Final = b"42501"

#: Classes of SQLSTATEs: no room or memory, stopped from outside, a fault within the server.
_OF_THE_SERVER: Final = (b"53", b"57", b"58P03", b"XX")
_EVENT_TRIGGER: Final = re.compile(
    rb"\s*(?:--[^\n]*\n\s*)*(?:CREATE|ALTER|COMMENT\s+ON)\s+EVENT\s+TRIGGER\b", re.IGNORECASE
)
#: Locales that write amounts of money like C does.
_PLAIN_LOCALE: Final = re.compile(r"(?:C|POSIX|en_US)(?:[.@]|$)")
_MONEY: Final = b"""
    SELECT pg_catalog.format('%I.%I', c.relname, a.attname) FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f')
    WHERE a.atttypid IN (790, 791) AND NOT a.attisdropped AND c.oid >= 16384 ORDER BY 1 LIMIT 1"""
#: What a CHECK may ask for: a row that was right where it was made must be right here.
_MEANINGS: Final = {"TimeZone", "DateStyle", "default_text_search_config"}
#: Of a session that loads, whatever account and server say: as they are everywhere but where somebody changed them.
_PINS: Final = {"array_nulls": "on", "transform_null_equals": "off"}
_DEFAULT_PATH: Final = '"$user", public'

#: Settings that a server knows and does not list.
_UNLISTED: Final = frozenset({"role", "session_authorization", "seed", "is_superuser"})


@contextmanager
def target(server: Server, database: str, options: LoadOptions, note: Callable[[str, str], None]) -> Iterator[PgTarget]:
    """Connect to `database` for a load. When the block fails, its session is ended on the server, too.

    `note` is told the name of a transform, and what it was done to. Where the source lacked the schema ``public``, the
    empty one, which every new database has, is dropped.

    Time-outs are off. Commits are not waited for: nobody uses the database yet, and a crash that loses the last ones
    loses nothing that was promised.
    """
    with server.driver(database) as connection:
        ours = {**known_timeouts(connection.info.server_version), **_PINS, "synchronous_commit": "off"}
        theirs = {name: value for name, _, value in (one.partition("=") for one in options.settings)}
        made = PgTarget(connection, server, theirs.get("search_path", _DEFAULT_PATH), options.nullable, note)
        for name, value in theirs.items():
            if "." in name or name in _MEANINGS:
                made.set(name, value)
        if "lc_monetary" in theirs:
            made.write_amounts(theirs["lc_monetary"])
        for name, value in ours.items():
            made.execute(f"SET {name} = '{value}'".encode())
        backend = connection.info.backend_pid
        try:
            if options.lacks_public:
                with suppress(StatementFailed):  # below 15 it belongs to the superuser; then it stays, and is told
                    made.execute(b"DROP SCHEMA public")
            yield made
        except BaseException:
            connection.close()
            with suppress(BackupDBError), server.session() as session:
                session.rows("SELECT pg_catalog.pg_terminate_backend(:pid)", "ending the load", pid=backend)
            raise


def facts(server: Server) -> PgFacts:
    """Ask the server what decides on a file's statements."""
    with server.session() as session:
        settings = session.rows("SELECT name FROM pg_catalog.pg_settings", "listing the settings")
        roles = session.rows("SELECT rolname AS name FROM pg_catalog.pg_roles", "listing the roles")
        spaces = session.rows("SELECT spcname AS name FROM pg_catalog.pg_tablespace", "listing the tablespaces")
    known = frozenset(str(row["name"]).lower() for row in settings)
    names, places = (frozenset(str(row["name"]) for row in rows) for rows in (roles, spaces))
    return PgFacts(known | _UNLISTED, names, places, session.version)
