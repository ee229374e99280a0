"""What a dump of a MySQL or MariaDB database would lack, or hold in a way that does not load: known before it begins.

Each finding names the objects and the statement that mends it. One that would leave something out, or that no restore
could take, blocks; what a dump holds all the same is a warning. Only the catalogue is read, and each view opened, as
the client does it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from vya_backupdb.domain.errors import ConnectionFailed, PrivilegeMissing, ServerError
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.report import Finding
from vya_backupdb.engines import my_faithful, my_follow, my_triggers, my_values
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.findings import PRIVILEGE, names, note, obstacle
from vya_backupdb.engines.my_rights import Rights, rights_of
from vya_backupdb.engines.my_session import Session, quote

HIDDEN: Final = ExitCode.NOTHING_VISIBLE.reason
_LONGEST_NAME: Final = 64
_NEEDED: Final = {"SELECT": "tables", "TRIGGER": "triggers", "EVENT": "events"}
_SYSTEM: Final = "('mysql', 'sys', 'information_schema', 'performance_schema')"


def of_server(session: Session, product: Product, *, by_pattern: bool) -> tuple[Finding, ...]:
    """Return what holds for the whole server: what the account cannot see there, and which guards it lacks.

    Only where databases are chosen `by_pattern` can one be missed that the account is not shown.
    """
    rights = rights_of(session, product)
    account = _account(session)
    return (
        *_hidden_databases(session, rights, account, by_pattern),
        *(() if rights.everywhere("PROCESS") else (_weak_detector(account),)),
        *(() if product == "MariaDB" or rights.everywhere("BACKUP_ADMIN") else (_unblocked(account),)),
    )


def of_database(session: Session, product: Product, database: str) -> tuple[Finding, ...]:
    """Return what holds for one database."""
    rights = rights_of(session, product)
    return (
        *_hidden_objects(session, product, rights, database),
        *(_broken_views(session, database) if rights.on_all_of(database, "SHOW VIEW") else ()),
        *(_of_mysql(session, database) if product == "MySQL" else ()),
        *(_of_mariadb(session, database) if product == "MariaDB" else ()),
        *(_missing_definers(session, database) if rights.on_all_of("mysql", "SELECT") else ()),
        *my_triggers.of_database(session, product, database),
        *_not_transactional(session, database),
        *_other_collations(session, database),
        *my_values.of_database(session, product, database),
    )


def _of_mysql(session: Session, database: str) -> Iterator[Finding]:
    yield from _hidden_policies(session)
    yield from my_faithful.unwritten(session, database)
    yield from _closing_semicolons(session, database)
    yield from _endless_events(session, database)


def _of_mariadb(session: Session, database: str) -> Iterator[Finding]:
    yield from _foreign_keys(session, database)
    yield from _lost_events(session, database)
    yield from my_faithful.uncounted(session, database)
    if found := my_follow.astray(session, database):
        text = (
            f"columns of {database!r} count by a sequence that is not there, so that no server takes their tables back"
        )
        yield obstacle("NotDumpable", f"{text}: {names(sorted(found))}", "ALTER TABLE … ALTER COLUMN … DROP DEFAULT")


def _account(session: Session) -> str:
    user, _, host = str(session.value("SELECT CURRENT_USER()", "asking for the account")).rpartition("@")
    return f"{quote(user)}@{quote(host)}"


def _hidden_databases(session: Session, rights: Rights, account: str, by_pattern: bool) -> Iterator[Finding]:
    if rights.everywhere("SHOW DATABASES", "SELECT"):
        return
    sql = f"SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN {_SYSTEM}"  # noqa: S608 - constant
    text = "databases may be hidden from the account: the server lists only what it may use"
    remedy = f"GRANT SHOW DATABASES ON *.* TO {account}"
    if session.value(sql, "counting the databases"):
        yield from (note("DatabasesHidden", text, remedy),) if by_pattern else ()
    else:
        yield Finding(reason=HIDDEN, message=f"the server shows the account no database at all ({remedy})")


def _weak_detector(account: str) -> Finding:
    text = (
        "without PROCESS a table that is replaced under a dump is told by its creation time, which has seconds, and not"
        " by its id"
    )
    return note("WeakDetector", text, f"GRANT PROCESS ON *.* TO {account}")


def _unblocked(account: str) -> Finding:
    text = "statements that change tables are not held back during a dump; one that does fails that dump"
    return note("DefinitionsNotBlocked", text, f"GRANT BACKUP_ADMIN ON *.* TO {account}")


def _hidden_objects(session: Session, product: Product, rights: Rights, database: str) -> Iterator[Finding]:
    account = _account(session)
    pattern = quote(re.sub(r"([_%\\])", r"\\\1", database))
    lacking = [right for right in _NEEDED if not rights.on_all_of(database, right)]
    if lacking:
        hidden = ", ".join(_NEEDED[right] for right in lacking)
        yield obstacle(
            PRIVILEGE,
            f"{hidden} of {database!r} may be missing: the account lacks {', '.join(lacking)} on all of it, and the"
            " server hides what an account may not use",
            f"GRANT {', '.join(lacking)} ON {pattern}.* TO {account}",
        )
    if not rights.on_all_of(database, "SHOW VIEW") and _views(session, database):
        text = f"views of {database!r} cannot be read: the account lacks SHOW VIEW on all of it"
        yield obstacle(PRIVILEGE, text, f"GRANT SHOW VIEW ON {pattern}.* TO {account}")
    if not rights.reads_bodies(product, database):
        grant = "SELECT ON `mysql`.`proc`" if product == "MariaDB" else "SHOW_ROUTINE ON *.*"
        text = f"procedures and functions of {database!r} may be missing: the server hides them from the account"
        yield obstacle(PRIVILEGE, text, f"GRANT {grant} TO {account}")


def _hidden_policies(session: Session) -> Iterator[Finding]:
    """The client of MySQL 9.7 complains of masking policies that it may not list, whether there are any or not."""
    if int(str(session.value("SELECT VERSION()", "asking for the version")).split(".")[0]) < 9:
        return
    try:
        session.rows("SELECT 1 FROM performance_schema.column_masking_policy LIMIT 0", "looking for masking policies")
    except PrivilegeMissing:
        text = "the account may not list the server's masking policies, and the dump client insists on it"
        yield obstacle(PRIVILEGE, text, f"GRANT SELECT ON `performance_schema`.* TO {_account(session)}")
    except ConnectionFailed:
        raise
    except ServerError:
        return  # a release that has none


def _views(session: Session, database: str) -> list[str]:
    sql = "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = :db AND TABLE_TYPE = 'VIEW'"
    return sorted(str(row["name"]) for row in session.rows(sql, f"listing the views of {database!r}", db=database))


def _broken_views(session: Session, database: str) -> Iterator[Finding]:
    """Open each view as the client will, which stops at the first that cannot be opened."""
    for name in _views(session, database):
        view = f"{quote(database)}.{quote(name)}"
        try:
            session.shown(f"SHOW FIELDS FROM {view}", f"view {name!r} of {database!r} cannot be opened")
        except ConnectionFailed:
            raise
        except ServerError as error:
            yield obstacle("NotDumpable", error.message, f"DROP VIEW {view}, or mend what it refers to")


def _closing_semicolons(session: Session, database: str) -> Iterator[Finding]:
    """A text of several statements leaves its ';' in a body, and MySQL's client writes a comment's end behind it.

    Our own loader sends each statement as one, which the server takes; MySQL's client does not get it back.
    """
    rows = session.rows(
        """SELECT 'TRIGGER' AS kind, TRIGGER_NAME AS name, ACTION_STATEMENT AS body FROM information_schema.TRIGGERS
           WHERE EVENT_OBJECT_SCHEMA = :db
           UNION ALL SELECT 'EVENT', EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS
           WHERE EVENT_SCHEMA = :db""",
        f"reading the triggers and events of {database!r}",
        db=database,
    )
    for row in rows:
        if str(row["body"]).rstrip().endswith(";"):
            name = f"{quote(database)}.{quote(str(row['name']))}"
            yield note(
                "NotByHand",
                f"the body of {str(row['kind']).lower()} {row['name']!r} of {database!r} ends with ';': its dump can be"
                " restored by vya-backupdb, but not by MySQL's own client",
                f"DROP {row['kind']} {name}, and create it again by itself, without ';' at the end",
            )


def _foreign_keys(session: Session, database: str) -> Iterator[Finding]:
    """MariaDB names a foreign key after its table, and takes no name of more than 64 characters back.

    The catalogue cuts such a name, so that only the statement that the dump will hold tells.
    """
    rows = session.rows(
        "SELECT TABLE_NAME AS tab, CONSTRAINT_NAME AS name FROM information_schema.REFERENTIAL_CONSTRAINTS"
        " WHERE CONSTRAINT_SCHEMA = :db"
        " AND (CHAR_LENGTH(CONSTRAINT_NAME) >= :most OR LOCATE('`', CONSTRAINT_NAME) > 0)",
        f"reading the foreign keys of {database!r}",
        db=database,
        most=_LONGEST_NAME,
    )
    for row in rows:
        table, name = str(row["tab"]), str(row["name"])
        on = f"{quote(database)}.{quote(table)}"
        ((_, statement),) = session.table(f"SHOW CREATE TABLE {on}", f"reading table {table!r} of {database!r}")
        if f"CONSTRAINT {quote(name)} " not in str(statement):
            yield obstacle(
                "NotDumpable",
                f"the foreign key {name!r}… of table {table!r} of {database!r} was named by the server, which would not"
                " take that name out of a dump",
                f"RENAME TABLE {on} to a shorter name, drop the foreign key, add it again with a name of its own, and"
                " rename the table back",
            )


def _lost_events(session: Session, database: str) -> Iterator[Finding]:
    """MariaDB's client enters a database by its escaped name before it dumps its events: there is none of that name."""
    if not set("'\"\\") & set(database):
        return
    sql = "SELECT EVENT_SCHEMA AS s, EVENT_NAME AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = :db"
    rows = session.rows(sql, f"listing the events of {database!r}", db=database)
    for name in sorted(str(row["name"]) for row in rows if row["s"] == database):
        yield obstacle(
            "NotDumpable",
            f"event {name!r} of {database!r}: MariaDB's client cannot dump events of a database whose name holds a"
            " quote or a backslash",
            f"DROP EVENT {quote(database)}.{quote(name)}, or move all to a database with another name",
        )


