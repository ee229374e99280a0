"""MySQL and MariaDB, each by its own dump client.

MariaDB's ``mariadb-dump`` writes dumps of a MySQL server that cannot be restored (generated columns), and each
product's client refuses the other's flags. What the server calls itself decides; a configured flavor that disagrees
is an error. Locks are ``GET_LOCK`` of a hash of the database's name. A restore loads under the final name
(`my_restore`), or beside what it is to replace (`my_swap`).
"""

import contextlib
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import DumpFailed, WrongServer
from vya_backupdb.domain.metadata import DatabaseSettings
from vya_backupdb.domain.report import Finding
from vya_backupdb.domain.schema import Schema
from vya_backupdb.domain.users_file import MARKER
from vya_backupdb.engines import locks, my_catalog, my_preflight, my_schema, stderr, tls
from vya_backupdb.engines.base import (
    Checkpoint,
    Command,
    Count,
    Credentials,
    DatabaseInfo,
    DumpPlan,
    Option,
    Product,
    ServerInfo,
    Snapshot,
    UsersDump,
)
from vya_backupdb.engines.clients import Client, Clients
from vya_backupdb.engines.loading import Fitted, LoadOptions
from vya_backupdb.engines.my_scan import MySQLScanner
from vya_backupdb.engines.my_session import Server, Session, product_of
from vya_backupdb.engines.pg_scan import MarkerScanner

if TYPE_CHECKING:
    # imported by the methods that need them: most of a Job's start would else go into what it does not do
    from vya_backupdb.engines.loader import FileInspector, FileLoader
    from vya_backupdb.engines.my_accounts import MyAccounts
    from vya_backupdb.engines.my_place import MySQLPlacer
    from vya_backupdb.engines.my_statements import MyReader

_EVERYTHING: Final = LoadOptions()
SYSTEM_DATABASES: Final = frozenset({"mysql", "sys", "information_schema", "performance_schema"})
#: So begins the name of a directory that is no database's, such as ``lost+found`` of a volume; it is one only if tables
#: of an old server are in it.
_DIRECTORY: Final = "#mysql50#"
#: Grouped by bytes: under the catalogue's own collation MariaDB takes ``Shop`` and ``shop``, or é and e, for one.
_SIZES: Final = """
    SELECT MIN(TABLE_SCHEMA) AS name, SUM(DATA_LENGTH + INDEX_LENGTH) AS size
    FROM information_schema.TABLES GROUP BY CONVERT(TABLE_SCHEMA USING utf8mb4) COLLATE utf8mb4_bin"""
_DUMP: Final = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    "--net-buffer-length=1M",
    "--no-tablespaces",
    "--skip-lock-tables",
    "--tz-utc",
    "--comments",
    "--skip-dump-date",
)


