"""The servers of the command line's demonstration: filled, looked at and robbed by SQL of the script's own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
import pymysql
from pymysql.constants import CLIENT

TABLES = ("customer", "orders", "audit")
HERE = Path(__file__).parent


class Target(Protocol):
    """A server with a database `shop`."""

    @property
    def product(self) -> str:
        """What a person calls it."""

    @property
    def type(self) -> str:
        """What the configuration calls it."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""

    @property
    def account(self) -> tuple[str, str]:
        """User and password."""

    def fill(self) -> None:
        """Make the database and its rows."""

    def drop(self) -> None:
        """Drop it."""

    def rows(self, table: str) -> Sequence[bytes]:
        """Return each row of a table in some canonical form, sorted."""


def fingerprint(target: Target) -> dict[str, str]:
    """Return the number of rows and a digest of all values for each table."""
    prints = {}
    for table in TABLES:
        rows = target.rows(table)
        prints[table] = f"{len(rows):>6} rows  sha256 {hashlib.sha256(b'/'.join(rows)).hexdigest()[:16]}…"
    return prints


@dataclass(frozen=True)
class PostgreSQL:
    """A PostgreSQL server."""

    address: tuple[str, int]
    account: tuple[str, str]
    product: str = "PostgreSQL 18"
    type: str = "postgresql"

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        (host, port), (user, password) = self.address, self.account
        return psycopg.connect(host=host, port=port, user=user, password=password, dbname=database, autocommit=True)

    def fill(self) -> None:
        """Make `shop` and `crm`, and a role."""
        with self._connect("postgres") as connection:
            connection.execute(b"CREATE ROLE reporting NOLOGIN")
            for name in ("shop", "crm"):
                connection.execute(f"CREATE DATABASE {name}".encode())
        with self._connect("shop") as connection:
            connection.execute((HERE / "shop.sql").read_bytes())
        with self._connect("crm") as connection:
            connection.execute(b"CREATE TABLE lead (id int PRIMARY KEY, name text)")
            connection.execute(b"INSERT INTO lead SELECT n, 'lead ' || n FROM generate_series(1, 500) n")

    def drop(self) -> None:
        """Drop `shop`, whoever is connected."""
        with self._connect("postgres") as connection:
            connection.execute(b"DROP DATABASE shop WITH (FORCE)")

    def rows(self, table: str) -> Sequence[bytes]:
        """Return the rows as PostgreSQL writes them."""
        with self._connect("shop") as connection:
            return sorted(str(row[0]).encode() for row in connection.execute(f"SELECT t::text FROM {table} t".encode()))


@dataclass(frozen=True)
class MySQLFamily:
    """A MariaDB or MySQL server."""

    address: tuple[str, int]
    account: tuple[str, str]
    product: str
    type: str = "mysql"

    def _run(self, statements: str, database: str | None = None) -> Sequence[tuple[object, ...]]:
        (host, port), (user, password) = self.address, self.account
        connection = pymysql.connect(
            host=host, port=port, user=user, password=password, database=database, autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )  # fmt: skip
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
            rows: list[tuple[object, ...]] = list(cursor.fetchall())
            while cursor.nextset():
                rows = list(cursor.fetchall())
            return rows

    def fill(self) -> None:
        """Make `shop`."""
        self._run("CREATE DATABASE shop CHARACTER SET utf8mb4")
        self._run((HERE / "shop_mysql.sql").read_text(), "shop")

    def drop(self) -> None:
        """Drop `shop`."""
        self._run("DROP DATABASE shop")

    def rows(self, table: str) -> Sequence[bytes]:
        """Return the rows as Python writes them."""
        return sorted(repr(row).encode() for row in self._run(f"SELECT * FROM {table}", "shop"))
