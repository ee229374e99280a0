"""Which statements of a file are refused, and which pass as they are: on text, without any server."""

import pytest
from tests.unit.engines.texts_and_rules import load, look, my, pg

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.engines.loading import LoadOptions

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
    b"CREATE USER MAPPING FOR postgres SERVER s", b'CREATE USER MAPPING FOR "public" SERVER s',
    b'ALTER TABLE "t" OWNER TO "postgres"', b"GRANT ALL ON t TO PUBLIC",
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
