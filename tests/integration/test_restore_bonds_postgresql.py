"""PostgreSQL: what binds a database to its place, and an account that may make none, are refusals in the plan."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients import clients_of
from tests.fixtures.restoring import Restoring, restoring
from tests.servers import Server

from vya_backupdb.domain.errors import RestoreRefused


@pytest.fixture
def server(servers: Any) -> Iterator[Server]:
    """A server that prepares transactions and decodes its log."""
    arguments = ("-c", "max_prepared_transactions=2", "-c", "wal_level=logical")
    with servers.own("postgres:17", arguments=arguments) as own:
        yield own


def as_account(one: Restoring, root: Path, user: str, password: str) -> None:
    """Let the instance be used by another account."""
    (root / "credentials-demo" / "username").write_text(user)
    (root / "credentials-demo" / "password").write_text(password)


def test_each_bond_is_named_with_its_remedy_and_the_remedies_do(server: Server, tmp_path: Path) -> None:
    one = restoring(tmp_path, "postgresql", clients_of("postgres:17"), demo=server)
    server.sql("CREATE ROLE weak LOGIN PASSWORD 'pw'; GRANT pg_read_all_data TO weak")
    server.sql("CREATE DATABASE shop OWNER weak")
    server.sql("CREATE TABLE item AS SELECT n FROM generate_series(1, 9) n", database="shop")
    one.back_up("shop")
    server.sql("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')", database="shop")
    with server.connect("shop") as connection:
        connection.execute("BEGIN; INSERT INTO item VALUES (10); PREPARE TRANSACTION 'half ''way'")
    before = server.sql("SELECT oid, datname, datallowconn FROM pg_database ORDER BY 1")
    with pytest.raises(RestoreRefused, match=r"prepared transactions: half 'way.*replication slots: slot") as caught:
        one.restore("shop", "replace")
    assert "ROLLBACK PREPARED" in caught.value.hint
    as_account(one, tmp_path, "weak", "pw")
    said = [refusal.message for refusal in one.plan(one.request("shop", "replace")).refusals]
    assert any("lacks CREATEDB" in message for message in said)
    with pytest.raises(RestoreRefused, match="lacks CREATEDB"):
        one.restore("beside", database="shop")
    assert server.sql("SELECT oid, datname, datallowconn FROM pg_database ORDER BY 1") == before
    assert one.session().tree.undertakings().all() == []
    as_account(one, tmp_path, server.user, server.password)
    server.sql("ROLLBACK PREPARED 'half ''way'", database="shop")
    server.sql("SELECT pg_drop_replication_slot('slot')")
    one.restore("shop", "replace")
    assert server.sql("SELECT count(*) FROM item", database="shop") == [(9,)]
