"""PostgreSQL 13 and later, by ``pg_dump`` of the server's major.

Locks are advisory locks in the maintenance database, under a hash of the database's name. A restore loads beside and
renames. Not in one transaction: a database of 10,000 tables would need more locks than a server has, and a failure
leaves nothing behind all the same, because the scratch database is dropped.
"""

import contextlib
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import BackupDBError, DumpFailed, WrongServer
from vya_backupdb.domain.metadata import DatabaseSettings
from vya_backupdb.domain.report import Finding
from vya_backupdb.domain.schema import Schema
from vya_backupdb.domain.undertaking import OWN_NAME
from vya_backupdb.domain.users_file import MARKER
from vya_backupdb.engines import locks, pg_catalog, pg_errors, pg_preflight, pg_schema, stderr
from vya_backupdb.engines.base import (
    Checkpoint,
    Command,
    Count,
    Credentials,
    DatabaseInfo,
    DumpPlan,
    ServerInfo,
    Snapshot,
    UsersDump,
)
from vya_backupdb.engines.clients import Clients
from vya_backupdb.engines.loading import Fitted, LoadOptions
from vya_backupdb.engines.pg_scan import MarkerScanner, PgScanner
from vya_backupdb.engines.pg_session import Server, Session, known_timeouts, version_words

if TYPE_CHECKING:
    # imported by the methods that need them: most of a Job's start would else go into what it does not do
    from vya_backupdb.engines.loader import FileInspector, FileLoader
    from vya_backupdb.engines.pg_accounts import PgAccounts
    from vya_backupdb.engines.pg_swap import PostgreSQLPlacer

_EVERYTHING: Final = LoadOptions()
_UNKNOWN_BELOW_17: Final = b"SET transaction_timeout = 0;\n"

_DATABASES: Final = """
    SELECT pg_catalog.namesend(d.datname) AS name, d.datallowconn, d.datistemplate, d.datconnlimit,
      CASE WHEN d.datallowconn AND (pg_catalog.has_database_privilege(d.oid, 'CONNECT')
             OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'))
        THEN pg_catalog.pg_database_size(d.oid) END AS size,
      pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS may_connect
    FROM pg_catalog.pg_database d WHERE d.datname NOT IN ('template0', 'template1')"""
_USER_OBJECTS: Final = """
    SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')"""


