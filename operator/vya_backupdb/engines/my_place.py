"""What a restore meets under the target's name on MySQL and MariaDB, and what forbids that it makes room there."""

from collections.abc import Iterator
from typing import Any, Final

from vya_backupdb.domain.errors import ConnectionFailed, RestoreFailed, ServerError
from vya_backupdb.domain.undertaking import Swap
from vya_backupdb.engines import my_objects, my_restore, my_swap
from vya_backupdb.engines.my_session import Server, Session, quote
from vya_backupdb.engines.placing import Obstacle, TargetLook

SYSTEM: Final = frozenset({"mysql", "sys", "information_schema", "performance_schema"})
_SHOWN: Final = 10


class MySQLPlacer:
    """`placing.Placer` for one MySQL or MariaDB server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def look(self, target: str) -> TargetLook:
        """See `placing.Placer.look`."""
        my_restore.check_name(target)
        with self._server.session() as session:
            if not my_restore.exists(self._server, target):
                return TargetLook(exists=False)
            obstacles = (*_name(session, target), *_incoming(session, target), *_broken_views(session, target))
            obstacles += tuple(_unreadable(session, target))
            rows = session.rows(_TABLES, f"listing the tables of {target!r}", db=target)
            sessions = session.rows(_SESSIONS, "listing the sessions", db=target)
            objects = dict(_counted(session, target))
        size = sum(int(row["size"] or 0) for row in rows if row["s"] == target)
        who = [f"{row['user']} {row['host']}" for row in sessions if row["s"] == target]
        return TargetLook(True, size, objects, tuple(who), obstacles, _NOTES)

    def identity(self, database: str) -> str | None:
        """See `placing.Placer.identity`: its marker."""
        return my_restore.marker_of(self._server, database)

    def unmark(self, database: str, marker: str) -> None:
        """See `placing.Placer.unmark`."""
        my_restore.unmark(self._server, database, marker)

    def prepare_swap(self, scratch: str, target: str, *, kept: str | None, stays: bool = False) -> Swap:
        """See `placing.Placer.prepare_swap`. There is always a former one: else it is loaded in its place."""
        if kept is None:
            raise RestoreFailed(f"{target!r} does not exist any more", hint="Restore again.")
        with self._server.session() as session:
            return my_swap.prepare(session, scratch, target, kept=kept, stays=stays)

    def swap(self, wanted: Swap) -> tuple[str, ...]:
        """See `placing.Placer.swap`."""
        return my_swap.swap(self._server, wanted)

    def settle(self, begun: Swap) -> tuple[bool, tuple[str, ...]]:
        """See `placing.Placer.settle`."""
        return my_swap.settle(self._server, begun)


_NOTES: Final = (
    "not everything is replaced in one moment: what writes meanwhile may meet tables without their triggers",
    "events of the backup that fall due while it stands beside run there, once: the scratch database has them, too",
    "grants on single routines are made again, and go where the backup lacks the routine; all others stay",
)
_TABLES: Final = """SELECT TABLE_SCHEMA AS s, DATA_LENGTH + INDEX_LENGTH AS size FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = :db"""
_SESSIONS: Final = """SELECT DB AS s, USER AS user, HOST AS host FROM information_schema.PROCESSLIST
    WHERE DB = :db AND ID <> CONNECTION_ID() ORDER BY ID"""
_INCOMING: Final = """SELECT DISTINCT REFERENCED_TABLE_SCHEMA AS s, TABLE_SCHEMA AS other, TABLE_NAME AS name
    FROM information_schema.KEY_COLUMN_USAGE
    WHERE REFERENCED_TABLE_SCHEMA = :db AND TABLE_SCHEMA <> :db ORDER BY 2, 3"""


def _name(session: Session, target: str) -> Iterator[Obstacle]:
    if target.casefold() in SYSTEM:
        yield Obstacle(f"{target!r} is a system database", "Choose another name.")
    elif not my_swap.exists(session, target):
        yield Obstacle(f"{target!r} exists in another spelling", "Use the name as the server shows it.")


def _incoming(session: Session, target: str) -> Iterator[Obstacle]:
    found = session.rows(_INCOMING, f"looking for foreign keys into {target!r}", db=target)
    if names := [f"{row['other']}.{row['name']}" for row in found if row["s"] == target]:
        yield Obstacle(
            f"foreign keys of other databases point into {target!r}: those of {_listed(names)}",
            "Drop these foreign keys and make them again afterwards: they would follow the former tables.",
        )


def _broken_views(session: Session, target: str) -> Iterator[Obstacle]:
    views = [name for kind, name in my_objects.find(session, target) if kind == "VIEW"]
    broken = [name for name in views if _is_broken(session, target, name)]
    if broken:
        yield Obstacle(
            f"views of {target!r} refer to what is not there, and so could not be made again: {_listed(broken)}",
            "Drop or mend them.",
        )


def _is_broken(session: Session, target: str, view: str) -> bool:
    """Whether a view cannot be made again. One whose definer is gone can be, though it cannot be read either."""
    on, doing = f"{quote(target)}.{quote(view)}", f"checking the view {target}.{view}"
    rows = session.records(f"CHECK TABLE {on}", doing)
    said = [str(row["Msg_text"]) for row in rows if str(row["Msg_type"]).casefold() == "error"]
    if not any("specified as a definer" in text for text in said):
        return bool(said)
    try:
        session.shown(f"SHOW FIELDS FROM {on}", doing)
    except ConnectionFailed:
        raise
    except ServerError:
        return True
    return False


def _unreadable(session: Session, target: str) -> Iterator[Obstacle]:
    try:
        my_objects.definitions(session, target)
    except RestoreFailed as error:
        yield Obstacle(error.message, error.hint)


def _counted(session: Session, target: str) -> Iterator[tuple[str, int]]:
    if number := len(my_swap.tables(session, target)):
        yield "tables", number
    yield from my_objects.grouped(my_objects.find(session, target))


def _listed(names: list[Any]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
