"""What of a file is refused, what is changed on its way, and what is chosen: on text, without any server."""

import tracemalloc
from dataclasses import replace

import pytest

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.engines.loader import FileInspector, FileLoader
from vya_backupdb.engines.loading import Inspection, LoadOptions, LoadResult
from vya_backupdb.engines.my_statements import MyReader
from vya_backupdb.engines.my_transforms import MyFacts, MyRules
from vya_backupdb.engines.pg_statements import PgReader
from vya_backupdb.engines.pg_transforms import PgFacts, PgRules

PG = PgFacts(frozenset({"client_encoding", "search_path", "work_mem"}), frozenset({"postgres"}))
MARIADB = MyFacts(
    mariadb=True, version=110806, sets_definers=True, folds_names=False,
    variables=frozenset({"sql_mode", "character_set_client", "collation_connection", "note_verbosity", "time_zone"}),
    collations=frozenset({"utf8mb4_bin", "utf8mb4_uca1400_ai_ci", "latin1_swedish_ci", "utf8mb4_unicode_ci"}),
)  # fmt: skip
MYSQL = replace(MARIADB, mariadb=False, version=90704, collations=frozenset({"utf8mb4_0900_ai_ci", "utf8mb4_bin"}))


class Kept:
    """A target that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []

    def execute(self, text: bytes) -> None:
        self.texts.append(text)

    def copy(self, text: bytes) -> None:
        self.texts.append(text)

    def rows(self, data: bytes) -> None:
        self.texts.append(data)

    def copied(self) -> int:
        return self.texts[-1].count(b"\n")

    def finish(self) -> None:
        """Nothing waits here."""

    def cancel(self) -> None:
        raise NotImplementedError


def pg(options: LoadOptions) -> PgRules:
    return PgRules(options, PG)


def my(options: LoadOptions, facts: MyFacts = MARIADB, target: str = "copy") -> MyRules:
    return MyRules(options, facts, target)


def look(rules: PgRules | MyRules, text: bytes) -> Inspection:
    reader = PgReader() if isinstance(rules, PgRules) else MyReader(1 << 30)
    inspector = FileInspector(reader, rules)
    inspector.feed(text)
    return inspector.result()


def load(rules: PgRules | MyRules, text: bytes) -> tuple[list[bytes], LoadResult]:
    reader, kept = PgReader() if isinstance(rules, PgRules) else MyReader(1 << 30), Kept()
    loader = FileLoader(reader, rules, kept, database="copy", redact=str)
    loader.feed(text)
    return kept.texts, loader.finish()


def transforms(found: Inspection | LoadResult) -> dict[str, int]:
    return {one.name: one.count for one in found.transforms}


PG_REFUSED = [
    rb"\! touch x", rb"\copy t from 'x'", rb"SELECT 1 \gexec", rb"\connect postgres", rb"\i x", rb"\restrict a b",
    b"ALTER SYSTEM SET work_mem = 1", b"alter /* x */ system reset all", b"CREATE DATABASE x", b"DROP DATABASE x",
    b'ALTER DATABASE "x" SET work_mem = 1', b"CREATE ROLE x", b"CREATE USER x", b"ALTER ROLE postgres SUPERUSER",
    b"DROP OWNED BY postgres", b"CREATE TABLESPACE x LOCATION '/x'", b"GRANT postgres TO postgres",
    b"GRANT ALL ON DATABASE x TO postgres", b"GRANT SET ON PARAMETER x TO postgres", b"COMMENT ON DATABASE x IS ''",
    b"COMMENT ON ROLE postgres IS ''", b"COPY t FROM PROGRAM 'touch x'", b"COPY t FROM '/etc/passwd'",
    b"COPY t TO stdout", b"COPY (SELECT 1) TO PROGRAM 'x'", b"LOAD 'x'", b"PREPARE TRANSACTION 'x'",
    b"COMMIT PREPARED 'x'", b"CHECKPOINT", b"REASSIGN OWNED BY postgres TO postgres", b"LISTEN x", b"ghost",
]  # fmt: skip
PG_PASSED = [
    b"SET work_mem = 1", b"SET my.own = 1", b"SET SESSION work_mem TO 2", b"SET TIME ZONE 'UTC'", b"DO $$ BEGIN END $$",
    b"CREATE USER MAPPING FOR postgres SERVER s", b'ALTER TABLE "t" OWNER TO "postgres"', b"GRANT ALL ON t TO PUBLIC",
    b"COMMENT ON TABLE t IS 'DROP DATABASE x'", b"COMMIT", b"CREATE POLICY p ON t TO postgres USING (a)",
    b"ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA s GRANT ALL ON TABLES TO postgres",
    b"GRANT SELECT ON TABLE t TO postgres WITH GRANT OPTION", b"SELECT pg_catalog.setval('s', 1, true)",
]  # fmt: skip
MY_REFUSED = [
    b"USE mysql", b"SET GLOBAL x = 1", b"SET @@global.time_zone = 1", b"SET time_zone = 1, GLOBAL x = 1", b"KILL 1",
    b"SET PERSIST time_zone = 1", b"SET PASSWORD = 'x'", b"SET STATEMENT time_zone=1 FOR DROP DATABASE x",
    b"LOAD DATA INFILE '/x' INTO TABLE t", b"SELECT 1 INTO OUTFILE 'x'", b"SELECT 1 INTO DUMPFILE 'x'",
    b"CREATE DATABASE y", b"DROP /*!99999 TABLE x */ SCHEMA mysql", b"CREATE /*!50003 TABLE */ `mysql`.`x` (a int)",
    b"INSERT INTO `mysql`.`user` VALUES (1)", b"insert into mysql.user select 1", b"UPDATE mysql . user SET a=1",
    b"DELETE FROM mysql.user", b"DROP TABLE IF EXISTS a, b.c", b"RENAME TABLE a TO mysql.a", b"TRUNCATE mysql.user",
    b"ALTER TABLE a RENAME TO mysql.a", b"ALTER TABLE a EXCHANGE PARTITION p WITH TABLE mysql.b", b"CREATE USER x",
    b"GRANT ALL ON *.* TO x", rb"\! touch x", b"system touch x", b"source x", b"PREPARE s FROM 'x'", b"SHUTDOWN",
    b"EXECUTE IMMEDIATE 'DROP DATABASE x'", b"CREATE FUNCTION f RETURNS int SONAME 'x.so'", b"FLUSH PRIVILEGES",
    b"CREATE FUNCTION `(` RETURNS int SONAME 'x.so'",
    b"START SLAVE", b"INSTALL PLUGIN x SONAME 'x'", b"BEGIN NOT ATOMIC DROP DATABASE x", b"RESET MASTER",
    b"CREATE TRIGGER mysql.t BEFORE INSERT ON mysql.user FOR EACH ROW SET @a=1", b"LOCK TABLES mysql.user WRITE",
    b"CREATE TRIGGER t BEFORE INSERT ON mysql.user FOR EACH ROW SET @a=1", b"ALTER DATABASE other CHARACTER SET latin1",
    b"CREATE OR REPLACE VIEW mysql.v AS SELECT 1", b"CHANGE MASTER TO MASTER_HOST='x'", b"XA COMMIT 'x'",
    b"/*M!100000 DROP DATABASE x */", b"/*!40000 DROP */ /* TABLE */ DATABASE x", b"ALTER INSTANCE RELOAD TLS",
]  # fmt: skip
MY_PASSED = [
    b"SET NAMES utf8mb4", b"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='' */", b"UNLOCK TABLES",
    b"LOCK TABLES `t` WRITE, `t` AS `x` READ", b"DROP TABLE IF EXISTS `t`", b"INSERT INTO `t` VALUES (1,'USE mysql')",
    b"INSERT INTO `t` (`a`) VALUES (1.5)", b"/*!40000 ALTER TABLE `t` DISABLE KEYS */", b"/*!50700 DROP DATABASE x */",
    b"CREATE TABLE `copy`.`t` (a int)", b"CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES other.p (a))",
    b"SELECT SETVAL(`s`, 5, 0)", b"DO SETVAL(`s`, 5, 0)", b"CALL p()",
    b"CREATE DEFINER=`a`@`b` PROCEDURE `p`() SELECT 1", b"CREATE PROCEDURE p() SELECT 1 INTO OUTFILE 'x'",
    b"CREATE FUNCTION `f`() RETURNS int RETURN (SELECT soname FROM t)",
    b"ALTER DATABASE copy CHARACTER SET latin1", b"BEGIN", b"START TRANSACTION", b"COMMIT",
]  # fmt: skip


@pytest.mark.parametrize("line", PG_REFUSED)
def test_refused_by_postgresql(line: bytes) -> None:
    text = b"SELECT 1;\n" + line + (b"\n" if b"\\" in line else b";\n")
    inspection = look(pg(LoadOptions(source="shop")), text)
    assert [one.line for one in inspection.refusals] == [2], inspection
    with pytest.raises(RestoreFailed, match="line 2 "):
        inspection.require_loadable("the file")
    with pytest.raises(RestoreFailed, match="line 2 "):
        load(pg(LoadOptions(source="shop")), text)


@pytest.mark.parametrize("line", PG_PASSED)
def test_passed_by_postgresql(line: bytes) -> None:
    assert look(pg(LoadOptions()), line + b";").refusals == ()
    assert load(pg(LoadOptions()), line + b";")[0] == [line]


@pytest.mark.parametrize("line", MY_REFUSED)
def test_refused_by_mysql(line: bytes) -> None:
    text = b"SELECT 1;\n" + line + b";\n"
    inspection = look(my(LoadOptions(source="shop")), text)
    assert [one.line for one in inspection.refusals] == [2], inspection
    with pytest.raises(RestoreFailed, match="line 2 "):
        load(my(LoadOptions(source="shop")), text)


@pytest.mark.parametrize("line", MY_PASSED)
def test_passed_by_mysql(line: bytes) -> None:
    assert look(my(LoadOptions()), line + b";").refusals == ()
    assert load(my(LoadOptions()), line + b";")[0] == [line.replace(b"`copy`.`t`", b"`copy`.`t`")]


def test_missing_roles_are_named_once_or_skipped() -> None:
    text = b"""ALTER TABLE a OWNER TO "gh""ost"; ALTER TABLE b OWNER TO "gh""ost"; GRANT ALL ON a TO reader, postgres;
    CREATE TABLE t (a int);"""
    asked = look(pg(LoadOptions()), text)
    assert ['"gh"ost"' in one.message for one in asked.refusals] == [True, False]
    assert "--users" in asked.refusals[0].hint
    assert look(pg(LoadOptions(roles=frozenset({'gh"ost', "reader"}))), text).refusals == ()
    texts, done = load(pg(LoadOptions(owners="skip")), text)
    assert texts == [b"CREATE TABLE t (a int)"]
    assert transforms(done) == {"owner": 2, "grant": 1}


def test_settings_that_the_server_does_not_know_are_left_out() -> None:
    texts, done = load(pg(LoadOptions()), b"SET transaction_timeout = 0; SET work_mem = 1;")
    assert (texts, transforms(done)) == ([b"SET work_mem = 1"], {"setting": 1})
    assert "transaction_timeout" in done.transforms[0].sentence
    texts, done = load(
        my(LoadOptions(), MYSQL), b"SET NOTE_VERBOSITY_2 = 0; SET @a = @@unheard, time_zone = 1; SET @b = 1;"
    )
    assert (texts, transforms(done)) == ([b"SET @b = 1"], {"setting": 2})


def test_one_database_of_a_foreign_file_is_loaded_under_any_name() -> None:
    text = rb"""\connect postgres
