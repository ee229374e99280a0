"""A data set that nobody here made: backed up, dropped, restored, the same rows and the same catalogue."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients import shipped_clients
from tests.cluster.paths import CHECKOUT
from tests.fixtures.engine_rig import Rig, rig
from tests.servers import Server

from vya_backupdb.domain.metadata import DatabaseSettings
from vya_backupdb.engines.loading import LoadOptions

SERVERS = ("postgres:15", "postgres:17", "postgres:18", "mariadb:10.11", "mariadb:11.8", "mysql:9.7")
ROWS = 15_607


def script(product: str) -> bytes:
    """Return Chinook's script for `product`."""
    return script_path(product).read_bytes()


def script_path(product: str) -> Path:
    """Return where it lies; skip the test where this machine has no copy."""
    default = CHECKOUT.parent / "shared" / "data" / "chinook"
    folder = Path(os.environ.get("VYA_BACKUPDB_TEST_CHINOOK", default))
    path = folder / f"Chinook_{'PostgreSql' if product == 'postgres' else 'MySql'}.sql"
    if not path.is_file():
        pytest.skip(f"no Chinook: {path} is not there; set VYA_BACKUPDB_TEST_CHINOOK to its folder")
    return path


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
        # the script drops, makes and enters a database of its own name: on the way into ours these lines are left out
        inspection = one.inspect(script(one.server.product), database, LoadOptions(foreign=True))
        inspection.require_loadable("Chinook's script")
        assert [name.lower() for name in inspection.databases] == ["chinook"]
        done = one.load(script(one.server.product), database, inspection.options)
        assert [(each.name, each.count) for each in done.transforms] == [("database", 3)]
        assert not one.engine.exists(inspection.databases[0])
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