def _endless_events(session: Session, database: str) -> Iterator[Finding]:
    """Oracle's client looks for a delimiter that is not in an event's text: where ';;' is, it tries that for ever."""
    sql = (
        "SELECT EVENT_SCHEMA AS s, EVENT_NAME AS name FROM information_schema.EVENTS WHERE EVENT_SCHEMA = :db"
        " AND CONCAT_WS(' ', EVENT_NAME, EVENT_DEFINITION, EVENT_COMMENT) LIKE '%;;%'"
    )
    rows = session.rows(sql, f"reading the events of {database!r}", db=database)
    for name in sorted(str(row["name"]) for row in rows if row["s"] == database):
        yield obstacle(
            "NotDumpable",
            f"event {name!r} of {database!r} has ';;' in its text, over which mysqldump never ends",
            f"write it without, also in its comments: ALTER EVENT {quote(database)}.{quote(name)} DO …",
        )


def _missing_definers(session: Session, database: str) -> Iterator[Finding]:
    sql = "SELECT User AS user, Host AS host FROM mysql.user"
    known = {f"{row['user']}@{row['host']}".rstrip("@") for row in session.rows(sql, "listing the accounts")}
    rows = session.rows(
        """SELECT TABLE_NAME AS name, DEFINER AS definer FROM information_schema.VIEWS WHERE TABLE_SCHEMA = :db
           UNION ALL SELECT ROUTINE_NAME, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = :db
           UNION ALL SELECT TRIGGER_NAME, DEFINER FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = :db
           UNION ALL SELECT EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = :db""",
        f"reading the definers of {database!r}",
        db=database,
    )
    gone: dict[str, list[str]] = {}
    for row in rows:
        if str(row["definer"]).rstrip("@") not in known:
            gone.setdefault(str(row["definer"]), []).append(str(row["name"]))
    for definer, objects in sorted(gone.items()):
        user, _, host = definer.rpartition("@")
        yield note(
            "DefinerMissing",
            f"{names(sorted(objects))} of {database!r} run as {definer!r}, an account that does not exist: they fail"
            " when they are used, here and after a restore",
            f"CREATE USER {quote(user)}@{quote(host)}, or give them another definer",
        )


