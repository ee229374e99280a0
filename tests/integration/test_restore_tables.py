"""Single tables through the whole of a restore, on each product: what belongs to them, and nothing else."""

from collections.abc import Callable, Iterator

import pytest
from tests.fixtures import samples
from tests.fixtures.restoring import Restoring
from tests.fixtures.workspace import Connect, Workspace
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreRefused, TargetExists
from vya_backupdb.domain.exitcodes import ExitCode


@pytest.fixture(params=("postgres:17", "mariadb:11.8", "mysql:9.7"))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Server]:
    """A shared server; whatever databases a test leaves are dropped."""
    with samples.swept(servers(request.param)) as server:
        yield server


def test_some_tables_of_a_backup(server: Server, one: Restoring) -> None:
    samples.create(server, "shop")
    one.back_up("shop")
    is_pg = server.product == "postgres"
    odd, rows = ('sales dept.Order "é', 3000) if is_pg else ("order `é", None)
    wanted = 2000 if is_pg else 900
    before = samples.state(server, "shop")
    report = one.restore("part", database="shop", tables=("customer",))
    assert report.restored is not None
    assert (report.restored.tables, report.restored.rows) == (1, wanted)
    assert server.sql("SELECT count(*) FROM customer", database="part") == [(wanted,)]
    one.restore("odd part", database="shop", tables=(odd,))
    quoted = '"sales dept"."Order ""é"' if is_pg else "`order ``é`"
    counted = server.sql(f"SELECT count(*) FROM {quoted}", database="shop")
    assert server.sql(f"SELECT count(*) FROM {quoted}", database="odd part") == counted
    assert rows is None or counted == [(rows,)]
    with pytest.raises(TargetExists):
        one.restore("part", database="shop", tables=("customer",))
    for mode in ("replace", "rename"):  # it would take the others away
        with pytest.raises(RestoreRefused, match="only some tables are asked for"):
            one.restore("shop", mode, tables=("customer",))
    with pytest.raises(RestoreRefused, match="lacks the table 'custome'"):
        one.restore("third", database="shop", tables=("customer", "custome"))
    assert samples.state(server, "shop") == before
    assert "third" not in samples.names(server)


def test_some_tables_by_the_command_line(workspace: Workspace, database: str, connect: Connect) -> None:
    with connect(database) as connection:
        # it counts by the sequence of another table, and not from the beginning
        connection.execute("CREATE TABLE third (id serial); CREATE TABLE other (a int DEFAULT nextval('third_id_seq'))")
        connection.execute("INSERT INTO third DEFAULT VALUES")
        # what stands on tables that are not chosen, and a table that does not stand without another
        connection.execute("CREATE FUNCTION of_third(third) RETURNS SETOF third LANGUAGE sql AS 'SELECT * FROM third'")
        connection.execute("CREATE FUNCTION many() RETURNS bigint LANGUAGE sql RETURN (SELECT count(*) FROM third)")
        connection.execute("COMMENT ON FUNCTION many IS 'x'; GRANT EXECUTE ON FUNCTION of_third TO PUBLIC")
        connection.execute("CREATE POLICY own ON other USING (a IN (SELECT id FROM third))")
        connection.execute("CREATE TABLE base (b int); CREATE TABLE child (c int) INHERITS (base, other)")
    assert workspace.run("backup", "--database", database).code == 0
    arguments = ("restore", "--database", database, "--table", "item", "--table", "public.child")
    done = workspace.run(*arguments, "--to-database", "part")
    assert done.code == 0, done.err
    assert (done.report["restored"]["tables"], done.report["restored"]["rows"]) == (4, 1000)
    (told,) = [one["sentence"] for one in done.report["restored"]["transforms"] if one["name"] == "beside"]
    assert told.endswith(": function public.many, function public.of_third, policy own")
    with connect("part") as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
        ).fetchall()
    assert sorted(name for (name,) in found) == ["base", "child", "item", "other"]
    assert workspace.run(*arguments).code == ExitCode.TARGET_EXISTS
