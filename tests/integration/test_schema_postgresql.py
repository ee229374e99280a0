"""PostgreSQL 15, 17 and 18: the schema is the same after dump and restore, and any one change shows, with its name."""

from collections.abc import Callable

import pytest
from hypothesis import given
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.engine_rig import Account, Rig
from tests.fixtures.pg_mutations import BASE, MUTATIONS
from tests.fixtures.rigs import POSTGRESQL
from tests.fixtures.schema_round_trip import assert_survives, few, generate, misnamed, restored
from tests.fixtures.scratch_databases import POSTGRESQL_EVERYTHING, Make
from tests.servers import Server
from tests.strategies.pg_schemas import pg_schemas

from vya_backupdb.domain import schema
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.engines import pg_schema, pg_session


@few
@given(statements=pg_schemas())
def test_a_schema_survives_dump_and_restore(pg: Rig, make: Make, statements: list[str]) -> None:
    """But for the few statements that do not fit what was drawn before."""
    refused = generate(pg, make, statements)
    assert len(refused) < len(statements) / 4, refused
    assert_survives(pg, make)


def test_everything_has_the_same_hash_when_restored(pg: Rig, make: Make) -> None:
    source = make(pg.server, "hashed", POSTGRESQL_EVERYTHING)
    before, after = restored(pg, source, make(pg.server, "hashed again", exists=False))
    assert schema.diff(before, after) == ()
    assert before.structure_hash == after.structure_hash


def test_text_that_a_restore_writes_otherwise_is_no_failure(pg: Rig, make: Make) -> None:
    """The server writes a list of varchar with other casts once it has read its own text."""
    source = make(pg.server, "in list", "CREATE TABLE t (a varchar(9) CONSTRAINT c CHECK (a IN ('x', 'y')))")
    before, after = restored(pg, source, make(pg.server, "in list again", exists=False))
    assert before.structure_hash == after.structure_hash
    assert before.definition_hash != after.definition_hash
    found = schema.compare(before, after)
    assert found.failures == ()
    assert [str(one) for one in found.warnings] == ["constraint public.t.c (check)"]
    third = restored(pg, "in list again", make(pg.server, "in list third", exists=False))[1]
    assert third.definition_hash == after.definition_hash


@pytest.fixture(params=("embedded", *POSTGRESQL[:2]))
def reader(
    request: pytest.FixtureRequest, embedded: EmbeddedServer, servers: Callable[[str], Server]
) -> pg_session.Server:
    """How the engine reaches the embedded server, and two older ones."""
    server = embedded if request.param == "embedded" else servers(request.param)
    config = DatabaseConfig(id="x", type="postgresql", host=server.host, port=server.port)
    return pg_session.Server(config, Account(server.user, server.password), str)


def test_every_single_change_shows_and_names_its_object(reader: pg_session.Server) -> None:
    with reader.session() as session:
        session.run("DROP DATABASE IF EXISTS mutations")
        session.run("CREATE DATABASE mutations")
    with reader.session("mutations") as session:
        session.run(BASE)
        before = pg_schema.read(session, "mutations")
        wrong = []
        for since, statement, *expected in MUTATIONS:
            if session.version < since:
                continue
            session.run("BEGIN")
            session.run(statement)
            after = pg_schema.read(session, "mutations")
            session.run("ROLLBACK")
            if (named := misnamed(before, after, expected)) is not None:
                wrong.append((statement, named))
        assert not wrong, "\n".join(map(str, wrong))
        assert schema.diff(before, pg_schema.read(session, "mutations")) == ()
    with reader.session() as session:
        session.run("DROP DATABASE mutations")


def test_what_changes_without_a_change_of_the_schema_does_not_show(pg: Rig, make: Make) -> None:
    source = make(
        pg.server, "quiet", "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY, b text); CREATE INDEX ON t (b)"
    )
    before = pg.engine.schema(source)
    with pg.server.connect(source) as connection:
        connection.execute("INSERT INTO t (b) SELECT 'x' FROM generate_series(1, 1000)")
        connection.execute("ALTER TABLE t ADD c int; ALTER TABLE t DROP c")
        connection.execute("CREATE TEMPORARY TABLE mine (a int)")
        for statement in ("ANALYZE t", "VACUUM FULL t", "REINDEX TABLE t"):
            connection.execute(statement)
        assert schema.diff(before, pg.engine.schema(source)) == ()
