"""A data set that nobody here made: backed up, dropped, restored, the same rows and the same catalogue."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients import shipped_clients
from tests.cluster.paths import CHECKOUT
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

from vya_backupdb.domain.metadata import DatabaseSettings

SERVERS = ("postgres:15", "postgres:17", "postgres:18", "mariadb:10.11", "mariadb:11.8", "mysql:9.7")
ROWS = 15_607
#: What the scripts say of the database itself: ours has a name of its own.
_DATABASE_LINES = re.compile(r"^(?:DROP DATABASE .*|CREATE DATABASE .*|USE .*|\\c .*)$", re.MULTILINE)


def script(product: str) -> bytes:
    """Return Chinook's script for `product`; skip the test where this machine has no copy."""
    default = CHECKOUT.parent / "shared" / "data" / "chinook"
    folder = Path(os.environ.get("VYA_BACKUPDB_TEST_CHINOOK", default))
    path = folder / f"Chinook_{'PostgreSql' if product == 'postgres' else 'MySql'}.sql"
    if not path.is_file():
        pytest.skip(f"no Chinook: {path} is not there; set VYA_BACKUPDB_TEST_CHINOOK to its folder")
    return _DATABASE_LINES.sub("", path.read_text("utf-8-sig")).encode()


def checksums(one: Rig, database: str) -> dict[str, object]:
    """Return a checksum of the rows of each table, as the server computes it."""
    found: dict[str, object] = {}
    for table in one.engine.count(database).by_table:
        if one.server.product == "postgres":
            statement = f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM "{table.name}" t'
            found[table.name] = one.server.sql(statement, database=database)
        else:
            found[table.name] = one.server.sql(f"CHECKSUM TABLE `{table.name}` EXTENDED", database=database)[0][1]
    return found


@pytest.mark.parametrize("name", SERVERS)
def test_chinook_comes_back(servers: Callable[[str], Server], name: str) -> None:
    one = rig(servers(name), shipped_clients())
    database = "chinook shop"
    one.engine.create(database, DatabaseSettings())
    try:
        one.load(script(one.server.product), database)
        before = checksums(one, database)
        dumped = one.dump(database)
        one.engine.drop(database)
        assert one.restore(dumped.sql, database, dumped.snapshot.settings) == ()
        assert checksums(one, database) == before
        assert one.engine.count(database).rows == ROWS
        again = one.dump(database)
        assert again.comparable == dumped.comparable
        assert again.snapshot.schema_info == dumped.snapshot.schema_info
    finally:
        one.engine.drop(database)
