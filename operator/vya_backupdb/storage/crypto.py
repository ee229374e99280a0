"""Fernet, and nothing but Fernet: the only module that imports ``cryptography``.

A keyring is a file with one key a line, the first of which encrypts and all of which decrypt: to rotate, put a new key
before the others, rewrite the tokens (`Keyring.rotate`), then take the old one out. No message here holds a key, a
token, or what a token holds.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from vya_backupdb.domain.errors import CredentialsMissing, CredentialsUnreadable

LIMIT_BYTES: Final = 1 << 20
_KEY_BYTES: Final = 32
_MAKE: Final = "Make a key with 'vya-backupdb keys generate'."


def generate_key() -> str:
    """Return a new key, from the system's random source."""
    return Fernet.generate_key().decode()


def legacy_key(hostname: str) -> str:
    """Return the key that the VYA tool derived from a host's name. A host name is no secret: for migration only."""
    return base64.urlsafe_b64encode(hashlib.sha256(hostname.encode()).digest()).decode()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _no_key(where: str) -> CredentialsUnreadable:
    return CredentialsUnreadable(f"{where}: no Fernet key (32 bytes in URL-safe base64)", hint=_MAKE)


class Keyring:
    """One or more keys, the first of which is primary. `name` is how messages speak of it."""

    def __init__(self, keys: Sequence[str], *, name: str) -> None:
        if not keys:
            raise CredentialsUnreadable(f"{name} holds no key", hint=_MAKE)
        wrong = [str(number) for number, key in enumerate(keys, 1) if not _is_key(key)]
        if wrong:
            raise _no_key(f"{name}, key {', '.join(wrong)}")
        self._keys = tuple(keys)
        self._fernets = [Fernet(key) for key in keys]
        self._fernet = MultiFernet(self._fernets)
        self.name = name

    def __repr__(self) -> str:
        return f"<Keyring {self.name}: {len(self._keys)} keys>"

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the keyring in the file `path`: one key a line; blank lines and lines that begin with '#' are skipped.

        Raise CredentialsMissing if there is no such file, CredentialsUnreadable naming each line that is no key.
        """
        lines = enumerate((line.strip() for line in _read(path).split("\n")), 1)
        keys = [(number, text) for number, text in lines if text and not text.startswith("#")]
        wrong = [str(number) for number, text in keys if not _is_key(text)]
        if wrong:
            raise _no_key(f"{path}, line {', '.join(wrong)}")
        return cls([text for _, text in keys], name=str(path))

    def with_key(self, key: str) -> Self:
        """Return the same keyring with `key` behind the others."""
        return type(self)((*self._keys, key), name=self.name)

    def encrypt(self, text: str) -> str:
        """Return a token of `text`, made with the primary key."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str, *, what: str) -> str:
        """Return the text in `token`. Raise CredentialsUnreadable naming `what` (a file, a field) if no key does."""
        try:
            return self._fernet.decrypt(token.strip().encode()).decode()
        except InvalidToken:
            raise CredentialsUnreadable(
                f"no key of {self.name} opens {what}",
                hint="Add the key that it was encrypted with to the keyring, or encrypt it anew with the primary key.",
            ) from None
        except UnicodeError:
            raise CredentialsUnreadable(f"{what} does not hold UTF-8 text", hint="Encrypt it anew.") from None

    def opener(self, token: str) -> int | None:
        """Return the place of the first key that opens `token` (0 is the primary one), None if none does."""
        for place, fernet in enumerate(self._fernets):
            try:
                fernet.decrypt(token.strip().encode())
            except InvalidToken:
                continue
            return place
        return None

    def rotate(self, token: str, *, what: str) -> str:
        """Return a token of the same text, made with the primary key now. Raise as `decrypt`."""
        return self.encrypt(self.decrypt(token, what=what))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise CredentialsMissing(
            f"the keyring {path} is not there", hint="Make the Secret (or the file) that holds the keys. " + _MAKE
        ) from None
    except OSError as error:
        why = (error.strerror or "").lower()
        raise CredentialsUnreadable(
            f"the keyring {path} cannot be read: {why}", hint="Let this user read it."
        ) from None
    if len(data) > LIMIT_BYTES:
        raise CredentialsUnreadable(f"the keyring {path} is larger than {LIMIT_BYTES} bytes", hint=_MAKE)
    return data.decode("ascii", "replace")
