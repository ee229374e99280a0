"""Which statements of a file belong to the tables that are asked for: on text, without any server."""

from tests.unit.engines.texts_and_rules import load, look, my, pg, transforms

from vya_backupdb.engines.loading import LoadOptions

PG_TABLES = rb"""SET work_mem = 1; CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a'); ALTER TYPE s.mood OWNER TO ghost;
CREATE TABLE s.a (id int); ALTER TABLE s.a OWNER TO postgres;
CREATE SEQUENCE s.a_seq; ALTER SEQUENCE s.a_seq OWNED BY s.a.id;
CREATE TABLE s.b (id int); CREATE SEQUENCE b_seq; ALTER SEQUENCE public.b_seq OWNED BY s.b.id;
CREATE VIEW s.v AS SELECT 1;
CREATE TABLE public.a (id int); ALTER TABLE s.b OWNER TO ghost; CREATE TABLE s.part (id int);
ALTER TABLE ONLY s.a ATTACH PARTITION s.part FOR VALUES IN (1);
ALTER TABLE ONLY s.a ALTER COLUMN id SET DEFAULT nextval('s.a_seq');
COPY s.a (id) FROM stdin;
1
\.
COPY s.b (id) FROM stdin;
1
2
\.
SELECT pg_catalog.setval('"s"."a_seq"', 5); SELECT pg_catalog.setval('public.b_seq', 5);
CREATE INDEX ai ON s.a USING btree (id); CREATE INDEX bi ON s.b (id); COMMENT ON INDEX s.ai IS 'x';
COMMENT ON INDEX s.bi IS 'x';
COMMENT ON COLUMN s.a.id IS 'x'; COMMENT ON COLUMN s.b.id IS 'y';
GRANT ALL ON TABLE s.a TO postgres; GRANT ALL ON s.b TO ghost;
CREATE TRIGGER t BEFORE UPDATE ON s.a FOR EACH ROW EXECUTE FUNCTION f();
CREATE TRIGGER t BEFORE UPDATE ON s.b EXECUTE FUNCTION f();
ALTER TABLE ONLY s.a ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES s.b(id);
ALTER TABLE ONLY s.a ADD CONSTRAINT p PRIMARY KEY (id);
"""


def test_one_table_of_a_postgresql_dump_comes_with_what_belongs_to_it() -> None:
    asked = LoadOptions(tables=("s.a",), surroundings=False)
    inspection = look(pg(asked), PG_TABLES)
    assert inspection.refusals == ()
    assert inspection.tables == ("public.a", "s.a", "s.b", "s.part")
    texts, done = load(pg(inspection.options), PG_TABLES)
    heads = [text.decode().split(" USING")[0] for text in texts]
    assert not [
        head for head in heads if "s.b" in head.replace("REFERENCES s.b", "") or "b_seq" in head or "bi" in head
    ]
    for wanted in (
        "CREATE TABLE s.a",
        "CREATE SEQUENCE s.a_seq",
        "CREATE TABLE s.part",
        "CREATE INDEX ai",
        "CREATE TRIGGER t",
    ):
        assert [head for head in heads if head.startswith(wanted)], wanted
    assert (done.rows, b"1\n" in texts, b"1\n2\n" in texts) == (1, True, False)
    assert not [head for head in heads if "public.a" in head or "CREATE SCHEMA" in head or "TYPE" in head]
    assert b'SELECT pg_catalog.setval(\'"s"."a_seq"\', 5)' in texts


def test_an_empty_target_gets_what_tables_stand_on_but_no_dangling_key() -> None:
    inspection = look(pg(LoadOptions(tables=("s.a",), owners="skip")), PG_TABLES)
    texts, done = load(pg(inspection.options), PG_TABLES)
    assert b"CREATE SCHEMA s" in texts
    assert not [text for text in texts if b"REFERENCES" in text or b"CREATE VIEW" in text]
    assert transforms(done)["reference"] == 1
    # only a role that is needed for what was chosen is missed
    assert [one.line for one in look(pg(LoadOptions(tables=("s.a",))), PG_TABLES).refusals] == [1]


def test_a_table_that_is_not_there_or_not_alone_is_refused() -> None:
    assert "lacks the table 'c'" in look(pg(LoadOptions(tables=("c",))), PG_TABLES).refusals[0].message
    ambiguous = look(pg(LoadOptions(tables=("a",), owners="skip")), PG_TABLES).refusals[0]
    assert "several tables 'a'" in ambiguous.message
    assert "public.a" in ambiguous.hint
    assert (
        "lacks the table 'c'" in look(my(LoadOptions(tables=("c",))), b"CREATE TABLE `a` (x int);").refusals[0].message
    )


def test_one_table_of_a_mysql_dump() -> None:
    text = b"""SET NAMES utf8mb4; CREATE SEQUENCE `q`; DROP TABLE IF EXISTS `a`; CREATE TABLE `a` (x int);
    LOCK TABLES `a` WRITE;
    INSERT INTO `a` VALUES (1); UNLOCK TABLES; CREATE TABLE `b` (x int); INSERT INTO `b` VALUES (2);
    CREATE VIEW v AS SELECT 1;
    CREATE TRIGGER ta BEFORE UPDATE ON `a` FOR EACH ROW SET @a=1;
    CREATE TRIGGER tb BEFORE UPDATE ON `b` FOR EACH ROW SET @a=1;
    CREATE PROCEDURE p() SELECT 1;"""
    inspection = look(my(LoadOptions(tables=("a",), surroundings=False)), text)
    texts, done = load(my(inspection.options), text)
    assert [one.split(b" (")[0] for one in texts] == [
        b"SET NAMES utf8mb4", b"DROP TABLE IF EXISTS `a`", b"CREATE TABLE `a`", b"LOCK TABLES `a` WRITE",
        b"INSERT INTO `a` VALUES", b"UNLOCK TABLES", b"CREATE TRIGGER ta BEFORE UPDATE ON `a` FOR EACH ROW SET @a=1",
    ]  # fmt: skip
    assert transforms(done) == transforms(inspection) == {"selection": 6}
