"""Putting a loaded MySQL or MariaDB schema in the place of a living one, though these servers cannot rename schemas.

Tables move by one RENAME TABLE for both sets, which is atomic; views, routines, triggers and events cannot move, so
they are dropped before it, and made again after it from definitions that were noted before the first was dropped.
The whole is not atomic: for moments the target has its tables without the others. Whatever ends us, `settle` looks at
where the tables stand: before the RENAME everything is put back, after it everything is finished, and if that fails
put back. Somebody may drop databases of ours meanwhile, or the target, or make it anew: so while this goes on an empty
table of ours stands in each of the two sets, and moves with it. What has none of them is not ours, and is not touched.
Whether the account may make objects in the names of their definers is tried beforehand.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from vya_backupdb.domain.errors import BackupDBError, RestoreFailed
from vya_backupdb.domain.undertaking import Attributes, Definition, Swap
from vya_backupdb.engines import my_errors, my_follow, my_objects
from vya_backupdb.engines.my_session import Server, Session, quote

_TABLES: Final = ("BASE TABLE", "SYSTEM VERSIONED", "SEQUENCE")
_INNODB: Final = """SELECT TABLE_SCHEMA AS s, TABLE_NAME AS name FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = :db AND ENGINE = 'InnoDB'"""
_LOCK_SECONDS: Final = 20
_BUSY: Final = 1205


def tables(session: Session, schema: str) -> tuple[str, ...]:
    """Return what RENAME TABLE moves: tables and sequences, sorted. The comparison of names is exact."""
    rows = session.rows(
        "SELECT TABLE_SCHEMA AS s, TABLE_NAME AS name, TABLE_TYPE AS type FROM information_schema.TABLES"
        " WHERE TABLE_SCHEMA = :db",
        f"listing the tables of {schema!r}",
        db=schema,
    )
    return tuple(sorted(str(row["name"]) for row in rows if row["s"] == schema and row["type"] in _TABLES))


def attributes(session: Session, schema: str) -> Attributes:
    """Return the schema's character set and collation. Raise RestoreFailed if it vanished."""
    rows = session.rows(
        "SELECT SCHEMA_NAME AS s, DEFAULT_CHARACTER_SET_NAME AS charset, DEFAULT_COLLATION_NAME AS collation"
        " FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :db",
        f"reading the attributes of {schema!r}",
        db=schema,
    )
    for row in rows:
        if row["s"] == schema:
            return Attributes(charset=row["charset"], collation=row["collation"])
    raise RestoreFailed(f"{schema!r} vanished from the server", hint="Restore again.")


def prepare(session: Session, scratch: str, target: str, *, kept: str, stays: bool) -> Swap:
    """See `placing.Placer.prepare_swap`."""
    return Swap(
        target=target,
        scratch=scratch,
        kept=kept,
        stays=stays,
        old_tables=tables(session, target),
        new_tables=tables(session, scratch),
        old=my_objects.definitions(session, target),
        new=my_objects.definitions(session, scratch),
        old_attributes=attributes(session, target),
        new_attributes=attributes(session, scratch),
        grants=my_follow.routine_grants(session, target),
        old_defaults=my_follow.defaults(session, target),
        new_defaults=my_follow.defaults(session, scratch),
        old_keys=my_follow.strays(session, target),
        new_keys=my_follow.strays(session, scratch),
    )


def swap(server: Server, wanted: Swap) -> tuple[str, ...]:
    """See `placing.Placer.swap`."""
    with server.session() as session:
        _mark(session, wanted.target, _old(wanted)[-1])
        _mark(session, wanted.scratch, _new(wanted)[-1])
        _rehearse(session, wanted)
    try:
        with server.session() as session:
            _take_apart(session, wanted)
            _move(session, wanted, forward=True)
            said = _complete(session, wanted)
            return (*said, *_strangers(session, wanted))
    except BackupDBError as error:
        _try_to_go_back(server, wanted, error)
        raise


def _try_to_go_back(server: Server, wanted: Swap, error: BackupDBError) -> list[str]:
    try:
        with server.session() as session:
            return _go_back(session, wanted)
    except BackupDBError as second:
        raise RestoreFailed(
            f"{error.message}; putting the former {wanted.target!r} back failed too: {second.message}",
            hint="The journal on the volume holds all of it: give the same command again, it settles that first.",
        ) from error


def settle(server: Server, begun: Swap) -> tuple[bool, tuple[str, ...]]:
    """See `placing.Placer.settle`."""
    with server.session() as session:
        if not (_moved(session, begun) and _stands(session, begun)):
            return False, tuple(_go_back(session, begun))
        try:
            return True, tuple(_complete(session, begun))
        except BackupDBError as error:
            return False, tuple(_try_to_go_back(server, begun, error))


def _old(wanted: Swap) -> tuple[str, ...]:
    """Return the tables of the target, with their marker: it is called as the scratch database is."""
    return (*wanted.old_tables, wanted.scratch)


def _new(wanted: Swap) -> tuple[str, ...]:
    """Return the tables that were loaded, with their marker: it is called as the kept database is."""
    return (*wanted.new_tables, wanted.kept or "")


