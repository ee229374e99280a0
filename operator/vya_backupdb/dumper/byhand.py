"""How to restore a backup without this program: a few shell commands, made of its metadata alone.

Each name is quoted for the shell and for SQL, because names of databases are hostile. What the commands leave out
(owner, privileges and settings of the database) stands in the metadata.
"""

import shlex

from vya_backupdb.domain.config import DatabaseType, Flavor
from vya_backupdb.domain.metadata import BackupMetadata
from vya_backupdb.storage.catalog import StoredBackup


def commands(stored: StoredBackup, *, target: str | None = None) -> tuple[str, ...]:
    """Return the commands that check `stored` and load it as `target` (default: its own name), in their order.

    None for a backup whose metadata cannot be trusted.
    """
    metadata = stored.metadata
    if metadata is None or metadata.file_info is None or stored.problem is not None:
        return ()
    name = metadata.backup_info.database_name if target is None else target
    program = "md5sum" if metadata.file_info.checksum_algorithm == "md5" else "sha256sum"
    head = (f"cd {shlex.quote(str(stored.path.parent))}", f"{program} -c {stored.files.checksum.name}")
    load = f"zcat {stored.files.data.name} | "
    if metadata.kind == "users":
        return (*head, f"zcat {stored.files.data.name} | less", load + _client(metadata, None))
    return (*head, _create(metadata, name), load + _client(metadata, name))


def _create(metadata: BackupMetadata, name: str) -> str:
    settings = metadata.database
    if metadata.backup_info.database_type is DatabaseType.POSTGRESQL:
        encoding = f" ENCODING {_text(settings.charset)}" if settings and settings.charset else ""
        quoted = '"' + name.replace('"', '""') + '"'
        return f"psql -X -d postgres -c {shlex.quote(f'CREATE DATABASE {quoted} TEMPLATE template0{encoding}')}"
    charset = f" CHARACTER SET {settings.charset}" if settings and settings.charset else ""
    collation = f" COLLATE {settings.collation}" if settings and settings.collation else ""
    statement = "CREATE DATABASE `" + name.replace("`", "``") + f"`{charset}{collation}"
    return f"{_program(metadata)} -e {shlex.quote(statement)}"


def _client(metadata: BackupMetadata, name: str | None) -> str:
    if metadata.backup_info.database_type is DatabaseType.POSTGRESQL:
        target = "postgres" if name is None else "dbname='" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return f"psql -X -v ON_ERROR_STOP=1 -d {shlex.quote(target)}"
    target = "" if name is None else f" --database={shlex.quote(name)}"
    return f"{_program(metadata)} --comments --binary-mode{target}"


def _program(metadata: BackupMetadata) -> str:
    return "mysql" if metadata.flavor is Flavor.MYSQL else "mariadb"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
