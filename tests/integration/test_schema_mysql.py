"""MariaDB 10.11 and 11.8, MySQL 9.7: the schema survives dump and restore, and any one change shows by name."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import pymysql
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import Rig, rig
from tests.fixtures.my_mutations import BASE, MARIADB_BASE, MUTATIONS
from tests.fixtures.scratch_databases import MYSQL_EVERYTHING, Make, mysql_databases, run
from tests.servers import Server
from tests.strategies.my_schemas import my_schemas

from vya_backupdb.domain import schema

VERSIONS = ("mariadb:10.11", "mariadb:11.8", "mysql:9.7")
EXAMPLES = 6
#: Without shrinking: each example makes, dumps and restores a database.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(params=VERSIONS)
def my(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Rig:
    """Each server, with the clients that we ship."""
    return rig(servers(request.param), shipped_clients())


@pytest.fixture
def make() -> Iterator[Make]:
    """Databases that are dropped afterwards."""
    with mysql_databases() as making:
        yield making


def _restored(my: Rig, source: str, target: str) -> tuple[schema.Schema, schema.Schema]:
    dumped = my.dump(source)
    my.restore(dumped.sql, target, dumped.snapshot.settings)
    return my.engine.schema(source), my.engine.schema(target)


@settings(derandomize=True, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(statements=my_schemas())
def test_a_schema_survives_dump_and_restore(my: Rig, make: Make, statements: list[str]) -> None:
    for name in ("generated", "generated again"):
        my.server.sql(f"DROP DATABASE IF EXISTS `{name}`")
    _run(my.server, make(my.server, "generated"), statements)
    before, after = _restored(my, "generated", make(my.server, "generated again", exists=False))
    assert schema.listed(schema.diff(before, after)) == ""
    assert before.structure_hash == after.structure_hash
    assert before.definition_hash == after.definition_hash
    assert before.labels_hash == after.labels_hash


def _run(server: Server, database: str, statements: Sequence[str]) -> None:
    """Execute the statements, but for the few that do not fit what was drawn before, or this product."""
    refused = []
    with contextlib.closing(server.connect(database)) as connection, connection.cursor() as cursor:
        for statement in statements:
            try:
                cursor.execute(statement)
            except pymysql.Error as error:
                refused.append(f"{statement}: {error}")
    # a schema whose first table the server does not take leaves nothing to be compared
    assume(len(refused) < len(statements) * 2 / 3)


def test_everything_has_the_same_hash_when_restored(my: Rig, make: Make) -> None:
    source = make(my.server, "hashed", *MYSQL_EVERYTHING)
    if my.server.product == "mariadb":
        run(my.server, source, *MARIADB_BASE)
    before, after = _restored(my, source, make(my.server, "hashed again", exists=False))
    assert schema.diff(before, after) == ()
    assert before.structure_hash == after.structure_hash


def test_every_single_change_shows_and_names_its_object(my: Rig, make: Make) -> None:
    mariadb = my.server.product == "mariadb"
    source = make(my.server, "mutations", *BASE, *(MARIADB_BASE if mariadb else ()), options="CHARACTER SET utf8mb4")
    before = my.engine.schema(source)
    wrong = []
    for product, statement, *expected in MUTATIONS:
        if product not in {"", my.server.product}:
            continue
        run(my.server, source, statement)
        after = my.engine.schema(source)
        named = [f"{one.kind} {'.'.join(one.name)}" for one in schema.diff(before, after)]
        roots = [getattr(before, f"{facet}_hash") != getattr(after, f"{facet}_hash") for facet in schema.FACETS]
        if named != sorted(expected) or not any(roots):
            wrong.append((statement, named))
        before = after
    assert not wrong, "\n".join(map(str, wrong))


def test_what_changes_without_a_change_of_the_schema_does_not_show(my: Rig, make: Make) -> None:
    source = make(my.server, "quiet", "CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, b varchar(9), KEY (b))")
    before = my.engine.schema(source)
    for statement in ("INSERT INTO t (b) VALUES ('x'), ('y')", "ANALYZE TABLE t", "OPTIMIZE TABLE t", "TRUNCATE t"):
        run(my.server, source, statement)
        assert schema.diff(before, my.engine.schema(source)) == ()


def test_the_name_of_the_database_is_no_part_of_its_schema(my: Rig, make: Make) -> None:
    """Nor is it taken for one where it stands as a column, an alias or a text."""
    statements = (
        "CREATE TABLE t (`own.name` int PRIMARY KEY, b int, FOREIGN KEY (b) REFERENCES t (`own.name`))",
        "CREATE VIEW v AS SELECT t.`own.name`, 'own.name' AS `x`, '`own.name`.`t`' AS y FROM t JOIN t AS u USING (b)",
        "CREATE VIEW w AS SELECT `x` FROM v WHERE `x` <> (SELECT MAX(`own.name`) FROM t)",
    )
    one, other = make(my.server, "own.name", *statements), make(my.server, "another` one", *statements)
    assert schema.diff(my.engine.schema(one), my.engine.schema(other)) == ()
