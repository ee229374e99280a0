"""What every engine offers: which command makes a dump, what loads one, and how to look at the server around it.

An engine starts no process and writes no file: it says what to run (`Command`), and asks the server over a session of
its own. Its invariants:

- no secret stands in a `Command`'s text: passwords are `SecretFile`s, and whoever runs the command puts each one into
  an inherited memory file (mode 0600) and its path in the file's place;
- names of databases and users are hostile: in argv they stand behind ``--`` or inside a quoted connection string;
- every text of a server or a driver is redacted before it becomes an error's message;
- methods may be called from several threads at once: each opens sessions of its own.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, Protocol

from vya_backupdb.domain.errors import DumpFailed
from vya_backupdb.domain.metadata import DatabaseSettings, SchemaInfo, TableInfo, UsersInfo
from vya_backupdb.domain.report import Finding
from vya_backupdb.domain.schema import Schema
from vya_backupdb.engines.loading import Fitted, Inspector, Loader, LoadOptions

if TYPE_CHECKING:
    # what only a restore or a command for users needs: a dump does without its models
    from vya_backupdb.engines.accounts import Accounts
    from vya_backupdb.engines.placing import Placer

Product = Literal["PostgreSQL", "MariaDB", "MySQL"]


class Credentials(Protocol):
    """User and password of a server, in clear; `storage.credentials` makes them."""

    @property
    def username(self) -> str:
        """The account's name."""

    @property
    def password(self) -> str:
        """The account's password; may be empty where the server asks for none."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """Bytes that a client reads as a file; `name` says what they are, for a debugger (it is no path)."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Option:
    """One argument made of fixed text and a secret file's path, such as ``--defaults-file=/proc/self/fd/7``."""

    prefix: str
    file: SecretFile


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: `argv[0]` is an absolute path; `environ` is added to the few variables that the runner sets."""

    argv: tuple[str | SecretFile | Option, ...]
    environ: Mapping[str, str | SecretFile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server as it names itself. `now` is its clock (with zone), `identity` outlives restarts and renames."""

    product: Product
    version: str
    version_tuple: tuple[int, ...]
    identity: str | None
    now: datetime

    @property
    def release(self) -> str:
        """The bare number, for people: '11.8.6', where the server says '11.8.6-MariaDB-0+deb13u1 from Debian'."""
        return ".".join(map(str, self.version_tuple))


@dataclass(frozen=True, slots=True)
class DatabaseInfo:
    """One database that is no system database. `why` says, in a few words, why it is (not) covered."""

    name: str
    size_bytes: int | None
    covered: bool
    why: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What stood in the stream. `complete` is false where the closing marker is missing or more follows it."""

    tables: tuple[TableInfo, ...]
    complete: bool
    problem: str = ""


class StreamScanner(Protocol):
    """Looks at an uncompressed dump as it passes, in chunks of any size; cheap, and constant in memory."""

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Look at the next bytes."""

    def result(self) -> ScanResult:
        """Return what was found, after the last chunk."""


class HeldLock(Protocol):
    """A session lock on the server; other runs of ours on the same database wait or are refused."""

    def verify(self) -> None:
        """Ask the session whether it still holds the lock; raise DumpFailed if not.

        Cheap: called every half minute during a long dump, it also keeps the session alive behind a load balancer.
        """


class Snapshot(Protocol):
    """One database as seen at one moment, held (PostgreSQL) or remembered (MySQL family) until the dump has ended."""

    @property
    def schema_info(self) -> SchemaInfo:
        """The catalogue in numbers."""

    @property
    def settings(self) -> DatabaseSettings:
        """What belongs to the database but stands in no dump of it."""

    @property
    def schema(self) -> Schema:
        """Every object of the database."""

    @property
    def server_settings(self) -> dict[str, str]:
        """The server's own settings that a restore may depend on, by name."""

    @property
    def tables(self) -> tuple[TableInfo, ...]:
        """The tables that the dump must hold (rows unknown)."""

    @property
    def method(self) -> str:
        """How the snapshot is taken, for ``metadata.consistency``."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the dump would lack, or hold in a way that does not load; see `findings.require_dumpable`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the dump will not hold, or not hold consistently, as sentences."""

    def keep(self) -> None:
        """Use the sessions that hold it, now and then, so that nobody ends them as idle. Raise if one is lost."""

    def hold(self) -> None:
        """Take over what locks the client holds, where a product gives them back when its client ends.

        Ask once, when the client has begun to write. Where it cannot be, nothing happens: `verify` judges all the same.
        """

    def verify(self, found: Sequence[TableInfo] | None = None) -> tuple[str, ...]:
        """Return the names of the detectors that ran after the dump and found nothing.

        `found` are the tables of the finished stream. Raise DumpFailed, naming the tables, if one was rewritten,
        truncated, replaced or dropped under the dump, if the stream lacks one of the snapshot or holds a stranger, or,
        naming the objects, if the schema changed. Ask once, last: it may end the snapshot.
        """


