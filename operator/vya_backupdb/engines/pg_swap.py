"""Putting a loaded PostgreSQL database under its final name, and the former one out of its way.

Renaming is transactional, so the new name and the old one change in one transaction: at no moment do two databases
claim the target's name, or none. Before it, connections are disallowed and sessions ended; whatever fails, they are
allowed again. A crash is judged by the databases' ids, which no rename changes: whoever has the target's name decides
whether it happened.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import BackupDBError, RestoreFailed, ServerError, TargetExists
from vya_backupdb.domain.undertaking import Swap
from vya_backupdb.engines import pg_errors, pg_objects
from vya_backupdb.engines.pg_restore import check_name, refused
from vya_backupdb.engines.pg_session import Server, Session, name_list
from vya_backupdb.engines.placing import Obstacle, TargetLook

TEMPLATES: Final = frozenset({"template0", "template1"})

_DATABASE: Final = """
    SELECT d.datistemplate, d.datallowconn, pg_catalog.pg_has_role(d.datdba, 'USAGE') AS mine,
      pg_catalog.pg_get_userbyid(d.datdba) AS owner,
      CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) END AS size
    FROM pg_catalog.pg_database d WHERE d.datname = :name"""
_SESSIONS: Final = """
    SELECT coalesce(usename, backend_type) AS who, application_name AS program, host(client_addr) AS address,
      usename IS NULL OR pg_catalog.pg_has_role(usesysid, 'USAGE') OR (NOT coalesce(r.rolsuper, false)
        AND pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')) AS may_end
    FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
    WHERE a.datname = :name AND a.backend_type = 'client backend' AND a.pid <> pg_catalog.pg_backend_pid()
    ORDER BY a.pid"""
#: What binds a database to its name or its place, each with what to say of it and what to do about it.
_BONDS: Final = (
    (
        "SELECT gid AS name FROM pg_catalog.pg_prepared_xacts WHERE database = :name ORDER BY 1",
        "has prepared transactions",
        "Commit or roll them back: COMMIT PREPARED or ROLLBACK PREPARED.",
    ),
    (
        "SELECT slot_name AS name FROM pg_catalog.pg_replication_slots WHERE database = :name ORDER BY 1",
        "has replication slots",
        "Drop them with pg_drop_replication_slot once their consumers are stopped.",
    ),
    (
        """SELECT s.subname AS name FROM pg_catalog.pg_subscription s
        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = :name ORDER BY 1""",
        "has subscriptions",
        "Drop them: a restored copy must not go on replicating.",
    ),
)


class PostgreSQLPlacer:
    """`placing.Placer` for one PostgreSQL server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def look(self, target: str) -> TargetLook:
        """See `placing.Placer.look`."""
        check_name(target)
        with self._server.session() as session:
            general = tuple(_general(session))
            rows = session.rows(_DATABASE, f"looking at database {target!r}", name=target)
            if not rows:
                return TargetLook(exists=False, obstacles=general)
            sessions = session.rows(_SESSIONS, f"listing the sessions of {target!r}", name=target)
            obstacles = (
                *general,
                *_of_database(self._server, target, rows[0]),
                *_bonds(session, target),
                *_of_sessions(target, sessions),
            )
        size = rows[0]["size"]
        objects = pg_objects.count(self._server, target) if rows[0]["datallowconn"] and size is not None else {}
        who = [" ".join(filter(None, (one["who"], one["program"], one["address"]))) for one in sessions]
        return TargetLook(True, size, objects, tuple(who), obstacles)

    def identity(self, database: str) -> str | None:
        """See `placing.Placer.identity`: the database's oid."""
        with self._server.session() as session:
            return _ids(session, database).get(database)

    def unmark(self, database: str, marker: str) -> None:
        """See `placing.Placer.unmark`: a database has an id, and never a marker."""

    def prepare_swap(self, scratch: str, target: str, *, kept: str | None, stays: bool = False) -> Swap:
        """See `placing.Placer.prepare_swap`."""
        with self._server.session() as session:
            ids = _ids(session, scratch, target)
        if scratch not in ids or (kept is not None and target not in ids):
            raise RestoreFailed(f"{scratch!r} or {target!r} vanished from the server", hint="Restore again.")
        old_id = ids[target] if kept is not None else None
        return Swap(target=target, scratch=scratch, kept=kept, stays=stays, old_id=old_id, new_id=ids[scratch])

    def swap(self, wanted: Swap) -> tuple[str, ...]:
        """See `placing.Placer.swap`."""
        check_name(wanted.target)
        with self._server.session() as session:
            try:
                if wanted.kept is not None:
                    _allow(session, wanted.target, "false")
                    _end_sessions(session, wanted.target)
                _end_sessions(session, wanted.scratch)
                _rename(session, wanted)
            except (SQLAlchemyError, ServerError) as error:
                _open_again(self._server, wanted)
                raise _failure(self._server, wanted, error) from error
            if wanted.stays and wanted.kept is not None:
                _allow(session, wanted.kept, "true")
        return ()

    def settle(self, begun: Swap) -> tuple[bool, tuple[str, ...]]:
        """See `placing.Placer.settle`."""
        with self._server.session() as session:
            oids = tuple(filter(None, (begun.old_id, begun.new_id)))
            names = {oid: name for name, oid in _ids(session, oids=oids).items()}
            done = begun.new_id is not None and names.get(begun.new_id) == begun.target
            old = names.get(begun.old_id or "")
            if not done and old is not None and old == begun.kept and not _ids(session, begun.target):
                old = _bring_back(session, old, begun.target)  # somebody dropped what had taken its place
            if old is not None and (begun.stays or not done):
                _allow(session, old, "true")
        if not done and old is not None and old != begun.target:
            raise RestoreFailed(
                f"the former {begun.target!r} is called {old!r} now, and the new one is not in its place",
                hint=f"Look at both; ALTER DATABASE … RENAME TO brings {old!r} back. If what is called"
                f" {begun.target!r} is to stay, remove the journal (.runs/*.restore) of that run.",
            )
        return done, ()


def _bring_back(session: Session, old: str, target: str) -> str:
    renamed = f"ALTER DATABASE {session.quote(old)} RENAME TO {session.quote(target)}"
    session.execute(renamed, f"giving the former {target!r} its name back")
    return target


def _of_sessions(target: str, sessions: Sequence[Mapping[str, Any]]) -> Iterator[Obstacle]:
    if foreign := [str(one["who"]) for one in sessions if not one["may_end"]]:
        yield Obstacle(
            f"sessions of {target!r} cannot be ended by this account: those of {name_list(foreign)}",
            "End them, or grant the account pg_signal_backend (a superuser's sessions need a superuser).",
        )


def _general(session: Session) -> Iterator[Obstacle]:
    sql = "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
    if not session.value(sql, "asking for CREATEDB"):
        yield Obstacle("the account lacks CREATEDB, so it cannot make a database", "ALTER ROLE … CREATEDB;")


def _of_database(server: Server, target: str, found: dict[str, Any]) -> Iterator[Obstacle]:
    if target == server.maintenance:
        yield Obstacle(
            f"{target!r} is the maintenance database, in which this restore itself works",
            "Set maintenance_database to another one, or restore under another name.",
        )
    if found["datistemplate"] or target in TEMPLATES:
        yield Obstacle(f"{target!r} is a template", "ALTER DATABASE … IS_TEMPLATE false, if that is meant.")
    if not found["datallowconn"]:
        yield Obstacle(f"{target!r} accepts no connections", "ALTER DATABASE … ALLOW_CONNECTIONS true, or drop it.")
    if not found["mine"]:
        yield Obstacle(
            f"{target!r} belongs to {found['owner']!r}, and only its owner may rename it",
            "Grant the account membership in that role, or restore under another name.",
        )


def _bonds(session: Session, target: str) -> Iterator[Obstacle]:
    for sql, what, remedy in _BONDS:
        names = [str(row["name"]) for row in session.rows(sql, f"looking for what binds {target!r}", name=target)]
        if names:
            yield Obstacle(f"{target!r} {what}: {name_list(names)}", remedy)


def _ids(session: Session, *names: str, oids: Sequence[str] = ()) -> dict[str, str]:
    """Return the ids of the databases of these names or ids, by name: never all, one may have a name in no encoding."""
    rows = session.rows(
        "SELECT datname, oid::text AS oid FROM pg_catalog.pg_database"
        " WHERE datname::text = ANY(:names) OR oid::text = ANY(:oids)",
        "looking for the databases of the restore",
        names=list(names),
        oids=list(oids),
    )
    return {row["datname"]: row["oid"] for row in rows}


def _rename(session: Session, wanted: Swap) -> None:
    target = session.quote(wanted.target)
    session.run("BEGIN")
    try:
        if wanted.kept is not None:
            session.run(f"ALTER DATABASE {target} RENAME TO {session.quote(wanted.kept)}")
        session.run(f"ALTER DATABASE {session.quote(wanted.scratch)} RENAME TO {target}")
    except SQLAlchemyError:
        session.run("ROLLBACK")
        raise
    session.run("COMMIT")


def _open_again(server: Server, wanted: Swap) -> None:
    """Let the former database be used again; over a session of its own: the old one may be lost."""
    if wanted.kept is None:
        return
    with server.session() as session:
        if _ids(session, wanted.target).get(wanted.target) == wanted.old_id:
            _allow(session, wanted.target, "true")


def _failure(server: Server, wanted: Swap, error: SQLAlchemyError | ServerError) -> BackupDBError:
    if isinstance(error, ServerError):
        return error
    if pg_errors.sqlstate(error) == "42P04":
        return TargetExists(f"database {wanted.target!r} exists already", hint="Choose another target name.")
    return refused(server, error, f"renaming {wanted.scratch!r} to {wanted.target!r}")


def _allow(session: Session, database: str, whether: str) -> None:
    session.execute(
        f"ALTER DATABASE {session.quote(database)} ALLOW_CONNECTIONS {whether}",
        f"setting whether {database!r} takes connections",
    )


def _end_sessions(session: Session, database: str) -> None:
    session.rows(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = :name AND pid <> pg_catalog.pg_backend_pid()",
        f"ending the sessions of {database!r}",
        name=database,
    )
