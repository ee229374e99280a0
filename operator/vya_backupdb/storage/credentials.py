"""User and password of a server, from mounted files: a directory (a Secret) or a ``credentials.json``.

- A directory holds one file for the user and one for the password (`CredentialsConfig.username_key`, `password_key`),
  or a ``credentials.json``. Kubernetes makes these files symbolic links through ``..data``: they are followed.
- Encoding ``fernet``: each file holds a token; blanks and newlines around it do not matter.
- Encoding ``plain``: the file is the value, byte for byte, but for one newline at its very end, which editors, ``echo``
  and ``kubectl create secret --from-file`` leave there. A value that itself ends in a newline is written with two.
- A ``credentials.json`` outside a mounted Secret must be readable by its owner only (mode 0600).

Messages name files, keys and fields; never a value.
"""

import functools
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vya_backupdb.domain.config import CredentialsConfig
from vya_backupdb.domain.credentials import Credentials, is_token, parse_store
from vya_backupdb.domain.errors import CredentialsMissing, CredentialsUnreadable
from vya_backupdb.storage.aside import aside

if TYPE_CHECKING:
    from vya_backupdb.storage.crypto import Keyring

__all__ = ["Credentials", "files_of", "is_mounted_secret", "is_store", "load", "load_keyring", "open_mode", "read_file"]

STORE_NAME: Final = "credentials.json"
LIMIT_BYTES: Final = 1 << 20


def load(config: CredentialsConfig, database_id: str) -> Credentials:
    """Return the credentials of the server `database_id`, as `config` says.

    Raise CredentialsMissing naming the file or Secret key that is absent, CredentialsUnreadable naming the one that
    cannot be used and what to do.
    """
    files = files_of(config)
    if len(files) == 1:
        read = functools.partial(_from_store, files[0], config, database_id)
    else:
        read = functools.partial(_from_directory, Path(config.path), config)
    return aside(read) if config.encoding == "fernet" else read()


def files_of(config: CredentialsConfig) -> tuple[Path, ...]:
    """Return the files that `config` points to: one store, or the user's and the password's.

    Raise CredentialsMissing if there is nothing at all, CredentialsUnreadable if it may not be looked at.
    """
    path = Path(config.path)
    try:
        if path.is_dir():
            if (path / STORE_NAME).exists() and not (path / config.username_key).exists():
                return (path / STORE_NAME,)
            return path / config.username_key, path / config.password_key
        if path.exists():
            return (path,)
    except OSError as error:
        raise _unreadable(path, error) from None
    raise CredentialsMissing(
        f"the credentials {path} are not there",
        hint=f"Make the Secret with the keys {config.username_key} and {config.password_key}, or the file.",
    )


def is_store(data: bytes) -> bool:
    """Whether a file's bytes are those of a ``credentials.json``; no token and no key begins like one."""
    return data.lstrip()[:1] in {b"{", b"["}


def _unreadable(path: Path, error: OSError) -> CredentialsUnreadable:
    return CredentialsUnreadable(
        f"{path} cannot be read: {(error.strerror or '').lower()}", hint="Let the user of this process read it."
    )


def _from_directory(path: Path, config: CredentialsConfig) -> Credentials:
    keyring = load_keyring(config) if config.encoding == "fernet" else None
    values = []
    for key in (config.username_key, config.password_key):
        data = _read_key(path, key)
        values.append(_plain(path / key, data) if keyring is None else _opened(keyring, path / key, data))
    if not values[0]:
        raise CredentialsUnreadable(f"{path / config.username_key} is empty", hint="Put the user's name there.")
    return Credentials(*values)


def _read_key(path: Path, key: str) -> bytes:
    if "/" in key or key in {"", ".", ".."}:
        raise CredentialsUnreadable(f"the credentials' key {key!r} is no file name", hint="Name a key of the Secret.")
    try:
        return read_file(path / key)
    except FileNotFoundError:
        raise CredentialsMissing(
            f"the key {key!r} is missing in {path}", hint=f"Add the key {key!r} to the Secret that is mounted there."
        ) from None


def _plain(path: Path, data: bytes) -> str:
    try:
        return data.removesuffix(b"\n").decode()
    except UnicodeError:
        raise CredentialsUnreadable(f"{path} does not hold UTF-8 text", hint="Write the value in UTF-8.") from None


def _opened(keyring: "Keyring", path: Path, data: bytes) -> str:
    token = data.decode("ascii", "replace").strip()
    if not is_token(token):
        raise CredentialsUnreadable(
            f"{path} holds no Fernet token",
            hint="Encrypt the value with 'vya-backupdb credentials encrypt', or say encoding: plain.",
        )
    return keyring.decrypt(token, what=str(path))


def _from_store(path: Path, config: CredentialsConfig, database_id: str) -> Credentials:
    if config.encoding == "plain":
        raise CredentialsUnreadable(
            f"{path} holds Fernet tokens, but the configured encoding is plain",
            hint="Say encoding: fernet, or give a directory with one file for each value.",
        )
    _check_mode(path)
    try:
        store = parse_store(read_file(path), source=str(path))
    except FileNotFoundError:
        raise CredentialsMissing(f"the credentials {path} are not there", hint="Make the file.") from None
    entry = store.of(database_id, source=str(path))
    keyring = load_keyring(config)
    where = f"{path}, entry {database_id!r},"
    return Credentials(
        keyring.decrypt(entry.username, what=f"{where} username"),
        keyring.decrypt(entry.password, what=f"{where} password"),
    )


def _check_mode(path: Path) -> None:
    """Raise CredentialsUnreadable if others may read the file."""
    mode = open_mode(path)
    if mode is not None:
        raise CredentialsUnreadable(
            f"{path} has the mode {mode:04o}: others may read it", hint=f"Run 'chmod 0600 {path}'."
        )


def open_mode(path: Path) -> int | None:
    """Return the mode of a file that others than its owner may reach, None for one that is closed.

    A mounted Secret has the modes that kubelet gives it, and is closed by the pod. OSError as it comes.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    return mode if mode & 0o077 and not is_mounted_secret(path) else None


def is_mounted_secret(path: Path) -> bool:
    """Whether kubelet keeps the file `path`, which then cannot be written to."""
    # kubelet's mark lies at the root of the volume; the Jobs' volume holds the Secret in a directory below it
    return any((parent / "..data").is_symlink() for parent in path.parents)


def load_keyring(config: CredentialsConfig) -> "Keyring":
    """Return the keys that open the tokens: those of the keyring, then the one derived from the old host name.

    Raise CredentialsMissing if there are none, CredentialsUnreadable if a line of the keyring is no key.
    """
    from vya_backupdb.storage.crypto import Keyring, legacy_key  # 6 MiB, which a run does without

    derived = legacy_key(config.legacy_hostname or "") if config.key_derivation == "hostname-based" else None
    if config.keyring is None:
        if derived is None:
            raise CredentialsMissing(
                "the credentials are Fernet tokens, but no keyring is configured",
                hint="Set credentials.keyring to the file with the keys, or say encoding: plain.",
            )
        return Keyring([derived], name=f"the key derived from the host name {config.legacy_hostname!r}")
    keyring = Keyring.load(Path(config.keyring))
    return keyring if derived is None else keyring.with_key(derived)


def read_file(path: Path) -> bytes:
    """Return the file's bytes. FileNotFoundError as it comes; CredentialsUnreadable for anything else."""
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > LIMIT_BYTES:
        raise CredentialsUnreadable(f"{path} is larger than {LIMIT_BYTES} bytes", hint="Put the value alone there.")
    return data
