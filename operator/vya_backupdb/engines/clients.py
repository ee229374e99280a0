"""Which client program fits a server: found by capability, never by luck of the PATH.

`mysqldump` of a MariaDB package is MariaDB's, and writes dumps of a MySQL server that cannot be restored; so a program
is asked for its ``--version`` before it is believed. `pg_dump` must be of the server's major, else the lowest one above
it: a newer one writes settings that the server does not know. Versions are compared as tuples (MySQL counts 8, 9, 26).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from vya_backupdb.domain.errors import ClientMissing
from vya_backupdb.engines.base import Product, ServerInfo

#: Given the argv of ``program --version``, return what it says on standard output, or '' if it cannot be started.
Ask = Callable[[tuple[str, ...]], str]

#: Where packages of several majors and of two products lie side by side; PATH comes after these.
KNOWN_DIRECTORIES: Final = ("/usr/lib/postgresql/*/bin", "/opt/mysql/usr/bin", "/opt/mysql/bin")

#: In this order: MariaDB's programs call themselves by several numbers, the one before the name is the server's.
_VERSIONS: Final[tuple[tuple[Product, re.Pattern[str]], ...]] = (
    ("PostgreSQL", re.compile(r"\(PostgreSQL\) (\d+(?:\.\d+)*)")),
    ("MariaDB", re.compile(r"(\d+(?:\.\d+)+)-MariaDB")),
    ("MySQL", re.compile(r"\bVer (\d+(?:\.\d+)+)")),
)
# the first releases of each major whose pg_dump knows --restrict-key (CVE-2025-8714); every later major has it
_RESTRICT_KEY_SINCE: Final = {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}


@dataclass(frozen=True, slots=True)
class Client:
    """One installed program."""

    path: str
    program: str
    product: Product
    version: tuple[int, ...]

    @property
    def words(self) -> str:
        """Program and version, as the metadata has it: ``pg_dump 17.11``."""
        return f"{self.program} {'.'.join(map(str, self.version))}"

    @property
    def restricts(self) -> bool:
        """PostgreSQL: whether the program knows ``\\restrict`` (and pg_dump ``--restrict-key``)."""
        major, minor = (*self.version, 0)[:2]
        return minor >= _RESTRICT_KEY_SINCE.get(major, 0) if major >= 13 else False


class Clients:
    """The client programs of this machine. Asking is lazy, and each program is asked once."""

    def __init__(
        self,
        ask: Ask,
        *,
        search_path: str,
        directories: Sequence[str] = (),
        known: Sequence[str] = KNOWN_DIRECTORIES,
    ) -> None:
        """Take a client in `directories` (globs allowed) where one fits, else one of all others.

        The others are the `known` directories and those of `search_path` (as in PATH).
        """
        self._groups = (tuple(directories), (*known, *filter(None, search_path.split(":"))))
        self._ask = ask
        self._identify = lru_cache(maxsize=None)(self._identify_uncached)

    def pg_dump(self, server: ServerInfo) -> Client:
        """Return the pg_dump of the server's major, else the lowest major above it. Raise ClientMissing."""
        return self._postgresql("pg_dump", server)

    def mysql_dump(self, server: ServerInfo) -> Client:
        """Return the dump client of the server's own product (MySQL or MariaDB), the newest. Raise ClientMissing."""
        return self._mysql_family(("mariadb-dump", "mysqldump"), server)

    def _postgresql(self, program: str, server: ServerInfo) -> Client:
        major, found = server.version_tuple[0], list[Client]()
        for group in self._groups:
            found += [client for client in self._found(program, group) if client.product == "PostgreSQL"]
            same = [client for client in found if client.version[0] == major]
            if same:
                return max(same, key=lambda client: client.version)
        above = [client for client in found if client.version[0] > major]
        if above:
            lowest = min(client.version[0] for client in above)
            return max((one for one in above if one.version[0] == lowest), key=lambda one: one.version)
        raise _missing(program, server, found, f"postgresql-client-{major}")

    def _mysql_family(self, programs: tuple[str, ...], server: ServerInfo) -> Client:
        found = list[Client]()
        for group in self._groups:
            found += [client for program in programs for client in self._found(program, group)]
            fitting = [client for client in found if client.product == server.product]
            if fitting:
                return max(fitting, key=lambda client: client.version)
        package = "mariadb-client" if server.product == "MariaDB" else "mysql-client (Oracle's, beside MariaDB's)"
        raise _missing(programs[0] if server.product == "MariaDB" else programs[1], server, found, package)

    def _found(self, program: str, patterns: Sequence[str]) -> list[Client]:
        clients = (self._identify(path, program) for path in _candidates(program, patterns))
        return [client for client in clients if client is not None]

    def _identify_uncached(self, path: str, program: str) -> Client | None:
        return identify(path, program, self._ask((path, "--version")))


def _candidates(program: str, patterns: Sequence[str]) -> Iterator[str]:
    """Yield where the program lies, each directory once: /bin is /usr/bin on most systems."""
    seen = set[Path]()
    for pattern in patterns:
        for directory in sorted(Path("/").glob(pattern.lstrip("/"))) if "*" in pattern else (Path(pattern),):
            if (directory / program).is_file() and directory.resolve() not in seen:
                seen.add(directory.resolve())
                yield str(directory / program)


def identify(path: str, program: str, said: str) -> Client | None:
    """Return the client that `said` (its ``--version``) shows, or None where it cannot be told.

    ``mariadb-dump from 11.8.6-MariaDB, client 10.19``, ``mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB`` and
    ``mysqldump  Ver 9.7.4 for Linux`` are told apart: MariaDB's number stands directly before its name.
    """
    for product, pattern in _VERSIONS:
        if match := pattern.search(said):
            return Client(path, program, product, tuple(int(part) for part in match[1].split(".")))
    return None


def _missing(program: str, server: ServerInfo, found: Sequence[Client], package: str) -> ClientMissing:
    seen = ", ".join(sorted({f"{client.path} ({client.product} {client.words})" for client in found})) or "none"
    return ClientMissing(
        f"no {program} fits {server.product} {server.version}; found: {seen}", hint=f"Install the package {package}."
    )
