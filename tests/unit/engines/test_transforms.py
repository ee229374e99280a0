"""What of a file is changed or left out on its way into a server: on text, without any server."""

import tracemalloc
from dataclasses import replace

import pytest
from tests.unit.engines.texts_and_rules import MYSQL, Kept, load, look, my, pg, transforms

from vya_backupdb.engines.loader import FileLoader
from vya_backupdb.engines.loading import LoadOptions
from vya_backupdb.engines.my_statements import MyReader
from vya_backupdb.engines.pg_statements import PgReader


def test_missing_roles_are_named_once_or_skipped() -> None:
    text = b"""ALTER TABLE a OWNER TO "gh""ost"; ALTER TABLE b OWNER TO "gh""ost"; GRANT ALL ON a TO reader, postgres;
    CREATE TABLE t (a int);"""
    asked = look(pg(LoadOptions()), text)
    assert ['"gh"ost"' in one.message for one in asked.refusals] == [True, False]
    assert "--users" in asked.refusals[0].hint
    assert look(pg(LoadOptions(roles=frozenset({'gh"ost', "reader"}))), text).refusals == ()
    texts, done = load(pg(LoadOptions(owners="skip")), text)
    assert texts == [b"GRANT ALL ON a TO postgres", b"CREATE TABLE t (a int)"]
    assert transforms(done) == {"owner": 2, "grant": 1}


def test_a_missing_role_takes_nothing_from_those_beside_it() -> None:
    """A policy that restricts others, too, was left out as a whole, and they saw more than before."""
    text = b"""CREATE POLICY p ON s.t AS RESTRICTIVE FOR SELECT TO gone, postgres, "g,2" USING ((a TO b));
    CREATE POLICY q ON ONLY_T TO gone USING (true); COMMENT ON POLICY q ON only_t IS 'TO gone';
    COMMENT ON POLICY p ON s.t IS 'stays'; REVOKE SELECT ON t FROM GROUP gone, GROUP postgres CASCADE;
    GRANT SELECT ON t TO PUBLIC, gone; GRANT SELECT ON t TO postgres GRANTED BY gone;
    ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON TABLES FROM gone, PUBLIC;"""
    texts, done = load(pg(LoadOptions(owners="skip")), text)
    assert texts == [
        b"CREATE POLICY p ON s.t AS RESTRICTIVE FOR SELECT TO postgres USING ((a TO b))",
        b"COMMENT ON POLICY p ON s.t IS 'stays'",
        b"REVOKE SELECT ON t FROM postgres CASCADE",
        b"GRANT SELECT ON t TO PUBLIC",
        b"ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE ALL ON TABLES FROM PUBLIC",
    ]
    assert transforms(done) == {"grant": 7}


def test_who_acts_in_a_file_is_a_role_that_is_there_or_the_account_itself() -> None:
    """As pg_dump writes it with --use-set-session-authorization."""
    text = b"SET SESSION AUTHORIZATION 'postgres'; SET SESSION AUTHORIZATION DEFAULT; SET ROLE NONE; SET ROLE postgres;"
    assert look(pg(LoadOptions()), text).refusals == ()
    assert load(pg(LoadOptions()), text)[0] == [one.strip() for one in text.rstrip(b";").split(b";")]
    gone = b"SET SESSION AUTHORIZATION 'ghost'; SET ROLE ghost;"
    (refused,) = look(pg(LoadOptions()), gone).refusals
    assert 'the role "ghost"' in refused.message
    assert load(pg(LoadOptions(owners="skip")), gone)[0] == [b"RESET SESSION AUTHORIZATION", b"RESET ROLE"]


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
