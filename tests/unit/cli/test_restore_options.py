"""The options of ``restore``: which fit each other, which fit the server, and that groups are spread as they stand."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from vya_backupdb.cli.frame import grouped
from vya_backupdb.cli.restore_options import Accounts, ClaimOptions, Names, Where, Which, request_of
from vya_backupdb.domain.config import DatabaseConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.ids import run_id
from vya_backupdb.domain.users_plan import OnExisting
from vya_backupdb.dumper.restore_request import Request, WithUsers


def _server(kind: str) -> DatabaseConfig:
    return DatabaseConfig.model_validate({"id": "main", "type": kind, "host": "db"})


def _request(
    kind: str = "postgresql", *, names: Names | None = None, accounts: Accounts | None = None, **which: Any
) -> Request:
    chosen = Which(**{"database": "shop", **which})
    return request_of(
        run_id("run-1"), _server(kind), chosen, Where(), names or Names(), accounts or Accounts(), ClaimOptions()
    )


def test_owners_and_definers_belong_to_one_product_each() -> None:
    assert _request(names=Names(owners="skip")).owners == "skip"
    assert _request("mysql", names=Names(definers="drop")).definers == "drop"
    with pytest.raises(ConfigurationError, match="--owners is for PostgreSQL, and main is mysql"):
        _request("mysql", names=Names(owners="skip"))
    with pytest.raises(ConfigurationError, match="--definers is for MySQL and MariaDB, and main is postgresql"):
        _request(names=Names(definers="drop"))


def test_what_excludes_each_other_is_named() -> None:
    with pytest.raises(ConfigurationError, match="--before and --backup"):
        _request(before="2026-11-21T03:00:00Z", backup="shop_20261121_030000_full")
    with pytest.raises(ConfigurationError, match="--database is missing"):
        _request(database=None)
    with pytest.raises(ConfigurationError, match="go together"):
        ClaimOptions(claim="a.b").taken()


def test_users_go_with_a_whole_database_of_the_tree(tmp_path: Path) -> None:
    wanted = _request(accounts=Accounts(users=True, exclude_user=["tmp_*"])).users
    assert wanted == WithUsers(OnExisting.SKIP, ("tmp_*",))
    with pytest.raises(ConfigurationError, match="go with --users only"):
        _request(accounts=Accounts(users_on_existing=OnExisting.REPLACE))
    with pytest.raises(ConfigurationError, match="whole database"):
        _request(accounts=Accounts(users=True), table=["item"])
    (tmp_path / "foreign.sql").write_text("SELECT 1;")
    with pytest.raises(ConfigurationError, match="named by its path"):
        _request(accounts=Accounts(users=True), backup=str(tmp_path / "foreign.sql"))


def test_the_same_command_asks_for_the_same() -> None:
    assert _request().asked == _request().asked
    assert _request(names=Names(owners="skip")).asked != _request().asked
    assert _request(accounts=Accounts(users=True)).asked != _request().asked


def test_a_group_is_spread_into_its_options() -> None:
    @grouped
    def command(which: Which, names: Names) -> int:
        return len(which.table or ()) + (names.owners == "skip")

    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["database", "backup", "before", "table", "owners", "definers"]
    assert parameters["owners"].default == "require"
    given = {name: one.default for name, one in parameters.items()}
    assert command(**{**given, "table": ["a", "b"], "owners": "skip"}) == 3