def _not_transactional(session: Session, database: str) -> Iterator[Finding]:
    rows = session.rows(
        "SELECT TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES WHERE TABLE_SCHEMA = :db"
        " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND ENGINE NOT IN"
        " (SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES')",
        f"reading the storage engines of {database!r}",
        db=database,
    )
    if rows:
        listed = names(sorted(f"{row['name']} ({row['engine']})" for row in rows))
        text = f"{database!r} has tables that no snapshot protects, rows may be of different moments: {listed}"
        yield note("NotTransactional", text, "ALTER TABLE … ENGINE = InnoDB")


def _other_collations(session: Session, database: str) -> Iterator[Finding]:
    rows: Iterable[dict[str, Any]] = session.rows(
        """SELECT o.name FROM (
            SELECT ROUTINE_NAME AS name, DATABASE_COLLATION AS c FROM information_schema.ROUTINES
            WHERE ROUTINE_SCHEMA = :db
            UNION ALL SELECT TRIGGER_NAME, DATABASE_COLLATION FROM information_schema.TRIGGERS
            WHERE EVENT_OBJECT_SCHEMA = :db
            UNION ALL SELECT EVENT_NAME, DATABASE_COLLATION FROM information_schema.EVENTS
            WHERE EVENT_SCHEMA = :db) o
          WHERE o.c <> (SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA
                        WHERE SCHEMA_NAME = :db LIMIT 1)""",
        f"reading the collations of {database!r}",
        db=database,
    )
    if rows:
        listed = names(sorted({str(row["name"]) for row in rows}))
        yield note(
            "OtherCollation",
            f"{database!r} has routines made under another default collation: {listed}; its dump alters the database"
            " by name: a restore applies that to its target, a client by hand to whatever has that name",
            "create them again",
        )
