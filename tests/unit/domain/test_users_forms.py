"""A users file that was edited: no statement but those that make the account of its header is ever executed."""

import pytest

from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Header, Part, Statement, UsersFile
from vya_backupdb.domain.users_forms import NOTHING, stray

APP = Header(AccountKey("app", "%"))
ROLE = Header(AccountKey('a"pp'))


def found(product: str, header: Header, sql: str) -> bool:
    """Whether the statement is found to be none of ours."""
    return stray(UsersFile({"product": product}, (Statement(header, NOTHING), Statement(header, sql)))) is not None


@pytest.mark.parametrize(
    "sql",
    [
        "DROP DATABASE shop",
        "ALTER USER `root`@`%` IDENTIFIED BY 'x'",
        "ALTER USER `app`@`%` IDENTIFIED BY 'x', `root`@`%` IDENTIFIED BY 'x'",
        "ALTER USER `app`@`%` IDENTIFIED BY 'x', root IDENTIFIED BY 'x'",
        "ALTER USER `app`@`%` IDENTIFIED BY 'x' /*! , root IDENTIFIED BY 'x' */",
        "CREATE USER IF NOT EXISTS `app`@`%`, 'other'@'%'",
        "CREATE USER IF NOT EXISTS `app`@`%` DEFAULT ROLE `dba`@`%`",
        "GRANT ALL ON *.* TO `app`@`%`, `other`@`%`",
        "GRANT ALL ON *.* TO `other`@`%`, `app`@`%`",
        "GRANT ALL /* ON *.* TO `x` */ ON *.* TO `app`@`%`",
        "GRANT ALL ON *.* TO `app`@`%` IDENTIFIED BY 'x'",
        "GRANT ALL ON *.* TO `app`@`localhost`",
        "REVOKE ALL ON *.* FROM `root`@`%`",
        "GRANT `dba`@`%` TO `app`@`%`, `other`@`%`",
        "SET DEFAULT ROLE ALL TO `root`@`%`",
        "SET GLOBAL read_only = 0",
        "SET PASSWORD FOR `app`@`%` = 'x'",
        "# `\nDROP DATABASE shop",
    ],
)
def test_what_is_smuggled_into_a_file_of_mysql_is_found(sql: str) -> None:
    assert found("MySQL", APP, sql)
    assert found("MariaDB", APP, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP DATABASE shop",
        'ALTER ROLE "postgres" WITH NOSUPERUSER',
        'ALTER ROLE "a""pp" RENAME TO "x"',
        "DO $vya$BEGIN DROP DATABASE shop; EXCEPTION WHEN duplicate_object THEN NULL; END$vya$",
        'DO $vya$BEGIN CREATE ROLE "a""pp"; DELETE FROM t; EXCEPTION WHEN duplicate_object THEN NULL; END$vya$',
        'DO $x$BEGIN CREATE ROLE "a""pp"; END$x$',
        'GRANT "dba" TO "a""pp", "other"',
        'GRANT SELECT ON TABLE "t" TO "a""pp"',
        'ALTER ROLE "a""pp" WITH PASSWORD \'x\' /* \' */ ; DROP DATABASE shop --',
        'ALTER ROLE "a""pp" SET "x" TO (SELECT 1)',
        "ALTER ROLE ALL SET \"x\" TO '1'",
        'GRANT CREATE ON DATABASE "d" TO PUBLIC',
        "COPY t TO PROGRAM 'x'",
    ],
)
def test_what_is_smuggled_into_a_file_of_postgresql_is_found(sql: str) -> None:
    assert found("PostgreSQL", ROLE, sql)


@pytest.mark.parametrize(
    ("product", "header", "sql"),
    [
        (
            "MySQL",
            APP,
            "CREATE USER IF NOT EXISTS `app`@`%` IDENTIFIED WITH 'a-b.c' AS 0x4142 REQUIRE NONE ACCOUNT LOCK",
        ),
        ("MariaDB", APP, "ALTER USER `app`@`%` IDENTIFIED VIA x USING 'a''`b' OR y WITH MAX_USER_CONNECTIONS -1"),
        ("MySQL", APP, "GRANT SELECT (`a``)b`, `c`), UPDATE (`x`) ON `d``b`.`t.t` TO `app`@`%` WITH GRANT OPTION"),
        ("MariaDB", Header(EVERYONE, "everyone", Part.GRANT), "GRANT SELECT ON `d`.* TO `PUBLIC`"),
        ("MariaDB", Header(AccountKey("r"), "role"), "GRANT `r``2` TO `r` WITH ADMIN OPTION"),
        ("PostgreSQL", ROLE, 'COMMENT ON ROLE "a""pp" IS  E\'x\\\\y\'\'\n-- z; "\''),
        ("PostgreSQL", ROLE, 'GRANT "; DROP" TO "a""pp" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE GRANTED BY "x y"'),
        ("PostgreSQL", Header(EVERYONE, "everyone"), "ALTER ROLE ALL SET \"a\".\"b\" TO 'x',  E'\\\\'"),
    ],
)
def test_what_we_write_is_not(product: str, header: Header, sql: str) -> None:
    assert not found(product, header, sql)
