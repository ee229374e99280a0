"""What a load is made of: its options, what looks at a file beforehand, what loads it, and what each says.

A dump is loaded over a session of our own, statement by statement: no client program, and so no client's commands. One
set of rules judges each statement twice, for the plan (`Inspector`) and for the load itself (`Loader`): what the plan
refuses the loader refuses, too, and what the plan declares as a transform the loader does.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.domain.metadata import DatabaseSettings, TableInfo

SHOWN_REFUSALS = 3


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What is to be made of a file.

    `source` is the database that the file was made of, where that is known. `foreign`: the file is no backup of ours,
    so the lines with which it makes and enters its one database may be taken out. `tables` are the only ones to be
    loaded (all, where empty; PostgreSQL: ``schema.table`` or a name that is unique); `surroundings` tells whether what
    tables stand on (schemas, types, functions, extensions) is loaded with them, as an empty target needs it.
    `owners`: ``require`` refuses a file that names roles which the server lacks, ``skip`` leaves out what they own and
    are granted. `roles` will be there when the load begins. `definers`: ``keep`` keeps them where the account may set
    them, ``drop`` makes the account itself the definer.
    """

    source: str | None = None
    foreign: bool = False
    tables: tuple[str, ...] = ()
    surroundings: bool = True
    owners: Literal["require", "skip"] = "require"
    roles: frozenset[str] = frozenset()
    definers: Literal["keep", "drop"] = "keep"
    #: what the source sets for its sessions, as ``name=value`` (PostgreSQL): its functions may rely on it
    settings: tuple[str, ...] = ()
    #: the source had no schema ``public``, which every new database has, and which no dump drops (PostgreSQL)
    lacks_public: bool = False
    #: schema, table and name of columns that take NULL, though a table that theirs inherits from does not (PostgreSQL)
    nullable: tuple[tuple[str, str, str], ...] = ()
    #: the name that the database has in the end, for a load beside it; an inspector fills it
    target: str | None = None
    #: the tables of `tables` with what belongs to them, as an inspector found them; nobody else fills it
    resolved: frozenset[tuple[str | None, str]] | None = None


@dataclass(frozen=True, slots=True)
class Transform:
    """One way in which the loaded differs from the file: how often, and in one sentence what is done."""

    name: str
    count: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not loaded: what stands on which line (1 for the first), and the remedy in a sentence."""

    line: int
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspector found. `options` are to be given to the loader: the asked ones, with what the file told.

    `databases` are those that the file names in lines of its own, `tables` those that it fills or makes, sorted, as
    ``schema.table`` or ``table``, `accounts` the roles, or the definers (``name@host``), that it names and that stay.
    """

    statements: int
    refusals: tuple[Refusal, ...]
    transforms: tuple[Transform, ...]
    databases: tuple[str, ...]
    tables: tuple[str, ...]
    options: LoadOptions = field(repr=False)
    accounts: tuple[str, ...] = ()

    def require_loadable(self, file: Path | str) -> None:
        """Raise RestoreFailed, with the first refusals, if there is any; `file` says in words what would be loaded."""
        if self.refusals:
            raise refused(file, self.refusals)


@dataclass(frozen=True, slots=True)
class LoadResult:
    """How a load ended: statements that the server executed, rows that went in by COPY, and what was transformed.

    `counted` are the rows of all tables at a moment at which nothing but the file had changed them, where the file went
    on to make events, which do so from then on.
    """

    statements: int
    rows: int
    transforms: tuple[Transform, ...]
    counted: tuple[TableInfo, ...] | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """What stands in no dump of a database, as a server can take it; `accounts` are those that it names.

    `missing` are those of them that the server lacks, and without which the database is not made.
    """

    settings: DatabaseSettings
    transforms: tuple[Transform, ...] = ()
    accounts: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Inspector(Protocol):
    """Looks at a file as it passes, in chunks of any size, before anything is touched; memory stays bounded."""

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Look at the next bytes."""

    def result(self) -> Inspection:
        """Return what was found, after the last chunk."""


class Loader(Protocol):
    """Loads a file as it is fed, in chunks of any size, over one session."""

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Load what the bytes complete. Raise RestoreFailed, naming line and statement, at the first error."""

    def finish(self) -> LoadResult:
        """Load the rest, and return how it went. Raise RestoreFailed for an error or an unfinished statement."""

    def cancel(self) -> None:
        """End the session at once, from any thread: `feed` or `finish` then fail."""


def refused(file: Path | str, refusals: Iterable[Refusal]) -> RestoreFailed:
    """Return the error for a file that must not be loaded."""
    every = tuple(refusals)
    shown = "; ".join(f"line {one.line} {one.message}" for one in every[:SHOWN_REFUSALS])
    more = f"; and {len(every) - SHOWN_REFUSALS} more" if len(every) > SHOWN_REFUSALS else ""
    return RestoreFailed(f"{file} is not loaded: {shown}{more}", hint=every[0].hint)
