"""The journal of one restore: what it made or is about to make on a server, and how to undo or to finish it.

It is written before each deed and is the only licence to drop anything. It outlives its run: whoever restores to the
same target next, under whatever run id, finds it and settles it, because a run that died cannot. It goes when nothing
of its restore is left on the server but the restored database; a database that was kept on purpose keeps it alive.
"""

import re
from enum import StrEnum
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from vya_backupdb.domain.report import RunReport
from vya_backupdb.domain.users_file import AccountKey

#: Scratch and kept databases, and the marker table of one that is loaded in place: never derived from another name.
OWN_NAME: Final = re.compile(r"vya_[0-9a-f]{12}")


class OnExisting(StrEnum):
    """What happens where the target exists."""

    FAIL = "fail"
    REPLACE = "replace"
    RENAME = "rename"


class Phase(StrEnum):
    """How far it came: what was made goes, until it is `PLACED`; while it is `PLACING`, only the server knows.

    The outcome is noted before anything is dropped that would tell it. `KEPT`: all is done, a former database stays, or
    nothing came of it but accounts, which are never dropped.
    """

    CREATING = "creating"
    LOADING = "loading"
    PLACING = "placing"
    PLACED = "placed"
    KEPT = "kept"


class Model(BaseModel):
    """Frozen; what a later version adds is kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Definition(Model):
    """A view, routine, trigger or event of MySQL or MariaDB, as the statement that makes it in any schema.

    The session settings are those under which it was made; None where the kind has no such setting.
    """

    kind: Literal["FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY", "VIEW", "TRIGGER", "EVENT", "LIBRARY"]
    name: str
    sql: str
    sql_mode: str | None = None
    time_zone: str | None = None
    charset: str | None = None
    collation: str | None = None
    database_collation: str | None = None


class RoutineGrant(Model):
    """What an account (a role of MariaDB: without a host) may do with one routine, in the words of the server."""

    kind: str
    name: str
    user: str
    host: str
    privileges: tuple[str, ...]


class Default(Model):
    """The default of a column that counts by a sequence, as the server shows it: with the schema's name in it."""

    table: str
    column: str
    sql: str


class StrayKey(Model):
    """A foreign key to a table that its schema lacks, as SQL that names no schema."""

    table: str
    name: str
    sql: str


class Attributes(Model):
    """Character set and collation of a schema."""

    charset: str
    collation: str


class Swap(Model):
    """All that is needed to put `scratch` in the place of `target`, to undo that, and to finish it after a crash.

    `kept` is where the old one goes; None where there is no old one. PostgreSQL is told by its databases' ids, MySQL
    and MariaDB by where the tables stand.
    """

    target: str
    scratch: str
    kept: str | None = None
    stays: bool = False  # whether the old one is to be used under its new name
    old_id: str | None = None
    new_id: str | None = None
    old_tables: tuple[str, ...] = ()
    new_tables: tuple[str, ...] = ()
    old: tuple[Definition, ...] = ()
    new: tuple[Definition, ...] = ()
    old_attributes: Attributes | None = None
    new_attributes: Attributes | None = None
    grants: tuple[RoutineGrant, ...] = ()  # those on the old one's routines, for those of either
    old_defaults: tuple[Default, ...] = ()
    new_defaults: tuple[Default, ...] = ()
    old_keys: tuple[StrayKey, ...] = ()
    new_keys: tuple[StrayKey, ...] = ()


class UsersDue(Model):
    """What becomes of accounts with the restore of a database, by the users file `backup`.

    `begun` are those that it makes, or made, and until that is done those that it changes, as pairs of name and host;
    `grants` is what is due once the data is in its place: a users file's text, without any password's hash, and empty
    where nothing is.
    """

    backup: str
    on_existing: Literal["skip", "replace", "fail"]
    begun: tuple[tuple[str, str], ...] = ()
    grants: str = ""


class Undertaking(Model):
    """The journal. `made` is the database that was made, `identity` what tells it from another of its name.

    `asked` says what was asked for: the same command again gets the `result` of a restore that only lacked its end.
    """

    version: Literal[1] = 1
    run: str
    target: str
    asked: str
    on_existing: OnExisting
    started_at: AwareDatetime
    server_identity: str | None = None
    phase: Phase
    made: str
    marker: str
    identity: str | None = None
    swap: Swap | None = None
    result: RunReport | None = None
    users: UsersDue | None = None

    @property
    def kept(self) -> str | None:
        """The name of the former database that is kept for use, where this is a note of it."""
        return self.swap.kept if self.swap and self.phase is Phase.KEPT else None

    @property
    def begun(self) -> frozenset[AccountKey]:
        """The accounts that this restore makes, or began to make or to change."""
        return frozenset(AccountKey(name, host) for name, host in (self.users.begun if self.users else ()))

    @property
    def left_accounts(self) -> frozenset[AccountKey]:
        """The same, where this is a note that nothing else came of it."""
        return self.begun if self.phase is Phase.KEPT and self.swap is None else frozenset()