@dataclass(frozen=True, slots=True)
class DumpPlan:
    """How to dump one database: the command, and the client in words (``pg_dump 17.11``) for the metadata.

    `omitted` is a line of the client's head that the server itself would refuse (empty: none); `passing` leaves it out.
    """

    command: Command
    client: str
    omitted: bytes = b""

    def passing(self, take: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Return a function that gives to `take` what the client writes, without the omitted line.

        The line is looked for in the first piece only (clients write 4 KiB at least): rows that hold it are safe.
        """
        waiting = [self.omitted] if self.omitted else []

        def passed(chunk: bytes) -> None:
            take(chunk.replace(waiting.pop(), b"", 1) if waiting else chunk)

        return passed


@dataclass(frozen=True, slots=True)
class UsersDump:
    """SQL that recreates accounts, roles and grants on an empty server, with what is in it and what is not."""

    chunks: Iterable[bytes] = field(repr=False)
    info: UsersInfo
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """What a restored database holds, counted by the server.

    `by_root` are the rows of partitioned tables that a dump may name in the place of their partitions.
    """

    tables: int
    rows: int
    by_table: tuple[TableInfo, ...] = ()
    by_root: tuple[TableInfo, ...] = ()


_EVERYTHING: Final = LoadOptions()
#: Called between two attempts at a lock; raises (Interrupted, DeadlineExceeded) to give up.
Checkpoint = Callable[[], None]


class Engine(Protocol):
    """One server. Every method may raise ServerError's children (connection, password, TLS, privilege, product)."""

    @property
    def loads_beside(self) -> bool:
        """Whether every restore loads into a scratch database, which gets its name at the end."""

    @property
    def placer(self) -> "Placer":
        """Return what puts a restored database in its place."""

    def connect_check(self) -> ServerInfo:
        """Connect, and return what the server says of itself. Raise WrongServer if the configuration says otherwise."""

    def databases(self) -> list[DatabaseInfo]:
        """Return every database but the system's own, sorted by name, with whether this instance covers it."""

    def count_objects(self, databases: Collection[str]) -> Mapping[str, Mapping[str, int]]:
        """Return how many objects of each kind (``tables``, ``views`` …; none that is 0) each of `databases` holds.

        One query a kind, or a database, never one a table. One that cannot be looked into is left out.
        """

    def preflight(self) -> tuple[Finding, ...]:
        """Return what is in the way of a backup of the whole server, or makes it weaker."""

    def inspect(self, database: str) -> tuple[Finding, ...]:
        """Return the `findings` that a snapshot of `database` would have, without taking one."""

    def lock(
        self, database: str, *, wait_seconds: float, checkpoint: Checkpoint | None = None
    ) -> AbstractContextManager[HeldLock]:
        """Hold the session lock on `database` (which need not exist). Raise Busy when it is not to be had in time."""

    def snapshot(self, database: str) -> AbstractContextManager[Snapshot]:
        """Look at `database` at one moment. Raise NotFound if it does not exist."""

    def dump(self, database: str, snapshot: Snapshot) -> DumpPlan:
        """Return how to dump `database` as of `snapshot`. Raise ClientMissing before anything is written."""

    def scanner(self) -> StreamScanner:
        """Return a fresh scanner for this engine's dumps; asks no server."""

    def users_scanner(self) -> StreamScanner:
        """Return a fresh scanner for this engine's users files (no tables; only the closing marker)."""

    def judge_stderr(self, text: str) -> list[str]:
        """Return the lines of a dump client's stderr that are not known to be harmless, redacted."""

    def dump_failure(self, database: str, exit_code: int, text: str) -> DumpFailed:
        """Return the error for a dump client that ended with `exit_code` (a signal: negative) and said `text`."""

    def users(self) -> UsersDump:
        """Return the accounts, roles and grants of the server."""

    def accounts(self) -> "Accounts":
        """Return what reads, restores and shows the server's accounts; nothing is connected yet."""

    def exists(self, database: str) -> bool:
        """Whether `database` exists, system databases included."""

    def create(self, database: str, settings: DatabaseSettings, *, marker: str = "") -> tuple[str, ...]:
        """Create `database`, empty, with the encoding and collation of `settings`; return warnings.

        Where databases have no identity of their own, one that is loaded under its final name gets an empty table of
        the name `marker`. Raise TargetExists if it exists, RestoreFailed if the server lacks its locale or character
        set.
        """

    def fitted(self, settings: DatabaseSettings, options: LoadOptions) -> Fitted:
        """Return `settings` as the server can take them: as `options.owners` says where it lacks accounts."""

    def inspector(self, target: str, options: LoadOptions = _EVERYTHING) -> Inspector:
        """Return what looks at a file that is to be loaded as `target`; asks the server now, and never again."""

    def loader(self, database: str, options: LoadOptions = _EVERYTHING) -> AbstractContextManager[Loader]:
        """Connect, and load into `database`, which exists. When the block fails, the session is ended."""

    def finish(self, database: str, settings: DatabaseSettings) -> tuple[str, ...]:
        """Apply what stands in no dump (owner, ACL, settings, comment, limit) to `database`; return warnings.

        Raise RestoreFailed naming the statement that the server refused.
        """

    def drop(self, database: str, *, identity: str | None = None) -> None:
        """Drop `database` and end its sessions. The caller has checked in its journal that it made it.

        Raise TargetExists if `identity` is given, and is not that of what stands there now.
        """

    def schema(self, database: str) -> Schema:
        """Return the schema of `database` as it is now; its own name has no part in it. Raise NotFound."""

    def count(self, database: str, *, without: str = "") -> Count:
        """Count tables and rows of `database` on the server (a full scan), but for the table `without`."""
