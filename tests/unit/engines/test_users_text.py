"""What is said of a users file when it is made."""

import pytest

from vya_backupdb.domain.users_file import AccountKey, Header, Statement, UsersFile
from vya_backupdb.engines.accounts import Read
from vya_backupdb.engines.users_text import users_dump


@pytest.mark.parametrize(
    ("sql", "warned"),
    [("ALTER ROLE \"a\" WITH LOGIN PASSWORD 's3cret'", False), ("ALTER ROLE \"a\" FROBNICATE 's3cret'", True)],
)
def test_a_statement_that_a_restore_would_refuse_is_told_at_once(sql: str, warned: bool) -> None:
    file = UsersFile({"product": "PostgreSQL"}, (Statement(Header(AccountKey("a")), sql),))

    made = users_dump(Read(file, ("kept",)), (), ())

    assert made.warnings[0] == "kept"
    assert ["FROBNICATE" in warning and "'a'" in warning for warning in made.warnings[1:]] == [True] * warned
    assert "s3cret" not in str(made.warnings)