class MySQL:
    """`base.Engine` for one MySQL or MariaDB server."""

    loads_beside = False

    def __init__(
        self, config: DatabaseConfig, credentials: Credentials, *, clients: Clients, redact: Callable[[str], str]
    ) -> None:
        """Raise CredentialsUnreadable, naming the field, if the protocol cannot carry user or password."""
        self._config = config
        self._clients = clients
        self._redact = redact
        self._server = Server(config, credentials, redact)

    @cached_property
    def placer(self) -> "MySQLPlacer":
        """See `base.Engine.placer`."""
        from vya_backupdb.engines.my_place import MySQLPlacer

        return MySQLPlacer(self._server)

    def connect_check(self) -> ServerInfo:
        """See `base.Engine.connect_check`."""
        with self._server.session() as session:
            return self._server_info(session)

    @cached_property
    def _info(self) -> ServerInfo:
        return self.connect_check()

    @property
    def _product(self) -> Product:
        return self._info.product

    def _server_info(self, session: Session) -> ServerInfo:
        version = str(session.value("SELECT VERSION()", "asking for the version"))
        product = product_of(version)
        flavor = self._config.flavor
        if flavor is not None and flavor.value != product.lower():
            raise WrongServer(
                f"{self._server.name} is {product} {self._redact(version)}, but flavor is {flavor.value}",
                hint="Correct the flavor of the instance, or its host.",
            )
        numbers = re.search(r"\d+(?:\.\d+)+", version.removeprefix("5.5.5-"))
        now = session.value("SELECT UTC_TIMESTAMP(6)", "asking for the time")
        return ServerInfo(
            product=product,
            version=version,
            version_tuple=tuple(int(part) for part in numbers[0].split(".")) if numbers else (0,),
            identity=_identity(session, product),
            now=now.replace(tzinfo=UTC) if isinstance(now, datetime) else datetime.fromisoformat(f"{now}+00:00"),
        )

    def databases(self) -> list[DatabaseInfo]:
        """See `base.Engine.databases`."""
        with self._server.session() as session:
            listed = session.rows(
                "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA", "listing the databases"
            )
            rows = session.rows(_SIZES, "asking for the sizes of the databases")
        sizes = {str(row["name"]): int(row["size"] or 0) for row in rows}
        names = sorted(str(row["name"]) for row in listed)
        return [
            DatabaseInfo(name, sizes.get(name, 0), *self._coverage(name))
            for name in names
            if name.lower() not in SYSTEM_DATABASES and not (name.startswith(_DIRECTORY) and name not in sizes)
        ]

    def count_objects(self, databases: Collection[str]) -> dict[str, dict[str, int]]:
        """See `base.Engine.count_objects`."""
        from vya_backupdb.engines import my_counts

        with self._server.session() as session:
            return my_counts.count(session, databases)

    def _coverage(self, name: str) -> tuple[bool, str]:
        if self._config.wants(name):
            return True, "is included"
        included = self._config.model_copy(update={"include_databases": ("*",)})
        return False, "is not in include_databases" if included.wants(name) else "is in exclude_databases"

    @contextmanager
    def lock(
        self, database: str, *, wait_seconds: float, checkpoint: Checkpoint | None = None
    ) -> Iterator[locks.SessionLock]:
        """See `base.Engine.lock`."""
        name = lock_name(database)
        with self._server.session() as session:

            def asked(sql: str, **parameters: float) -> bool:
                return bool(session.value(sql, "asking for the lock", name=name, **parameters))

            locks.wait_for(
                database,
                lambda seconds: asked("SELECT GET_LOCK(:name, :wait)", wait=seconds),
                wait_seconds=wait_seconds,
                checkpoint=checkpoint,
            )
            ours, release = "SELECT IS_USED_LOCK(:name) = CONNECTION_ID()", "SELECT RELEASE_LOCK(:name)"
            with locks.holding(database, lambda: asked(ours), lambda: asked(release)) as lock:
                yield lock

    def preflight(self) -> tuple[Finding, ...]:
        """See `base.Engine.preflight`."""
        by_pattern = any(set("*?[").intersection(name) for name in self._config.include_databases)
        with self._server.session() as session:
            return my_preflight.of_server(session, self._product, by_pattern=by_pattern)

    def inspect(self, database: str) -> tuple[Finding, ...]:
        """See `base.Engine.inspect`."""
        with self._server.session() as session:
            return my_preflight.of_database(session, self._product, database)

    def snapshot(self, database: str) -> contextlib.AbstractContextManager[my_catalog.MySQLSnapshot]:
        """See `base.Engine.snapshot`."""
        seconds = self._config.timeouts.lock_seconds
        return my_catalog.snapshot(self._server, self._product, database, wait_seconds=seconds)

    def dump(self, database: str, snapshot: Snapshot) -> DumpPlan:
        """See `base.Engine.dump`. `snapshot` is one of this engine's own."""
        if not isinstance(snapshot, my_catalog.MySQLSnapshot):
            raise TypeError("a MySQL dump needs a MySQL snapshot")
        client = self._clients.mysql_dump(self._info)
        flags = self._mariadb_flags(snapshot) if client.product == "MariaDB" else self._oracle_flags(client)
        return DumpPlan(Command((*self._head(client), *_DUMP, *flags, "--", database)), client.words)

    def _head(self, client: Client) -> tuple[str | Option, ...]:
        """Return program, option file (first, or the client reads others) and TLS flags."""
        file = Option("--defaults-file=", self._server.option_file())
        return (client.path, file, *tls.client_options(self._config, client))

    def _mariadb_flags(self, snapshot: my_catalog.MySQLSnapshot) -> tuple[str, ...]:
        return (
            "--max-statement-time=0",
            # under LOCK TABLES an INSERT into a table with DEFAULT nextval(s) fails with error 1100: s is not locked
            "--skip-add-locks",
            *(("--dump-history",) if snapshot.versioned else ()),
        )

    def _oracle_flags(self, client: Client) -> tuple[str, ...]:
        return (
            # with GTIDs the client would lock all tables and write a line that no other server can take
            "--set-gtid-purged=OFF",
            "--column-statistics=0",
            # net_read_timeout and net_write_timeout the client itself sets to a day
            f"--init-command=SET SESSION max_execution_time=0, lock_wait_timeout={self._config.timeouts.lock_seconds}",
        )

    def scanner(self) -> MySQLScanner:
        """See `base.Engine.scanner`."""
        return MySQLScanner()

    def users_scanner(self) -> MarkerScanner:
        """See `base.Engine.users_scanner`."""
        return MarkerScanner(MARKER.encode())

    def judge_stderr(self, text: str) -> list[str]:
        """See `base.Engine.judge_stderr`."""
        return stderr.unknown_lines(text, (*stderr.HARMLESS["mysql"], *self._config.allowed_stderr), self._redact)

    def dump_failure(self, database: str, exit_code: int, text: str) -> DumpFailed:
        """See `base.Engine.dump_failure`."""
        program = "mariadb-dump" if self._product == "MariaDB" else "mysqldump"
        return stderr.dump_failure(program, database, exit_code, text, self._redact)

    def users(self) -> UsersDump:
        """See `base.Engine.users`."""
        from vya_backupdb.engines import my_users
        from vya_backupdb.engines.users_text import users_dump

        read = my_users.read(self._server, self._product, self._info.version)
        return users_dump(read, my_users.comments(self._product), my_users.preamble(self._product))

    def accounts(self) -> "MyAccounts":
        """See `base.Engine.accounts`."""
        from vya_backupdb.engines.my_accounts import MyAccounts

        return MyAccounts(self._server, lambda: self._info)

    def exists(self, database: str) -> bool:
        """See `base.Engine.exists`."""
        from vya_backupdb.engines import my_restore

        return my_restore.exists(self._server, database)

    def create(self, database: str, settings: DatabaseSettings, *, marker: str = "") -> tuple[str, ...]:
        """See `base.Engine.create`."""
        from vya_backupdb.engines import my_restore

        return my_restore.create(self._server, self._product, database, settings, marker)

    def fitted(self, settings: DatabaseSettings, options: LoadOptions) -> Fitted:
        """See `base.Engine.fitted`: here a database belongs to nobody, and who may use it is the accounts' own."""
        del options
        return Fitted(settings)

    def inspector(self, target: str, options: LoadOptions = _EVERYTHING) -> "FileInspector":
        """See `base.Engine.inspector`."""
        from vya_backupdb.engines import my_loader
        from vya_backupdb.engines.loader import FileInspector
        from vya_backupdb.engines.my_transforms import MyRules

        rules = MyRules(options, my_loader.facts(self._server, self._info), target)
        return FileInspector(self._reader(), rules)

    @contextmanager
    def loader(self, database: str, options: LoadOptions = _EVERYTHING) -> "Iterator[FileLoader]":
        """See `base.Engine.loader`."""
        from vya_backupdb.engines import my_loader
        from vya_backupdb.engines.loader import FileLoader
        from vya_backupdb.engines.my_transforms import MyRules

        reader = self._reader()
        rules = MyRules(options, my_loader.facts(self._server, self._info), database)
        own = options.source is not None
        with my_loader.target(self._server, self._product, database, rules.notes, own=own) as target:
            yield FileLoader(reader, rules, target, database=database, redact=self._redact)

    def _reader(self) -> "MyReader":
        from vya_backupdb.engines import my_loader
        from vya_backupdb.engines.my_statements import MyReader

        return MyReader(my_loader.packet_limit(self._server), dollars=self._product == "MySQL")

    def finish(self, database: str, settings: DatabaseSettings) -> tuple[str, ...]:
        """See `base.Engine.finish`: character set, collation and comment were given by `create`."""
        return ()

    def drop(self, database: str, *, identity: str | None = None) -> None:
        """See `base.Engine.drop`."""
        from vya_backupdb.engines import my_restore

        my_restore.drop(self._server, database, identity=identity)

    def schema(self, database: str) -> Schema:
        """See `base.Engine.schema`."""
        with self._server.session() as session:
            return my_schema.read(session, self._product, database)

    def count(self, database: str, *, without: str = "") -> Count:
        """See `base.Engine.count`."""
        from vya_backupdb.engines import my_restore

        return my_restore.count(self._server, database, without=without)


def lock_name(database: str) -> str:
    """Return the lock's name: at most 64 characters, the same for every process of ours."""
    return f"vya-backupdb:{locks.digest(database).hex()[:48]}"


def _identity(session: Session, product: Product) -> str | None:
    """Return what outlives restarts: MySQL's UUID; for MariaDB when its system tables were made.

    MariaDB's ``server_uid`` is a hash of the network card's address and the port: it changes with every pod.
    """
    if product == "MySQL":
        return session.variable("server_uuid")
    made = session.value(
        "SELECT MIN(CREATE_TIME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' AND ENGINE = 'Aria'",
        "asking for the server's identity",
    )
    return f"mysql schema of {made:%Y-%m-%dT%H:%M:%SZ}" if isinstance(made, datetime) else None
