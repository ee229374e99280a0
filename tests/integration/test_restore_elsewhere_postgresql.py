"""Backups restored where something else is set, or something is missing, than where they were made: no value changes.

What a dump needs of a server beside roles: the locale of its amounts of money, its tablespaces, and what its foreign
tables stand for. By hand psql would go on after an error there; we stop at errors, so these must be none.
"""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.clients import clients_of
from tests.fixtures.engine_rig import Rig
from tests.fixtures.restoring import Restoring, restoring
from tests.fixtures.scratch_databases import Make
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.engines.loading import LoadOptions

NAME = "postgres:17"
SOURCE = """
CREATE TABLE paid (amount money DEFAULT '1234.5'::numeric::money, words text[]) TABLESPACE elsewhere;
INSERT INTO paid SELECT one::numeric::money, ARRAY[NULL, 'NULL'] FROM unnest(ARRAY['1234.56', '-0.05']) one;
CREATE INDEX ON paid (amount) TABLESPACE elsewhere;
CREATE TABLE days (day timestamptz CHECK (day = date_trunc('day', day)), said text CHECK (said::date > '2000-01-01'));
INSERT INTO days VALUES ('31/01/2026', '31/12/2026');
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (parent int REFERENCES parents DEFERRABLE);
SET session_replication_role = replica;
INSERT INTO children VALUES (5);
RESET session_replication_role;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE USER MAPPING FOR PUBLIC SERVER files;
CREATE FOREIGN TABLE lines (line text) SERVER files OPTIONS (filename '/tmp/elsewhere.txt', format 'text');
CREATE MATERIALIZED VIEW filled AS SELECT amount FROM paid;
CREATE MATERIALIZED VIEW read AS SELECT line FROM lines;
CREATE MATERIALIZED VIEW read_again AS SELECT line FROM read;
CREATE UNIQUE INDEX ON read_again (line);
"""


@pytest.fixture
def server(servers: Callable[[str], Server]) -> Server:
    """A shared server."""
    return servers(NAME)


@pytest.fixture
def one(server: Server, tmp_path: Path) -> Restoring:
    """It, with its clients."""
    return restoring(tmp_path, "postgresql", clients_of(NAME), demo=server)


def values(server: Server, database: str) -> list[tuple[object, ...]]:
    return server.sql("SELECT amount::numeric, words, words[1] IS NULL FROM paid ORDER BY 1", database=database)


def test_what_the_target_lacks_or_sets_otherwise_changes_no_value(server: Server, one: Restoring, make: Make) -> None:
    source, target = make(server, "elsewhere"), make(server, "elsewhere again", exists=False)
    server.exec("sh", "-c", "echo line > /tmp/elsewhere.txt && chmod a+r /tmp/elsewhere.txt")
    with server.session() as run:
        run("ALTER DATABASE elsewhere SET lc_monetary = 'de_DE.utf8'")
        run("ALTER DATABASE elsewhere SET TimeZone = 'Pacific/Auckland'")
        run("ALTER DATABASE elsewhere SET DateStyle = 'SQL, DMY'")
        run("SET allow_in_place_tablespaces = on")
        run("CREATE TABLESPACE elsewhere LOCATION ''")
    server.sql(SOURCE, database=source)
    before = values(server, source)
    one.back_up(source)
    server.exec("rm", "/tmp/elsewhere.txt")
    with server.session() as run:
        run("DROP DATABASE elsewhere")
        run("DROP TABLESPACE elsewhere")
        run("ALTER ROLE postgres SET array_nulls = off")
    try:
        planned = one.plan(one.request(target, database=source))
        report = one.restore(target, database=source)
    finally:
        server.sql("ALTER ROLE postgres RESET array_nulls")
    assert [name.name for name in planned.inspection.transforms] == ["restrict", "tablespace"]
    assert values(server, target) == before
    assert report.exit_code == 0
    assert report.restored is not None
    done = {name.name: name.sentence for name in report.restored.transforms}
    assert set(done) == {"restrict", "tablespace", "refresh", "unvalidated"}
    assert "children_parent_fkey of public.children" in done["unvalidated"]
    assert server.sql("SELECT parent FROM children", database=target) == [(5,)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        server.sql("INSERT INTO children VALUES (6)", database=target)
    assert "public.read (could not open file" in done["refresh"]
    assert "public.read_again" in done["refresh"]
    populated = "SELECT relname, relispopulated FROM pg_class WHERE relkind = 'm' ORDER BY 1"
    assert server.sql(populated, database=target) == [("filled", True), ("read", False), ("read_again", False)]


def test_a_schema_public_that_was_dropped_does_not_come_back(server: Server, one: Restoring, make: Make) -> None:
    source, target = make(server, "unpublic"), make(server, "unpublic again", exists=False)
    server.sql("DROP SCHEMA public; CREATE SCHEMA own; CREATE TABLE own.t AS SELECT 1 AS a", database=source)
    one.back_up(source)
    assert one.restore(target, database=source).exit_code == 0
    seen = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
    assert server.sql(seen, database=target) == [("own",)]


def test_amounts_that_nobody_there_can_read_are_refused(pg17: Rig, make: Make) -> None:
    """In another locale '1.234' may be one and a bit: such a load must not end well."""
    options = LoadOptions(settings=("lc_monetary=xx_XX",))
    pg17.load(b"CREATE TABLE paid (amount int);", make(pg17.server, "no amounts"), options)
    with pytest.raises(RestoreFailed, match=r"no locale 'xx_XX' \(lc_monetary\).* paid\.amount holds"):
        pg17.load(b"CREATE TABLE paid (amount money);", make(pg17.server, "amounts"), options)
