"""What is wrong with credentials, or will be: every place that the configuration names, looked at without any server.

Blocking is what keeps a backup from beginning, now or for one of the databases; the rest is advice. The most important
advice is negative: as long as an old key alone opens some token, that key must not be taken out of the keyring.
"""

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

from vya_backupdb.domain.config import AppConfig, CredentialsConfig, DatabaseConfig
from vya_backupdb.domain.credentials import CredentialsStore, is_token, parse_store
from vya_backupdb.domain.errors import BackupDBError
from vya_backupdb.domain.report import Finding
from vya_backupdb.storage.credentials import files_of, load_keyring, open_mode, read_file
from vya_backupdb.storage.crypto import Keyring
from vya_backupdb.storage.rotation import FIELDS

_ROTATE: Final = "Run 'vya-backupdb credentials rotate' before that key is taken out of the keyring."


def inspect(app: AppConfig, databases: Iterable[DatabaseConfig]) -> list[Finding]:
    """Return what is to be said about the credentials of `databases`, place by place."""
    places = dict.fromkeys(app.credentials_of(database) for database in databases)
    return [finding for place in places for finding in _Place(app, place).findings()]


class _Place:
    """One place of credentials, and who uses it."""

    def __init__(self, app: AppConfig, config: CredentialsConfig) -> None:
        self._config = config
        self._users = [one for one in app.databases if app.credentials_of(one) == config]

    def findings(self) -> Iterator[Finding]:
        """Yield them all; an error in one part hides no other part."""
        if self._config.key_derivation == "hostname-based":
            yield _advice(
                "HostnameDerivation",
                f"{self._config.path} may be opened by the name of a host, which is no secret",
                "Run 'vya-backupdb credentials import' or 'credentials rotate', then remove key_derivation.",
            )
        try:
            ring = yield from self._keyring()
            files = files_of(self._config)
        except BackupDBError as error:
            yield _of(error)
            return
        for file in files:
            yield from self._file(file, ring, stored=len(files) == 1)

    def _keyring(self) -> Generator[Finding, None, Keyring | None]:
        if self._config.encoding == "plain":
            return None
        if self._config.keyring is not None:
            yield from _mode(Path(self._config.keyring), blocking=False)
        return load_keyring(self._config)

    def _file(self, path: Path, ring: Keyring | None, *, stored: bool) -> Iterator[Finding]:
        try:
            data = read_file(path)
        except FileNotFoundError:
            yield Finding(reason="CredentialsMissing", message=f"{path} is not there; add it to the Secret")
            return
        except BackupDBError as error:
            yield _of(error)
            return
        yield from _mode(path, blocking=stored)
        if stored:
            yield from self._store(path, data, ring)
        elif ring is not None:
            yield from self._token(str(path), data.decode("ascii", "replace").strip(), ring)

    def _store(self, path: Path, data: bytes, ring: Keyring | None) -> Iterator[Finding]:
        try:
            store = parse_store(data, source=str(path))
        except BackupDBError as error:
            yield _of(error)
            return
        yield from self._entries(path, store)
        if ring is None:
            return
        for entry in store.credentials:
            for field in FIELDS:
                yield from self._token(f"{path}, {entry.id}.{field}", getattr(entry, field), ring)

    def _entries(self, path: Path, store: CredentialsStore) -> Iterator[Finding]:
        entries = {entry.id for entry in store.credentials}
        for database in self._users:
            if database.id not in entries:
                yield Finding(
                    reason="NoEntry",
                    message=f"{path} has no entry for the database id {database.id!r}; add one",
                    blocking=database.enabled,
                )
        for stranger in store.strangers(database.id for database in self._users):
            yield _advice(
                "NoDatabase",
                f"{path} has an entry {stranger!r}, but no configured database has that id",
                "Correct the id, or remove the entry.",
            )

    def _token(self, where: str, token: str, ring: Keyring) -> Iterator[Finding]:
        if not is_token(token):
            yield Finding(
                reason="NoToken",
                message=f"{where} holds no Fernet token; encrypt the value with 'vya-backupdb credentials encrypt'",
            )
            return
        opener = ring.opener(token)
        if opener is None:
            yield Finding(
                reason="NoKeyOpens",
                message=f"no key of {ring.name} opens {where}; add the key that made it, or encrypt the value anew",
            )
        elif opener > 0:
            yield _advice("OldKey", f"only key {opener + 1} of {ring.name} opens {where}", _ROTATE)


def _mode(path: Path, *, blocking: bool) -> Iterator[Finding]:
    try:
        mode = open_mode(path)
    except OSError:
        return  # that it cannot be read is told by whoever reads it
    if mode is not None:
        message = f"{path} has the mode {mode:04o}: others may read it (Run 'chmod 0600 {path}'.)"
        yield Finding(reason="OpenToOthers", message=message, blocking=blocking)


def _advice(reason: str, message: str, hint: str) -> Finding:
    return Finding(reason=reason, message=f"{message} ({hint})", blocking=False)


def _of(error: BackupDBError) -> Finding:
    return Finding(reason=error.exit_code.reason, message=str(error))
