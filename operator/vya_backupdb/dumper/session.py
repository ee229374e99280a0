"""One instance, opened: its server, its part of the tree, and what each use case needs beside them.

A session reads no environment and no clock of its own accord: the edge gives `Tools`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from vya_backupdb import __version__
from vya_backupdb.domain.config import AppConfig, DatabaseConfig, Flavor
from vya_backupdb.domain.metadata import ToolInfo
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.dumper import process
from vya_backupdb.dumper.events import Event, Listener
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.engines.base import Engine, ServerInfo
from vya_backupdb.engines.clients import Clients
from vya_backupdb.engines.registry import engine_for
from vya_backupdb.storage import credentials
from vya_backupdb.storage.tree import InstanceTree, Tree


@dataclass(frozen=True, slots=True)
class Tools:
    """What the edge gives: clock (aware), redactor, stop, listener, 12 random hex digits, and where clients may lie."""

    clock: Callable[[], datetime]
    redact: Redactor
    stop: Stop
    say: Listener
    random_hex: Callable[[], str]
    wants_estimates: bool = False
    search_path: str = os.defpath
    client_directories: tuple[str, ...] = ()

    def clients(self) -> Clients:
        """Return the client programs of this machine."""
        return Clients(
            lambda argv: process.ask(argv, stop=self.stop),
            search_path=self.search_path,
            directories=self.client_directories,
        )


@dataclass(frozen=True, slots=True)
class Server:
    """What the server said of itself, and when we asked: its clock goes on by our monotonic one."""

    info: ServerInfo
    asked_at: float
    skew: timedelta

    def now(self) -> datetime:
        """Return the server's present time."""
        return self.info.now + timedelta(seconds=time.monotonic() - self.asked_at)

    def tool(self, client: str) -> ToolInfo:
        """Return who makes a file with `client`, for the metadata."""
        return ToolInfo(
            version=__version__,
            client=client,
            server_product=self.info.product,
            server_version=self.info.version,
            server_identity=self.info.identity,
        )

    @property
    def flavor(self) -> Flavor | None:
        """Which product of the MySQL family it is; None for PostgreSQL."""
        return {"MySQL": Flavor.MYSQL, "MariaDB": Flavor.MARIADB}.get(self.info.product)


@dataclass(frozen=True, slots=True)
class Session:
    """One instance: what it is configured to be, its server and its tree."""

    app: AppConfig
    database: DatabaseConfig
    engine: Engine
    tree: InstanceTree
    tools: Tools

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the times in names."""
        return ZoneInfo(self.app.time_zone)

    def say(self, event: Event) -> None:
        """Tell the listener."""
        self.tools.say(event)

    def ask_server(self) -> Server:
        """Connect, and return what the server says of itself with its clock's difference to ours."""
        before = self.tools.clock()
        info = self.engine.connect_check()
        asked_at = time.monotonic()
        half = (self.tools.clock() - before) / 2
        return Server(info, asked_at, skew=info.now - (before + half))


def open_tree(app: AppConfig, database: DatabaseConfig) -> InstanceTree:
    """Return the instance's part of the tree; touches neither the volume nor the server."""
    return Tree(app.storage).instance(database.tree_hostname, database.id)


def open_session(app: AppConfig, database: DatabaseConfig, tools: Tools) -> Session:
    """Read the credentials and return the session; nothing is connected yet. From here on they are redacted.

    Raise CredentialsMissing or CredentialsUnreadable.
    """
    secret = credentials.load(app.credentials_of(database), database.id)
    tools.redact.learn(secret.password)
    engine = engine_for(database, secret, clients=tools.clients(), redact=tools.redact)
    return Session(app, database, engine, open_tree(app, database), tools)
