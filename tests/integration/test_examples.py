"""The examples' own init files on real servers: they load, and the grants in them are enough to back up and restore."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tests.clients import shipped_clients
from tests.fixtures.engine_rig import rig
from tests.servers import Server, Servers
from tests.tools.generate import ROOT

PASSWORD = 'it\'s a "test" \\ %s # : pass'
SERVERS = {
    "mariadb:11.8": ("40-mariadb.yaml", ("shop", "newsletter"), {"orders": 20_000, "customers": 3_000}),
    "postgres:17": ("41-postgresql.yaml", ("crm", "analytics"), {"public.tickets": 20_000, "web.views": 60_000}),
}


def _files(example: str) -> dict[str, bytes]:
    """Return what the ConfigMap and the Secret of an example become in a container, by path."""
    documents = yaml.safe_load_all((ROOT / "examples" / example).read_text())
    (data,) = (document["data"] for document in documents if document["kind"] == "ConfigMap")
    files = {f"/docker-entrypoint-initdb.d/{name}": text.encode() for name, text in data.items()}
    return {**files, "/run/secrets/backup/password": PASSWORD.encode()}


@pytest.mark.parametrize("image", SERVERS)
def test_least_grants_are_enough_for_a_backup_and_a_restore(servers: Callable[[str], Server], image: str) -> None:
    example, databases, expected = SERVERS[image]
    assert isinstance(servers, Servers)
    with servers.own(image, files=_files(example)) as server:
        backup = rig(server, shipped_clients(), user="backup", password=PASSWORD, host="127.0.0.1")
        assert {one.name for one in backup.engine.databases() if one.covered} == set(databases)
        found: dict[str, Any] = {}
        for database in databases:
            dumped = backup.dump(database)
            found.update(dumped.rows)
            target = f"{database}_back"
            backup.restore(dumped.sql, target, dumped.snapshot.settings)
            assert backup.dump(target).comparable == dumped.comparable
            backup.engine.drop(target)
    assert {table: found[table] for table in expected} == expected
