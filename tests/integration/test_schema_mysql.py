"""MariaDB 10.11 and 11.8, MySQL 9.7: the schema survives dump and restore, and any one change shows by name."""

from hypothesis import assume, given
from tests.fixtures.engine_rig import Rig
from tests.fixtures.my_mutations import BASE, MARIADB_BASE, MUTATIONS
from tests.fixtures.schema_round_trip import assert_survives, few, generate, misnamed, restored
from tests.fixtures.scratch_databases import MYSQL_EVERYTHING, Make, run
from tests.strategies.my_schemas import my_schemas

from vya_backupdb.domain import schema


@few
@given(statements=my_schemas())
def test_a_schema_survives_dump_and_restore(my: Rig, make: Make, statements: list[str]) -> None:
    """But for the few statements that do not fit what was drawn before, or this product."""
    # a schema whose first table the server does not take leaves nothing to be compared
    assume(len(generate(my, make, statements)) < len(statements) * 2 / 3)
    assert_survives(my, make)


def test_everything_has_the_same_hash_when_restored(my: Rig, make: Make) -> None:
    source = make(my.server, "hashed", *MYSQL_EVERYTHING)
    if my.server.product == "mariadb":
        run(my.server, source, *MARIADB_BASE)
    before, after = restored(my, source, make(my.server, "hashed again", exists=False))
    assert schema.diff(before, after) == ()
    assert before.structure_hash == after.structure_hash


def test_every_single_change_shows_and_names_its_object(my: Rig, make: Make) -> None:
    mariadb = my.server.product == "mariadb"
    source = make(my.server, "mutations", *BASE, *(MARIADB_BASE if mariadb else ()), options="CHARACTER SET utf8mb4")
    before = my.engine.schema(source)
    wrong = []
    with my.server.session(source) as mutate:
        for product, statement, *expected in MUTATIONS:
            if product not in {"", my.server.product}:
                continue
            mutate(statement)
            after = my.engine.schema(source)
            if (named := misnamed(before, after, expected)) is not None:
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
