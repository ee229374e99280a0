"""What a call of the program loads: the modules of its own command and of its own product, and nothing heavy beside.

Half a second of every Job, and 30 MiB, go into modules; so what is not needed is named here, and not timed.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

_PROGRAM = """
import json, sys
from vya_backupdb.cli.app import run
code = run(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump([code, sorted(sys.modules)], file)
"""
NEVER = {
    "rich",
    "pydantic_settings",
    "pydantic.v1",
    "sqlalchemy.orm",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.mysql",
    "kopf",
    "kubernetes",
    "vya_backupdb.builders",
    "vya_backupdb.reconcile",
    "vya_backupdb.controller",
}
OF_A_RESTORE = {
    "vya_backupdb.cli.restore",
    "vya_backupdb.dumper.restore",
    "vya_backupdb.engines.loader",
    "vya_backupdb.engines.transforms",
    "vya_backupdb.engines.accounts",
    "vya_backupdb.domain.users_plan",
}
POSTGRESQL = {"psycopg", "vya_backupdb.engines.postgresql"}
#: PyMySQL loads it, too, for logins by RSA.
FOR_TOKENS = {"cryptography"}
MYSQL = {"pymysql", "vya_backupdb.engines.mysql"}


def loaded(folder: Path, *arguments: str, kind: str = "postgresql") -> tuple[int, set[str]]:
    """Run the program against a port where nobody listens; return its exit code, and what it has loaded."""
    (folder / "username").write_text("somebody")
    (folder / "password").write_text("something")
    config = {
        "databases": [{"id": "demo", "type": kind, "host": "127.0.0.1", "port": 1, "connect_timeout_seconds": 1}],
        "storage": {"base_path": str(folder / "backups")},
        "credentials": {"path": str(folder), "encoding": "plain"},
        "audit": {"enabled": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    environment = {"VYA_BACKUPDB_CONFIG": str(folder / "config.yaml"), "PYTHONPATH": ":".join(sys.path)}
    argv = (sys.executable, "-c", _PROGRAM, str(folder / "modules"), *arguments)
    subprocess.run(argv, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    code, modules = json.loads((folder / "modules").read_text())
    return code, set(modules)


@pytest.mark.parametrize(
    ("kind", "its", "others"), [("postgresql", POSTGRESQL, MYSQL | FOR_TOKENS), ("mysql", MYSQL, POSTGRESQL)]
)
def test_a_backup_loads_its_own_product_and_no_restore(
    tmp_path: Path, kind: str, its: set[str], others: set[str]
) -> None:
    code, modules = loaded(tmp_path, "backup", kind=kind)
    assert code, "there is no server"
    assert its <= modules, "it got as far as the server"
    assert modules & (NEVER | OF_A_RESTORE | others) == set()


def test_a_list_asks_no_server(tmp_path: Path) -> None:
    code, modules = loaded(tmp_path, "list", "--format", "json")
    assert code == 0
    assert modules & (NEVER | OF_A_RESTORE | POSTGRESQL | MYSQL | FOR_TOKENS | {"sqlalchemy"}) == set()