def _mark(session: Session, schema: str, marker: str) -> None:
    sql = f"CREATE TABLE IF NOT EXISTS {_table(schema, marker)} (nothing int PRIMARY KEY)"
    session.execute(sql, f"marking {schema!r}")


def _unmark(session: Session, schema: str, marker: str) -> None:
    if marker in tables(session, schema):
        session.execute(f"DROP TABLE {_table(schema, marker)}", f"unmarking {schema!r}")


def _moved(session: Session, begun: Swap) -> bool:
    """Whether the RENAME TABLE has happened. Until the caller has noted the outcome, no run drops a table of either."""
    if set(_new(begun)) & set(tables(session, begun.scratch)):
        return False
    if set(_old(begun)) & set(tables(session, begun.kept or "")):
        return True
    here = set(tables(session, begun.target))
    # else somebody dropped what would tell, or it is done; nothing to move and not marked yet: nothing was done
    return begun.scratch not in here and set(begun.new_tables) <= here and not exists(session, begun.scratch)


def _stands(session: Session, moved: Swap) -> bool:
    """Whether what was loaded stands in the target's place; False: nothing does. Raise RestoreFailed if another's."""
    here = tables(session, moved.target)
    if _new(moved)[-1] in here or not exists(session, moved.scratch):
        return True
    if not here:
        return False
    raise RestoreFailed(
        f"{moved.target!r} was dropped and made anew by somebody, after a restore to it was cut short",
        hint=f"Look at it and at {moved.kept!r}, which it was before. Drop it if it is of no use, and give the same"
        " command again: that brings the former one back first. Else remove the journal (.runs/*.restore) of that run.",
    )


def exists(session: Session, schema: str) -> bool:
    """Whether a schema of exactly this name exists."""
    sql = "SELECT SCHEMA_NAME AS s FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :db"
    return any(row["s"] == schema for row in session.rows(sql, f"looking for {schema!r}", db=schema))


def _rehearse(session: Session, wanted: Swap) -> None:
    """Find out, before anything is dropped, what would fail: locks that are held, definers that may not be named."""
    kept = wanted.kept or ""
    _make_sure(session, kept, wanted.old_attributes)
    for definer in sorted(my_objects.definers((*wanted.old, *wanted.new))):
        trial = f"{quote(kept)}.{quote('vya_trial')}"
        session.execute(
            f"CREATE DEFINER = {definer} FUNCTION {trial}() RETURNS INT DETERMINISTIC NO SQL RETURN 1",
            f"trying to make an object whose definer is {definer}",
        )
        session.execute(f"DROP FUNCTION {trial}", "dropping what was tried")
    if wanted.old_tables:
        _require_no_locks(session, wanted.target, wanted.old_tables)


def _require_no_locks(session: Session, schema: str, names: Sequence[str]) -> None:
    """Raise RestoreFailed if an open transaction holds a table: the RENAME would wait, while triggers are gone.

    InnoDB's own locks are asked for, too, which LOCK TABLES does without autocommit only: of a transaction that XA has
    prepared, MariaDB keeps no others once its session has ended. Without autocommit MySQL with GTIDs takes no others.
    """
    limits = f"lock_wait_timeout = {_LOCK_SECONDS}, innodb_lock_wait_timeout = {_LOCK_SECONDS}"
    session.execute(f"SET SESSION {limits}", "setting how long to wait for locks")
    rows = session.rows(_INNODB, f"listing the engines of the tables of {schema!r}", db=schema)
    innodb = {row["name"] for row in rows if row["s"] == schema}
    _require_no_locks_on(session, schema, [name for name in names if name in innodb], autocommit=0)
    _require_no_locks_on(session, schema, [name for name in names if name not in innodb], autocommit=1)


def _require_no_locks_on(session: Session, schema: str, names: Sequence[str], *, autocommit: int) -> None:
    if not names:
        return
    session.execute(f"SET SESSION autocommit = {autocommit}", "setting how tables are locked")
    try:
        session.run("LOCK TABLES " + ", ".join(f"{_table(schema, name)} WRITE" for name in names))
    except SQLAlchemyError as error:
        if my_errors.number(error) != _BUSY:
            raise my_errors.of_statement(error, f"locking the tables of {schema!r}", session.redact) from error
        raise RestoreFailed(
            f"open transactions hold tables of {schema!r}, so that it cannot be replaced",
            hint="End them (SHOW PROCESSLIST, information_schema.INNODB_TRX, XA RECOVER), then restore again.",
        ) from error
    finally:
        with contextlib.suppress(SQLAlchemyError):
            session.run("UNLOCK TABLES")
            session.run("SET SESSION autocommit = 1")


def _take_apart(session: Session, wanted: Swap) -> None:
    """Drop what cannot move, in both schemas; the target's views last: until then it can still be read as it was."""
    my_objects.drop(session, wanted.scratch, _names(wanted.new))
    my_objects.drop(session, wanted.target, _names(wanted.old))


