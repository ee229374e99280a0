"""PostgreSQL: what a dump keeps otherwise, or not at all, and what becomes of a backup and a restore then."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from tests.fixtures import samples
from tests.fixtures.restoring import Restoring
from tests.servers import Server

from vya_backupdb.domain.schema import diff

#: Whatever else differs is a fault.
OTHERWISE = [
    "column public.plain.a (storage)",
    "index public.parted.parted_b (valid)",
    "materialized view public.filled (populated)",
]
#: What the catalogue holds of it that no dump does; and a parent alone that takes no NULL, and sees its child's.
STRANGE = """
CREATE TABLE stored (a text); ALTER TABLE stored ALTER a SET STORAGE EXTERNAL;
CREATE TABLE plain (a text); ALTER TABLE plain INHERIT stored;
CREATE TABLE shrunk (a int, b text) WITH (toast.autovacuum_enabled = off); ALTER TABLE shrunk DROP b;
CREATE COLLATION copied FROM "C";
CREATE MATERIALIZED VIEW emptied AS SELECT 1 AS a; CREATE MATERIALIZED VIEW filled AS SELECT * FROM emptied;
REFRESH MATERIALIZED VIEW emptied WITH NO DATA;
CREATE TABLE parted (a int, b int) PARTITION BY LIST (a); CREATE TABLE first PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE second PARTITION OF parted FOR VALUES IN (2); CREATE INDEX parted_b ON ONLY parted (b);
CREATE INDEX first_b ON first (b); ALTER INDEX parted_b ATTACH PARTITION first_b; DROP TABLE second;
CREATE SCHEMA "it's ""odd"".";
CREATE TABLE "it's ""odd""."."strict one" (id int, "n.u""ll" int);
CREATE TABLE loose () INHERITS ("it's ""odd""."."strict one"); INSERT INTO loose VALUES (1, NULL);
ALTER TABLE ONLY "it's ""odd""."."strict one" ALTER "n.u""ll" SET NOT NULL;
CREATE TABLE logins (who text);
CREATE FUNCTION logged() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.logins VALUES (user); END';
"""
#: Checks by functions: into a table whose rows come later, and made stricter than a row that is there.
CHECKED = """
CREATE TABLE zone (id int); INSERT INTO zone VALUES (1), (2);
CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM zone WHERE id = $1)';
CREATE FUNCTION small(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE TABLE area (z int CONSTRAINT known CHECK (known(z)), CONSTRAINT plain CHECK (z > 0));
INSERT INTO area VALUES (1);
COMMENT ON CONSTRAINT known ON area IS 'it''s in zone';
CREATE TABLE detail (n int CONSTRAINT sm CHECK (small(n)), CONSTRAINT known CHECK (known(z))) INHERITS (area);
CREATE TABLE split (k int, CONSTRAINT known CHECK (known(k))) PARTITION BY LIST (k);
CREATE TABLE split_2 PARTITION OF split FOR VALUES IN (2); INSERT INTO split VALUES (2);
INSERT INTO detail VALUES (2, 7);
CREATE OR REPLACE FUNCTION small(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 5';
"""
#: Rows that came past their key, as replication brings them.
PAST = """
CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE many (id int CONSTRAINT key REFERENCES one) PARTITION BY LIST (id);
CREATE TABLE many_7 PARTITION OF many FOR VALUES IN (7); COMMENT ON CONSTRAINT key ON many IS 'x';
SET session_replication_role = replica; INSERT INTO many VALUES (7);
"""
LOGGED = "CREATE EVENT TRIGGER seen ON login EXECUTE FUNCTION logged(); ALTER EVENT TRIGGER seen ENABLE ALWAYS"


@pytest.fixture(params=("postgres:15", "postgres:17"))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Iterator[Server]:
    """A shared server; whatever databases a test leaves are dropped."""
    with samples.swept(servers(request.param)) as server:
        yield server


def test_what_a_dump_keeps_otherwise_fails_no_restore(server: Server, one: Restoring) -> None:
    """By hand it is no different: a restore that fails for it would fail for ever."""
    samples.create_empty(server, "strange")
    server.sql(STRANGE + (LOGGED if server.version == "17" else ""), database="strange")
    one.back_up("strange")
    report = one.restore("copy", database="strange")
    assert report.exit_code == 0
    engine = one.session().engine
    found = [str(change) for change in diff(engine.schema("strange"), engine.schema("copy"))]
    assert found == OTHERWISE
    assert server.sql("SELECT * FROM ONLY loose", database="copy") == [(1, None)]


def test_rows_that_a_check_by_a_function_let_in_come_back(server: Server, one: Restoring) -> None:
    """By hand none of such a table comes in."""
    samples.create_empty(server, "checked")
    server.sql(CHECKED, database="checked")
    one.back_up("checked")
    report = one.restore("copy", database="checked")
    assert report.restored is not None
    (told,) = [note.sentence for note in report.restored.transforms if note.name == "unvalidated"]
    assert told.endswith(": sm of public.detail")
    engine = one.session().engine
    found = [str(change) for change in diff(engine.schema("checked"), engine.schema("copy"))]
    assert found == ["constraint public.detail.sm (validated, check)"]
    assert server.sql("SELECT * FROM detail", database="copy") == [(2, 7)]
    for statement in (
        "INSERT INTO area VALUES (3)",
        "INSERT INTO detail VALUES (1, 9)",
        "INSERT INTO split VALUES (9)",
    ):
        with pytest.raises(psycopg.IntegrityError):
            server.sql(statement, database="copy")


def test_rows_of_partitions_that_keep_no_key_come_back_without_it(server: Server, one: Restoring) -> None:
    """Below 18 no key of a partitioned table can be NOT VALID, as that of any other table."""
    samples.create_empty(server, "past")
    server.sql(PAST, database="past")
    one.back_up("past")
    report = one.restore("copy", database="past")
    assert report.restored is not None
    (told,) = [note.sentence for note in report.restored.transforms if note.name == "keyless"]
    assert told.endswith(": key of public.many")
    assert server.sql("SELECT * FROM many", database="copy") == [(7,)]