class PostgreSQL:
    """`base.Engine` for one PostgreSQL server."""

    loads_beside = True

    def __init__(
        self, config: DatabaseConfig, credentials: Credentials, *, clients: Clients, redact: Callable[[str], str]
    ) -> None:
        """Raise CredentialsUnreadable, naming the field, if libpq cannot carry user or password."""
        self._config = config
        self._clients = clients
        self._redact = redact
        self._server = Server(config, credentials, redact)

    @cached_property
    def placer(self) -> "PostgreSQLPlacer":
        """See `base.Engine.placer`."""
        from vya_backupdb.engines.pg_swap import PostgreSQLPlacer

        return PostgreSQLPlacer(self._server)

    def connect_check(self) -> ServerInfo:
        """See `base.Engine.connect_check`."""
        with self._server.session() as session:
            return self._server_info(session)

    @cached_property
    def _info(self) -> ServerInfo:
        return self.connect_check()

    def _server_info(self, session: Session) -> ServerInfo:
        banner = str(session.value("SELECT pg_catalog.version()", "asking for the version"))
        if not banner.startswith("PostgreSQL "):
            raise WrongServer(
                f"{self._server.name} calls itself {self._redact(banner)!r}",
                hint="It is not PostgreSQL; correct host and port.",
            )
        identity = None
        if session.value(
            "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')", "asking for rights"
        ):
            identity = session.value(
                "SELECT system_identifier FROM pg_catalog.pg_control_system()", "asking for identity"
            )
        return ServerInfo(
            product="PostgreSQL",
            version=version_words(session.version),
            version_tuple=divmod(session.version, 10000),
            identity=None if identity is None else str(identity),
            now=session.value("SELECT pg_catalog.clock_timestamp()", "asking for the time"),
        )

    def databases(self) -> list[DatabaseInfo]:
        """See `base.Engine.databases`. Templates, scratch databases and an empty ``postgres`` are not listed."""
        with self._server.session() as session:
            rows = session.rows(_DATABASES, "listing the databases")
        found = [info for row in rows if (info := self._database_info(row)) is not None]
        return sorted(found, key=lambda info: info.name)

    def _database_info(self, row: dict[str, Any]) -> DatabaseInfo | None:
        raw = bytes(row["name"])
        name = raw.decode("utf-8", "backslashreplace")
        if OWN_NAME.fullmatch(name):
            return None
        covered, why = self._coverage(name, row)
        if covered and name.encode() != raw:
            covered, why = False, "its name is not UTF-8, and cannot be given to a client"
        if name == "postgres" and not covered and not self._has_user_objects(name, row):
            return None
        return DatabaseInfo(name, row["size"], covered, why)

    def count_objects(self, databases: Collection[str]) -> dict[str, dict[str, int]]:
        """See `base.Engine.count_objects`."""
        from vya_backupdb.engines import pg_objects

        found = {}
        for name in databases:
            with contextlib.suppress(BackupDBError):
                found[name] = pg_objects.count(self._server, name)
        return found

    def _coverage(self, name: str, row: dict[str, Any]) -> tuple[bool, str]:
        if row["datistemplate"]:
            return False, "is a template"
        if row["datconnlimit"] == -2:
            return False, "is invalid: a DROP DATABASE was interrupted"
        if not row["datallowconn"]:
            return False, "accepts no connections"
        if not self._config.wants(name):
            excluded = self._config.model_copy(update={"include_databases": ("*",)})
            return False, "is not in include_databases" if excluded.wants(name) else "is in exclude_databases"
        if name == "postgres" and name not in self._config.include_databases:
            return False, "is the maintenance database and holds objects: name it in include_databases"
        if not row["may_connect"]:
            return False, "the account may not connect to it"
        return True, "is included"

    def _has_user_objects(self, name: str, row: dict[str, Any]) -> bool:
        if not (row["datallowconn"] and row["may_connect"]):
            return False
        with self._server.session(name) as session:
            return bool(session.value(_USER_OBJECTS, f"looking into database {name!r}"))

    @contextmanager
    def lock(
        self, database: str, *, wait_seconds: float, checkpoint: Checkpoint | None = None
    ) -> Iterator[locks.SessionLock]:
        """See `base.Engine.lock`."""
        key = lock_key(database)
        with self._server.session() as session:
            locks.wait_for(
                database,
                lambda seconds: self._try_lock(session, key, seconds),
                wait_seconds=wait_seconds,
                checkpoint=checkpoint,
            )
            end = partial(session.value, f"SELECT pg_catalog.pg_advisory_unlock({key})", "giving back the lock")
            with locks.holding(database, lambda: _holds(session, key), end) as lock:
                yield lock

    def _try_lock(self, session: Session, key: int, seconds: float) -> bool:
        """Wait on the server for at most `seconds`; return whether the lock was had."""
        if seconds <= 0.01:
            return bool(session.value("SELECT pg_catalog.pg_try_advisory_lock(:key)", "asking for the lock", key=key))
        session.run(f"SET lock_timeout = {int(seconds * 1000)}")
        try:
            session.run(f"SELECT pg_catalog.pg_advisory_lock({key})")
        except SQLAlchemyError as error:
            if pg_errors.sqlstate(error) == "55P03":
                return False
            raise pg_errors.of_statement(error, "asking for the lock", self._redact) from error
        return True

    def preflight(self) -> tuple[Finding, ...]:
        """See `base.Engine.preflight`: this server hides no database from its list."""
        return ()

    def inspect(self, database: str) -> tuple[Finding, ...]:
        """See `base.Engine.inspect`."""
        with self._server.session(database) as session:
            return pg_preflight.of_database(session, database, self._accepts)

    def _accepts(self, line: str) -> bool:
        return not self.judge_stderr(line)

    def snapshot(self, database: str) -> contextlib.AbstractContextManager[pg_catalog.PostgreSQLSnapshot]:
        """See `base.Engine.snapshot`."""
        return pg_catalog.snapshot(self._server, database, self._accepts)

    def dump(self, database: str, snapshot: Snapshot) -> DumpPlan:
        """See `base.Engine.dump`. `snapshot` is one of this engine's own."""
        if not isinstance(snapshot, pg_catalog.PostgreSQLSnapshot):
            raise TypeError("a PostgreSQL dump needs a PostgreSQL snapshot")
        client = self._clients.pg_dump(self._info)
        argv = (
            client.path,
            "--format=plain",
            "--compress=0",
            "--no-password",
            "--quote-all-identifiers",
            f"--lock-wait-timeout={self._config.timeouts.lock_seconds}s",
            # the database's own: what is LATIN1 or of no encoding at all stays byte for byte what it is
            f"--encoding={snapshot.encoding}",
            f"--snapshot={snapshot.identifier}",
            *(("--no-statistics",) if client.version[0] >= 18 else ()),
            # a key that the source's superuser cannot know, so that nothing in the dump can end the restriction
            *((f"--restrict-key={secrets.token_hex(32)}",) if client.restricts else ()),
            f"--dbname={self._server.conninfo(database)}",
        )
        command = Command(argv, self._server.environ(self._timeouts))
        # written for every server, known from 17 on: "SET … unrecognized configuration parameter" ends a restore
        if client.version[0] >= 17 > self._info.version_tuple[0]:
            return DumpPlan(command, f"{client.words} (without SET transaction_timeout)", _UNKNOWN_BELOW_17)
        return DumpPlan(command, client.words)

    @property
    def _timeouts(self) -> dict[str, str]:
        major, minor = self._info.version_tuple[:2]
        return known_timeouts(major * 10000 + minor)

    def scanner(self) -> PgScanner:
        """See `base.Engine.scanner`."""
        return PgScanner()

    def users_scanner(self) -> MarkerScanner:
        """See `base.Engine.users_scanner`."""
        return MarkerScanner(MARKER.encode())

    def judge_stderr(self, text: str) -> list[str]:
        """See `base.Engine.judge_stderr`."""
        return stderr.unknown_lines(text, (*stderr.HARMLESS["postgresql"], *self._config.allowed_stderr), self._redact)

    def dump_failure(self, database: str, exit_code: int, text: str) -> DumpFailed:
        """See `base.Engine.dump_failure`."""
        return stderr.dump_failure("pg_dump", database, exit_code, text, self._redact)

    def users(self) -> UsersDump:
        """See `base.Engine.users`."""
        from vya_backupdb.engines import pg_users
        from vya_backupdb.engines.users_text import users_dump

        return users_dump(pg_users.read(self._server), pg_users.COMMENTS, pg_users.PREAMBLE)

    def accounts(self) -> "PgAccounts":
        """See `base.Engine.accounts`."""
        from vya_backupdb.engines.pg_accounts import PgAccounts

        return PgAccounts(self._server)

    def exists(self, database: str) -> bool:
        """See `base.Engine.exists`."""
        from vya_backupdb.engines import pg_restore

        return pg_restore.exists(self._server, database)

    def create(self, database: str, settings: DatabaseSettings, *, marker: str = "") -> tuple[str, ...]:
        """See `base.Engine.create`: a database has an id, and needs no marker."""
        del marker
        from vya_backupdb.engines import pg_restore

        return pg_restore.create(self._server, database, settings)

    def fitted(self, settings: DatabaseSettings, options: LoadOptions) -> Fitted:
        """See `base.Engine.fitted`."""
        from vya_backupdb.engines import pg_database_roles

        with self._server.session() as session:
            return pg_database_roles.fitted(session, settings, options)

    def inspector(self, target: str, options: LoadOptions = _EVERYTHING) -> "FileInspector":
        """See `base.Engine.inspector`."""
        from vya_backupdb.engines import pg_loader
        from vya_backupdb.engines.loader import FileInspector
        from vya_backupdb.engines.pg_statements import PgReader
        from vya_backupdb.engines.pg_transforms import PgRules

        return FileInspector(PgReader(), PgRules(options, pg_loader.facts(self._server)))

    @contextmanager
    def loader(self, database: str, options: LoadOptions = _EVERYTHING) -> "Iterator[FileLoader]":
        """See `base.Engine.loader`."""
        from vya_backupdb.engines import pg_loader
        from vya_backupdb.engines.loader import FileLoader
        from vya_backupdb.engines.pg_statements import PgReader
        from vya_backupdb.engines.pg_transforms import PgRules

        rules = PgRules(options, pg_loader.facts(self._server))
        with pg_loader.target(self._server, database, options, rules.notes.transform) as target:
            yield FileLoader(PgReader(), rules, target, database=database, redact=self._redact)

    def finish(self, database: str, settings: DatabaseSettings) -> tuple[str, ...]:
        """See `base.Engine.finish`."""
        from vya_backupdb.engines import pg_restore

        return pg_restore.finish(self._server, database, settings)

    def drop(self, database: str, *, identity: str | None = None) -> None:
        """See `base.Engine.drop`."""
        from vya_backupdb.engines import pg_restore

        pg_restore.drop(self._server, database, identity=identity)

    def schema(self, database: str) -> Schema:
        """See `base.Engine.schema`."""
        with self._server.untriggered(database) as session:
            return pg_schema.read_now(session, database)

    def count(self, database: str, *, without: str = "") -> Count:
        """See `base.Engine.count`."""
        del without
        from vya_backupdb.engines import pg_restore

        return pg_restore.count(self._server, database)


def lock_key(database: str) -> int:
    """Return the key of the advisory lock on `database`: a signed 64-bit hash of its name."""
    return int.from_bytes(locks.digest(database)[:8], "big", signed=True)


def _holds(session: Session, key: int) -> bool:
    sql = (
        "SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()"
        " AND granted AND ((classid::bigint << 32) | objid::bigint) = :key AND objsubid = 1"
    )
    return session.value(sql, "asking for the lock", key=key) is not None
