"""Backups of three products in one tree each, made without any server: their dumps are adopted."""

import secrets
from pathlib import Path
from typing import Final

from tests.unit.storage.support import NOW

from vya_backupdb.domain.config import AppConfig, DatabaseConfig, DatabaseType, StorageConfig
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.dumper.adopt import Order, adopt
from vya_backupdb.dumper.session import Tools, open_tree
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

DUMPS: Final = Path(__file__).parents[2] / "golden" / "dumps"
KINDS: Final = {"mariadb": DatabaseType.MYSQL, "mysql": DatabaseType.MYSQL, "postgresql": DatabaseType.POSTGRESQL}


def tools() -> Tools:
    """Tools that tell nobody anything, at the tests' own time."""
    return Tools(
        clock=lambda: NOW,
        redact=Redactor(),
        stop=Stop(),
        say=lambda _event: None,
        random_hex=lambda: secrets.token_hex(6),
    )


def config(base: Path, product: str) -> tuple[AppConfig, DatabaseConfig]:
    """A configuration of one instance, named after its product, that keeps its tree below `base`."""
    instance = DatabaseConfig(id=product, type=KINDS[product], host="nowhere.invalid", hostname="db")
    return AppConfig(databases=(instance,), storage=StorageConfig(base_path=str(base))), instance


def adopted(base: Path, product: str, file: Path | None = None) -> tuple[InstanceTree, StoredBackup]:
    """The tree with the adopted dump of `product` (or `file`) in it, as ``shop``."""
    app, instance = config(base, product)
    tree = open_tree(app, instance)
    order = Order(RunId("run-1"), file or DUMPS / f"{product}.sql", "shop", taken_at=NOW)
    return tree, adopt(app, instance, tree, tools(), order)
