"""A directory with a credentials store and its keyring, for the tests of the commands on them."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vya_backupdb.domain.credentials import parse_store
from vya_backupdb.storage.crypto import Keyring

PASSWORD = "p'a\"s\\s%w#o:r\nd$(x)`é"
OLD_HOST = "backup01.example"
Call = Callable[..., tuple[int, str, str]]


@dataclass
class Place:
    """A directory with a keyring of two keys, the old one behind, and a configuration of two servers."""

    root: Path
    old: str
    new: str

    @property
    def ring(self) -> Path:
        return self.root / "keyring"

    @property
    def store(self) -> Path:
        return self.root / "credentials.json"

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    def with_keys(self, *keys: str) -> None:
        self.ring.write_text("".join(f"{key}\n" for key in keys))
        self.ring.chmod(0o600)

    def configure(self, **credentials: Any) -> None:
        servers = [{"id": one, "type": "postgresql", "host": "db.example"} for one in ("shop", "crm")]
        place = {"path": str(self.store), "keyring": str(self.ring), **credentials}
        self.config.write_text(yaml.safe_dump({"databases": servers, "credentials": place}))

    def write(self, *entries: tuple[str, str], mode: int = 0o600, derivation: str = "none") -> bytes:
        """Write the store: an id, and the key that made its tokens."""
        made = [
            {"id": one, "username": token_of(key, f"user of {one}"), "password": token_of(key, PASSWORD)}
            for one, key in entries
        ]
        encryption = {"method": "fernet", "key_derivation": derivation, "version": "1.0"}
        self.store.write_text(json.dumps({"version": "1.0", "encryption": encryption, "credentials": made}))
        self.store.chmod(mode)
        return self.store.read_bytes()

    def opened(self, key: str) -> dict[str, tuple[str, str]]:
        """Return what the store holds, opened by one key alone."""
        store, ring = parse_store(self.store.read_bytes(), source="x"), Keyring([key], name="one key")
        return {
            one.id: (ring.decrypt(one.username, what="user"), ring.decrypt(one.password, what="password"))
            for one in store.credentials
        }


def token_of(key: str, text: str) -> str:
    return Keyring([key], name="test").encrypt(text)


def hostname_key(name: str) -> str:
    """The VYA tool's derivation, written down once more."""
    return base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()
