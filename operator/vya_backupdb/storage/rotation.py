"""Tokens made anew: `rotate` with the primary key of a keyring, `imported` from the key that a host's name gave.

Rotating touches only what an older key opens. A token that the primary key opens stays as it is, byte for byte, so that
a second run changes nothing; one that no key opens stays, too, and is named. Importing is all or nothing: a file in
which one entry of many is missing would be found out on the day when that entry is needed. No value is ever told.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from vya_backupdb.domain.config import CredentialsConfig
from vya_backupdb.domain.credentials import CredentialsStore, Encryption, StoredCredentials, is_token, parse_store
from vya_backupdb.domain.errors import ConfigurationError, CredentialsMissing, CredentialsUnreadable
from vya_backupdb.storage import rewrite
from vya_backupdb.storage.credentials import files_of, is_mounted_secret, is_store, read_file
from vya_backupdb.storage.crypto import Keyring

FIELDS: Final = ("username", "password")


class Fate(StrEnum):
    """What became of one token."""

    ROTATED = "rotated"
    CURRENT = "current"
    UNOPENED = "no key opens it"
    NO_TOKEN = "no token"  # noqa: S105 - a state


@dataclass(frozen=True, slots=True)
class Rotated:
    """One token: the file, its place there ('' in a file of one token, else ``shop.password``), what became of it."""

    path: Path
    place: str
    fate: Fate

    @property
    def stays_behind(self) -> bool:
        """Whether the primary key does not open it even now."""
        return self.fate in {Fate.UNOPENED, Fate.NO_TOKEN}


Change = Callable[[bytes], tuple[bytes, list[Rotated]]]


def files_below(path: Path) -> tuple[Path, ...]:
    """Return `path` itself, or the visible files of the directory `path`, in order of their names.

    Raise CredentialsMissing if there is none.
    """
    if not path.is_dir():
        return (path,)
    found = tuple(sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")))
    if not found:
        raise CredentialsMissing(f"{path} holds no file", hint="Name a credentials.json, or a directory of tokens.")
    return found


def rotatable(config: CredentialsConfig) -> tuple[Path, ...]:
    """Return the files of `config` that hold tokens; none if its values are plain."""
    return files_of(config) if config.encoding == "fernet" else ()


def rotate(path: Path, keyring: Keyring, *, dry_run: bool) -> list[Rotated]:
    """Encrypt each token of the file `path` with the primary key, and say what became of each.

    Nothing is written with `dry_run`, or if no token changes. Raise ConfigurationError for a mounted Secret, which
    cannot be written to; CredentialsMissing or CredentialsUnreadable if the file cannot be used, with nothing changed.
    """
    if not dry_run and is_mounted_secret(path.absolute()):
        raise ConfigurationError(
            f"{path} is a mounted Secret, which cannot be written to",
            hint="Rotate the file that the Secret is made from, with --path, and apply it.",
        )
    seen: list[Rotated] = []

    def change(data: bytes) -> bytes:
        rotated, rows = (_store if is_store(data) else _single)(path, data, keyring)
        seen[:] = rows
        return rotated

    if dry_run:
        change(_present(path))
    else:
        rewrite.update(path, change)
    return seen


def _present(path: Path) -> bytes:
    try:
        return read_file(path)
    except FileNotFoundError:
        raise CredentialsMissing(f"{path} is not there", hint="Correct the path.") from None


def _single(path: Path, data: bytes, keyring: Keyring) -> tuple[bytes, list[Rotated]]:
    token = data.decode("ascii", "replace").strip()
    if not is_token(token):
        return data, [Rotated(path, "", Fate.NO_TOKEN)]
    fate, made = _anew(token, keyring, str(path))
    # what stands around the token, a newline mostly, stays
    changed = data.replace(token.encode(), made.encode()) if fate is Fate.ROTATED else data
    return changed, [Rotated(path, "", fate)]


def _store(path: Path, data: bytes, keyring: Keyring) -> tuple[bytes, list[Rotated]]:
    store = parse_store(data, source=str(path))
    rows, entries = [], []
    for entry in store.credentials:
        made = {}
        for field in FIELDS:
            place = f"{entry.id}.{field}"
            fate, made[field] = _anew(getattr(entry, field), keyring, f"{path}, {place},")
            rows.append(Rotated(path, place, fate))
        entries.append(StoredCredentials(id=entry.id, **made))
    if all(row.fate is not Fate.ROTATED for row in rows):
        return data, rows
    # as long as one token is left that the ring does not open, the file says how that one may have been made
    behind = any(row.stays_behind for row in rows)
    return _with(store, entries, store.encryption if behind else Encryption()).to_json(), rows


def _anew(token: str, keyring: Keyring, what: str) -> tuple[Fate, str]:
    opener = keyring.opener(token)
    if opener is None:
        return Fate.UNOPENED, token
    return (Fate.CURRENT, token) if opener == 0 else (Fate.ROTATED, keyring.rotate(token, what=what))


def _with(store: CredentialsStore, entries: Iterable[StoredCredentials], encryption: Encryption) -> CredentialsStore:
    return store.model_copy(update={"credentials": tuple(entries), "encryption": encryption})


def imported(source: Path, legacy: Keyring, keyring: Keyring) -> CredentialsStore:
    """Return the store in the file `source`, whose tokens `legacy` opens, with every token made by `keyring`.

    Raise CredentialsMissing if there is no such file, CredentialsUnreadable naming every token that does not open.
    """
    store = parse_store(_present(source), source=str(source))
    tokens = [(f"{entry.id}.{field}", getattr(entry, field)) for entry in store.credentials for field in FIELDS]
    closed = [place for place, token in tokens if legacy.opener(token) is None]
    if closed:
        raise CredentialsUnreadable(
            f"{legacy.name} does not open {', '.join(closed)} of {source}; nothing was imported",
            hint="Give as --legacy-hostname what 'hostname' printed on the machine that made the file, to the letter.",
        )
    entries = [
        StoredCredentials(
            id=entry.id,
            **{
                field: keyring.encrypt(legacy.decrypt(getattr(entry, field), what=f"{entry.id}.{field}"))
                for field in FIELDS
            },
        )
        for entry in store.credentials
    ]
    return _with(store, entries, Encryption())
