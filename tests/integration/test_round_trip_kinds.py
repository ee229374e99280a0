"""One of each kind of object, of each product and version: dumped, restored, dumped again, and nothing is different.

The second dump is the oracle: the servers' own clients write every attribute and every row that they know of, so two
equal texts are equal catalogues and equal rows. Beside it the rows are counted by the server.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import Dumped, Rig, rig
from tests.fixtures.scratch_databases import Make, run
from tests.servers import Server

KINDS = Path(__file__).parent.parent / "fixtures" / "kinds"
Servers = Callable[[str], Server]


def statements(*names: str) -> list[str]:
    """Return the statements of the files, which '$$' alone on a line parts."""
    texts = [(KINDS / f"{name}.sql").read_text().split("\n$$\n") for name in names]
    return [statement for text in texts for statement in text]


def there_and_back(one: Rig, source: str, target: str) -> Dumped:
    """Dump `source`, restore it as `target`, and assert that a dump of that is the same."""
    dumped = one.dump(source)
    assert one.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    again = one.dump(target)
    assert again.comparable == dumped.comparable
    assert again.rows == dumped.rows
    assert again.snapshot.schema_info == dumped.snapshot.schema_info
    counted = {
        ".".join(filter(None, (row.schema_name, row.name))): row.rows for row in one.engine.count(target).by_table
    }
    known = {name: rows for name, rows in dumped.rows.items() if rows is not None}
    assert {name: counted[name] for name in known} == known
    return dumped


@pytest.mark.parametrize("name", ["postgres:15", "postgres:17", "postgres:18"])
def test_every_kind_of_object_of_postgresql_comes_back(servers: Servers, make: Make, name: str) -> None:
    one = rig(servers(name), shipped_clients())
    for role in ("kinds reader", "kinds owner"):
        make(one.server, role, kind="ROLE")
    text = (KINDS / "postgresql.sql").read_text()
    if one.server.version == "18":
        text += (KINDS / "postgresql_18.sql").read_text()
    source = make(one.server, "kinds")
    with one.server.connect(source) as connection:
        for part in text.split("\n-- committed: "):
            connection.execute(f"-- {part}")
    dumped = there_and_back(one, source, make(one.server, "kinds again", exists=False))
    assert len(dumped.rows) >= 22
    # they hold a subscription each, which keeps a database from being dropped
    for name in (source, "kinds again"):
        one.engine.drop(name)
        assert not one.engine.exists(name)


@pytest.mark.parametrize("name", ["mariadb:10.11", "mariadb:11.8", "mysql:9.7"])
def test_every_kind_of_object_of_the_mysql_family_comes_back(servers: Servers, make: Make, name: str) -> None:
    one = rig(servers(name), shipped_clients())
    source = make(one.server, "kinds", *statements("mysql_family", one.server.product), options="CHARACTER SET utf8mb4")
    dumped = there_and_back(one, source, make(one.server, "kinds again", exists=False))
    assert len(dumped.rows) > 20
    history = "SELECT a, ROW_START, ROW_END FROM histories FOR SYSTEM_TIME ALL ORDER BY 1"
    if one.server.product == "mariadb":
        assert one.server.sql(history, database="kinds again") == one.server.sql(history, database=source)


@pytest.mark.parametrize("name", ["postgres:17", "mariadb:11.8", "mysql:9.7"])
def test_two_thousand_tables_come_back(servers: Servers, make: Make, name: str) -> None:
    one = rig(servers(name), shipped_clients())
    source = make(one.server, "many tables")
    texts = [f"CREATE TABLE t{number} (id int PRIMARY KEY, v text)" for number in range(2000)]
    texts += [f"INSERT INTO t{number} VALUES (1, 'x')" for number in range(0, 2000, 7)]
    if one.server.product == "postgres":
        one.server.sql(";".join(texts), database=source)
    else:
        run(one.server, source, *texts)
    target = make(one.server, "many tables again", exists=False)
    dumped = one.dump(source)
    assert one.restore(dumped.sql, target, dumped.snapshot.settings) == ()
    # instead of a second dump, which takes the clients half a minute
    assert one.engine.schema(target).structure_hash == one.engine.schema(source).structure_hash
    assert len(dumped.rows) == 2000
    assert sum(row.rows or 0 for row in one.engine.count(target).by_table) == len(range(0, 2000, 7))


def test_an_empty_database_comes_back(servers: Servers, make: Make) -> None:
    for name in ("postgres:17", "mariadb:11.8", "mysql:9.7"):
        one = rig(servers(name), shipped_clients())
        dumped = there_and_back(one, make(one.server, "empty"), make(one.server, "empty again", exists=False))
        assert dumped.rows == {}


@pytest.mark.parametrize(
    ("name", "type_", "digest"),
    [
        ("postgres:17", "text", "md5(v)"),
        ("mariadb:11.8", "longtext", "sha2(v, 256)"),
        ("mysql:9.7", "longtext", "sha2(v, 256)"),
    ],
)
def test_a_value_of_two_hundred_megabytes_comes_back(
    servers: Servers, make: Make, name: str, type_: str, digest: str
) -> None:
    one = rig(servers(name), shipped_clients())
    with _large_packets(one.server):
        source = make(one.server, "large")
        one.server.sql(f"CREATE TABLE t (id int PRIMARY KEY, v {type_})", database=source)
        one.server.sql("INSERT INTO t VALUES (1, REPEAT('0123456789', 20000000)), (2, 'small')", database=source)
        target = make(one.server, "large again", exists=False)
        dumped = one.dump(source)
        assert one.restore(dumped.sql, target, dumped.snapshot.settings) == ()
        seen = f"SELECT id, length(v), {digest} FROM t ORDER BY id"
        before = one.server.sql(seen, database=source)
        assert before[0][1] == 200_000_000
        assert one.server.sql(seen, database=target) == before


@contextmanager
def _large_packets(server: Server) -> Iterator[None]:
    """Let the server take statements of up to 1 GiB while the block runs: it sees the value as one."""
    if server.product == "postgres":
        yield
        return
    before = server.sql("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    server.sql("SET GLOBAL max_allowed_packet = 1073741824")
    try:
        yield
    finally:
        server.sql(f"SET GLOBAL max_allowed_packet = {before}")