def _names(wanted: Iterable[Definition]) -> list[tuple[str, str]]:
    return [(one.kind, one.name) for one in wanted]


def _move(session: Session, wanted: Swap, *, forward: bool) -> None:
    """Move both sets of tables by one statement: who makes room goes first."""
    target, kept, scratch = wanted.target, wanted.kept or "", wanted.scratch
    if forward:
        moves = [*_moves(_old(wanted), target, kept), *_moves(_new(wanted), scratch, target)]
    else:  # somebody may have dropped the target since
        here = set(tables(session, target))
        new = [one for one in _new(wanted) if one in here]
        moves = [*_moves(new, target, scratch), *_moves(_old(wanted), kept, target)]
    session.execute(f"RENAME TABLE {', '.join(moves)}", f"moving the tables of {target!r}")


def _moves(names: Sequence[str], source: str, target: str) -> Iterator[str]:
    for name in names:
        yield f"{_table(source, name)} TO {_table(target, name)}"


def _table(schema: str, name: str) -> str:
    return f"{quote(schema)}.{quote(name)}"


def _complete(session: Session, wanted: Swap) -> list[str]:
    """Make what could not move: the new objects under the target's name, the old ones under the kept name.

    Return what of the target's grants could not be kept.
    """
    my_follow.point(session, wanted.target, wanted.new_defaults, noted=wanted.scratch)
    my_follow.tie(session, wanted.target, wanted.new_keys)
    _set_attributes(session, wanted.target, wanted.new_attributes)
    my_objects.make(session, wanted.target, wanted.new)
    _set_attributes(session, wanted.target, wanted.new_attributes)
    if wanted.stays and wanted.kept is not None:
        my_follow.point(session, wanted.kept, wanted.old_defaults, noted=wanted.target)
        my_follow.tie(session, wanted.kept, wanted.old_keys)
        my_objects.make(session, wanted.kept, [my_objects.asleep(one) for one in wanted.old])
    _drop_emptied(session, wanted.scratch)
    said = my_follow.grant(session, wanted.target, wanted.grants, set(_names(wanted.new)))
    _unmark(session, wanted.target, _new(wanted)[-1])
    if wanted.stays and wanted.kept is not None:
        _unmark(session, wanted.kept, _old(wanted)[-1])
    return said


def _go_back(session: Session, wanted: Swap) -> list[str]:
    """Put everything back as it was before the swap, however far it came; return what of its grants is lost."""
    if _moved(session, wanted):
        _stands(session, wanted)
        _make_sure(session, wanted.target, wanted.old_attributes)
        _make_sure(session, wanted.scratch, wanted.new_attributes)
        _mark(session, wanted.kept or "", _old(wanted)[-1])
        my_objects.drop(session, wanted.kept or "", _names(wanted.old))
        my_objects.drop(session, wanted.target, _names(wanted.new))
        _move(session, wanted, forward=False)
    lost = _put_back(session, wanted) if _old(wanted)[-1] in tables(session, wanted.target) else []
    if wanted.kept is not None:
        _drop_emptied(session, wanted.kept)
    return lost


def _put_back(session: Session, wanted: Swap) -> list[str]:
    """Make again what was dropped from the target, which is marked: else nothing was, or it is somebody else's now."""
    my_follow.point(session, wanted.target, wanted.old_defaults, noted=wanted.target)
    my_follow.tie(session, wanted.target, wanted.old_keys)
    _set_attributes(session, wanted.target, wanted.old_attributes)
    my_objects.make(session, wanted.target, wanted.old)
    lost = my_follow.grant(session, wanted.target, wanted.grants, set(_names(wanted.old)))
    _unmark(session, wanted.target, _old(wanted)[-1])
    return lost


def _make_sure(session: Session, schema: str, wanted: Attributes | None) -> None:
    """Make `schema` if there is none: tables are about to be moved into it."""
    charset = f" CHARACTER SET {wanted.charset} COLLATE {wanted.collation}" if wanted else ""
    session.execute(f"CREATE DATABASE IF NOT EXISTS {quote(schema)}{charset}", f"creating {schema!r}")


def _set_attributes(session: Session, schema: str, wanted: Attributes | None) -> None:
    if wanted is not None and attributes(session, schema) != wanted:
        session.execute(
            f"ALTER DATABASE {quote(schema)} CHARACTER SET {wanted.charset} COLLATE {wanted.collation}",
            f"setting the character set of {schema!r}",
        )


def _drop_emptied(session: Session, schema: str) -> None:
    """Drop `schema` if it has no table any more: everything in it was noted, and has moved."""
    if not tables(session, schema):
        session.execute(f"DROP DATABASE IF EXISTS {quote(schema)}", f"dropping the emptied {schema!r}")


def _strangers(session: Session, wanted: Swap) -> Iterator[str]:
    """Tell what somebody made in the target while it was swapped: it stays."""
    more = sorted(set(tables(session, wanted.target)) - set(wanted.new_tables))
    if more:
        yield f"{wanted.target!r} has tables that were made while it was replaced, and stay: {', '.join(more[:10])}"