DROP DATABASE IF EXISTS "shop"; CREATE DATABASE shop; ALTER DATABASE shop OWNER TO nobody;
\connect -reuse-previous=on "dbname='shop'"
CREATE TABLE t (a int); COMMENT ON DATABASE shop IS 'x';
"""
    inspection = look(pg(LoadOptions(foreign=True)), text)
    assert (inspection.refusals, inspection.databases) == ((), ("shop",))
    assert load(pg(inspection.options), text)[0] == [b"CREATE TABLE t (a int)"]
    text = (
        b"CREATE DATABASE `shop`; USE shop; CREATE TABLE shop.t (a int); INSERT INTO `shop`.`t` VALUES (1); USE `shop`;"
    )
    inspection = look(my(LoadOptions(foreign=True)), text)
    assert (inspection.refusals, inspection.databases) == ((), ("shop",))
    texts, done = load(my(inspection.options), text)
    assert texts == [b"CREATE TABLE t (a int)", b"INSERT INTO `t` VALUES (1)"]
    assert transforms(done) == {"database": 3, "qualified": 2} == transforms(inspection)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pg", b"CREATE DATABASE a; CREATE DATABASE b;"), ("pg", b"CREATE TABLE t (a int);\n\\connect a\n"),
        ("pg", b"\\c a\nCREATE TABLE t (a int);\n\\c b\n"), ("my", b"USE a; CREATE TABLE t (a int); USE b;"),
        ("my", b"CREATE TABLE t (a int); USE a;"), ("my", b"USE a; INSERT INTO b.t VALUES (1);"),
        ("pg", b"\\c a postgres otherhost\n"), ("pg", b"\\c `touch x`\n"), ("pg", b"\\c \"host=evil dbname=x\" u\n"),
    ],
)  # fmt: skip
def test_a_foreign_file_of_two_databases_is_refused(kind: str, text: bytes) -> None:
    options = LoadOptions(foreign=True)
    assert look(pg(options) if kind == "pg" else my(options), text).refusals


def test_definers_are_kept_where_the_account_may_set_them() -> None:
    trigger = b"TRIGGER `g` BEFORE UPDATE ON `t` FOR EACH ROW SET @a=1"
    text = b"/*!50003 CREATE*/ /*!50017 DEFINER=`r``t`@`%`*/ /*!50003 " + trigger + b" */;"
    without = text.replace(b"DEFINER=`r``t`@`%`", b"")[:-1]
    assert load(my(LoadOptions()), text)[0] == [text[:-1]]
    texts, done = load(my(LoadOptions(definers="drop")), text)
    assert (texts, transforms(done)) == ([without], {"definer": 1})
    assert load(my(LoadOptions(), replace(MYSQL, sets_definers=False)), text)[0] == [without]


def test_collations_that_the_server_lacks_become_the_nearest() -> None:
    text = b"CREATE TABLE t (a text COLLATE utf8mb4_0900_ai_ci COMMENT 'collate utf8mb4_x') COLLATE=utf8mb4_0900_bin;"
    texts, done = load(my(LoadOptions()), text)
    assert texts == [
        b"CREATE TABLE t (a text COLLATE utf8mb4_uca1400_ai_ci COMMENT 'collate utf8mb4_x') COLLATE=utf8mb4_bin"
    ]
    assert transforms(done) == {"collation": 2}
    assert load(my(LoadOptions(), MYSQL), b"SET collation_connection = utf8mb4_uca1400_ai_ci;")[0] == [
        b"SET collation_connection = utf8mb4_0900_ai_ci"
    ]
    assert "ujis_ci" in look(my(LoadOptions()), b"CREATE TABLE t (a text) COLLATE ujis_ci;").refusals[0].message


def test_what_names_the_source_follows_to_the_copy_or_is_refused() -> None:
    options = LoadOptions(source="src")
    table = b"CREATE TABLE `t` (`a` int DEFAULT nextval(`src`.`s`) COMMENT '`src`.`s`')"
    text = table + b"; ALTER DATABASE `src` CHARACTER SET latin1;"
    texts, done = load(my(options), text)
    assert texts == [table.replace(b"(`src`.", b"("), b"ALTER DATABASE `copy` CHARACTER SET latin1"]
    assert transforms(done) == {"sequence": 1, "alter-database": 1}
    assert b"".join(load(my(options, target="src"), text)[0]) == text.replace(b"; ", b"")[:-1]
    for body in (b"select * from `src`.`t`", b"select `src`.`f`(1)", b"select `src`.`t`.`a` from (`src`.`t`)"):
        assert "names the database 'src'" in look(my(options), b"CREATE VIEW v AS " + body + b";").refusals[0].message
        assert look(my(options, target="src"), b"CREATE VIEW v AS " + body + b";").refusals == ()
    # loaded beside, to become the source's name again
    text = b"CREATE VIEW v AS select `src`.`f`(1);ALTER DATABASE src CHARACTER SET latin1;"
    seen = look(my(options, target="src"), text)
    beside = [b"CREATE VIEW v AS select `src`.`f`(1)", b"ALTER DATABASE `vya_0` CHARACTER SET latin1"]
    assert load(my(seen.options, target="vya_0"), text)[0] == beside
    # a view counts by what is loaded with it, as a table does; what else counts runs where it ends
    text = b"CREATE VIEW v AS select nextval(`src`.`s`) AS `a`,'nextval(`src`.`s`)' AS `b`;"
    counting = [text.replace(b"(`src`.", b"(", 1)[:-1]]
    assert load(my(options), text)[0] == load(my(seen.options, target="vya_0"), text)[0] == counting
    for call in (b"NEXTVAL(src.s)", b"NEXT VALUE FOR src.s"):
        text = b"CREATE FUNCTION f() RETURNS int RETURN " + call + b";"
        assert "names the database 'src'" in look(my(options), text).refusals[0].message
        assert look(my(seen.options, target="vya_0"), text).refusals == ()
    # a table may have the database's name
    assert look(my(options), b"CREATE VIEW v AS select `src`.`a` AS `a` from `src`;").refusals == ()


def test_lines_about_replication_and_the_sandbox_are_left_out() -> None:
    text = rb"""/*M!999999\- enable the sandbox mode */
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN; SET @@SESSION.SQL_LOG_BIN= 0;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'x:1-5'; SELECT 1;"""
    texts, done = load(my(LoadOptions(), MYSQL), text)
    assert (texts, transforms(done)) == ([b"SELECT 1"], {"sandbox": 1, "replication": 3})


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


@pytest.mark.parametrize("kind", ["pg", "my"])
def test_memory_is_bounded_by_a_statement_and_not_by_the_file(kind: str) -> None:
    """300 MiB pass: rows of a COPY, one of which is 100 MiB long; or one INSERT of 1 MiB after another."""

    class Nothing(Kept):
        def execute(self, text: bytes) -> None:
            self.texts = [text[:1]]

        def rows(self, data: bytes) -> None:
            self.texts = [data[:1]]

    rules = pg(LoadOptions()) if kind == "pg" else my(LoadOptions())
    reader = PgReader() if kind == "pg" else MyReader(1 << 30)
    loader = FileLoader(reader, rules, Nothing(), database="copy", redact=str)
    head, piece = (b"COPY t FROM stdin;\n", b"1\tabcdefg\n" * 104857) if kind == "pg" else (b"", b"")
    piece = piece or b"INSERT INTO `t` VALUES " + b"(1,'abc\\'d'),\n" * 75000 + b"(2,'x');\n"
    loader.feed(head)
    tracemalloc.start()
    try:
        for number in range(300):
            loader.feed(b"x" * (1 << 20) if kind == "pg" and number < 100 else piece)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
