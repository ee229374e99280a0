"""Statements about accounts, rewritten for who executes them and where: hostile names change nothing of it."""

import pytest

from vya_backupdb.domain.users_file import AccountKey, Header, Part, Phase, Statement
from vya_backupdb.engines.accounts import GrantRow, without_literals
from vya_backupdb.engines.my_definitions import CREATE, replacing
from vya_backupdb.engines.my_grants import retarget, rows
from vya_backupdb.engines.pg_accounts import before_options, modest

TAIL = (
    " PASSWORD HISTORY 4 PASSWORD REUSE INTERVAL 9 DAY PASSWORD REQUIRE CURRENT OPTIONAL FAILED_LOGIN_ATTEMPTS 3"
    " PASSWORD_LOCK_TIME UNBOUNDED"
)


def test_who_is_no_superuser_does_not_say_what_only_superusers_may() -> None:
    sql = 'ALTER ROLE "a"" WITH NOSUPERUSER" WITH NOSUPERUSER INHERIT NOREPLICATION NOBYPASSRLS CONNECTION LIMIT -1'
    assert modest(sql) == 'ALTER ROLE "a"" WITH NOSUPERUSER" WITH INHERIT CONNECTION LIMIT -1'
    assert modest('ALTER ROLE "a" WITH SUPERUSER NOBYPASSRLS CONNECTION LIMIT 1').count("SUPERUSER") == 1
    assert modest('GRANT "NOSUPERUSER" TO "b"') == 'GRANT "NOSUPERUSER" TO "b"'


@pytest.mark.parametrize(
    ("sql", "older"),
    [
        ('GRANT "a" TO "b" WITH INHERIT TRUE, SET TRUE', 'GRANT "a" TO "b"'),
        ('GRANT "a" TO "b" WITH ADMIN TRUE, INHERIT TRUE, SET TRUE', 'GRANT "a" TO "b" WITH ADMIN OPTION'),
        ('GRANT "a" TO "b""" WITH INHERIT TRUE, SET TRUE GRANTED BY "c"', 'GRANT "a" TO "b""" GRANTED BY "c"'),
        ('GRANT "a" TO "b" WITH INHERIT FALSE, SET TRUE', 'GRANT "a" TO "b" WITH INHERIT FALSE, SET TRUE'),
        ('GRANT "x WITH INHERIT TRUE, SET TRUE" TO "b"', 'GRANT "x WITH INHERIT TRUE, SET TRUE" TO "b"'),
    ],
)
def test_memberships_for_servers_before_16(sql: str, older: str) -> None:
    assert before_options(sql) == older


def test_an_account_that_exists_is_altered_by_the_same_clauses() -> None:
    name = "`a`` PASSWORD EXPIRE`@`%`"
    assert replacing(f"{CREATE}{name} REQUIRE NONE PASSWORD EXPIRE DEFAULT") == (
        f"ALTER USER {name} REQUIRE NONE PASSWORD EXPIRE DEFAULT",
    )
    for clauses in (" ACCOUNT LOCK PASSWORD EXPIRE", f" PASSWORD EXPIRE ACCOUNT LOCK{TAIL}"):
        first, second = replacing(f"{CREATE}{name} REQUIRE SUBJECT ' PASSWORD EXPIRE'{clauses}")
        assert "REQUIRE SUBJECT ' PASSWORD EXPIRE' " in first
        assert first.count(" PASSWORD EXPIRE DEFAULT") == 1
        assert second == f"ALTER USER {name} PASSWORD EXPIRE"
    assert replacing("CREATE ROLE IF NOT EXISTS `r`") == ()
    assert replacing("ALTER USER `a`@`%` PASSWORD EXPIRE") == ("ALTER USER `a`@`%` PASSWORD EXPIRE",)


def grant(sql: str, database: str | None, phase: Phase = Phase.GRANTS) -> Statement:
    """Return a grant."""
    return Statement(Header(AccountKey("a", "%"), part=Part.GRANT, phase=phase, database=database), sql)


def test_a_grant_for_another_name_of_its_database() -> None:
    sql = "GRANT SELECT (`x`), INSERT ON `sh``op`.`sh``op` TO `sh``op`@`%` WITH GRANT OPTION"
    assert retarget(grant(sql, "sh`op"), "n_w`").sql == (
        "GRANT SELECT (`x`), INSERT ON `n_w```.`sh``op` TO `sh``op`@`%` WITH GRANT OPTION"
    )
    whole = retarget(grant("GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`", "shop"), "n_w")
    assert whole.sql == r"GRANT ALL PRIVILEGES ON `n\_w`.* TO `a`@`%`"
    assert whole.header.database == "n_w"
    other = grant("GRANT SELECT ON *.* TO `a`@`%`", None)
    assert retarget(other, "new") == other


def test_which_grants_hold_for_a_database() -> None:
    given = (
        grant("GRANT SELECT ON *.* TO `a`@`%`", None),
        grant(r"GRANT INSERT ON `sh\_op`.* TO `a`@`%` WITH GRANT OPTION", "sh_op"),
        grant("GRANT UPDATE ON `sh_op`.* TO `a`@`%`", "sh_op"),
        grant("GRANT DROP ON `sh%`.* TO `a`@`%`", "sh%"),
        grant("REVOKE DELETE ON `shXop`.* FROM `a`@`%`", "shXop"),
        grant("GRANT EXECUTE ON PROCEDURE `shXop`.`p` TO `a`@`%`", "shXop"),
        grant("GRANT PROXY ON `b`@`%` TO `a`@`%`", None),
    )
    assert [one.privileges for one in rows(given, "shXop")] == ["SELECT", "UPDATE", "DROP", "not DELETE", "EXECUTE"]
    assert [one.privileges for one in rows(given, "sh_op")] == ["SELECT", "INSERT", "UPDATE", "DROP"]
    assert rows(given, None)[-1] == GrantRow(AccountKey("a", "%"), "PROXY", "`b`@`%`")


def test_a_servers_words_lose_what_the_statement_held() -> None:
    said = without_literals("bad hash 0xABCDEF12 near 'SCRAM$x'", "ALTER `x` AS 0xABCDEF12", "mysql", str.lower)
    assert said == "bad hash [redacted] near 'scram$x'"
