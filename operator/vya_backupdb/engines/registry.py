"""Which engine serves which configuration: a table, no discovery by name.

An engine is imported when it is needed: the other one's driver alone would take 9 MiB of a Job's memory.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from vya_backupdb.domain.config import DatabaseConfig, DatabaseType
from vya_backupdb.domain.users_file import MARKER
from vya_backupdb.engines.base import Credentials, Engine, StreamScanner
from vya_backupdb.engines.clients import Clients

if TYPE_CHECKING:
    from vya_backupdb.engines.loader import FileInspector
    from vya_backupdb.engines.reach import Reach


class _Maker(Protocol):
    def __call__(
        self, config: DatabaseConfig, credentials: Credentials, *, clients: Clients, redact: Callable[[str], str]
    ) -> Engine: ...


def _postgresql() -> _Maker:
    from vya_backupdb.engines.postgresql import PostgreSQL

    return PostgreSQL


def _mysql() -> _Maker:
    from vya_backupdb.engines.mysql import MySQL

    return MySQL


_ENGINES: Final[dict[DatabaseType, Callable[[], _Maker]]] = {
    DatabaseType.POSTGRESQL: _postgresql,
    DatabaseType.MYSQL: _mysql,
}

#: By whether it is MariaDB: a version that executes what its dumps hold in comments for versions.
_NEWEST: Final = {True: 120300, False: 90700}
#: The most that any server lets ``max_allowed_packet`` be, and so a statement.
_LARGEST_PACKET: Final = 1 << 30


def engine_for(
    database: DatabaseConfig, credentials: Credentials, *, clients: Clients, redact: Callable[[str], str]
) -> Engine:
    """Return the engine for one server; nothing is connected yet.

    `redact` knows the credentials already. Raise CredentialsUnreadable, naming the field, if user or password cannot
    be given to this server's clients.
    """
    return _ENGINES[database.type]()(database, credentials, clients=clients, redact=redact)


def reach_for(kind: DatabaseType) -> "Reach":
    """Return what tells whether a foreign file of that kind concerns one database alone, without any server."""
    from vya_backupdb.engines.my_statements import MyReader
    from vya_backupdb.engines.pg_statements import PgReader
    from vya_backupdb.engines.reach import Reach

    if kind is DatabaseType.POSTGRESQL:
        return Reach(PgReader(), is_postgresql=True)
    return Reach(MyReader(_LARGEST_PACKET), is_postgresql=False)


class _Every(frozenset[str]):
    """Whatever a server might have."""

    def __contains__(self, _name: object) -> bool:
        return True


def judge_for(kind: DatabaseType, database: str, reach: "Reach", *, mariadb: bool) -> "FileInspector":
    """Return what tells what a restore of a file of that kind would refuse on any server, be it well equipped.

    It reads through `reach`: a statement is held in memory once.
    """
    from vya_backupdb.engines import my_transforms, pg_transforms
    from vya_backupdb.engines.loader import FileInspector
    from vya_backupdb.engines.loading import LoadOptions

    options = LoadOptions(source=database, owners="skip")
    if kind is DatabaseType.POSTGRESQL:
        names = _Every()
        return FileInspector(reach, pg_transforms.PgRules(options, pg_transforms.PgFacts(names, names, names)))
    facts = my_transforms.MyFacts(
        mariadb=mariadb, version=_NEWEST[mariadb], variables=_Every(), collations=_Every(), sets_definers=True,
        folds_names=False,
    )  # fmt: skip
    return FileInspector(reach, my_transforms.MyRules(options, facts, database))


def scanner_for(kind: DatabaseType, *, users: bool = False) -> StreamScanner:
    """Return a fresh scanner for a file of that kind, to look at a stored backup without any server."""
    from vya_backupdb.engines.my_scan import MySQLScanner
    from vya_backupdb.engines.pg_scan import MarkerScanner, PgScanner

    if users:
        return MarkerScanner(MARKER.encode())
    return PgScanner() if kind is DatabaseType.POSTGRESQL else MySQLScanner()
