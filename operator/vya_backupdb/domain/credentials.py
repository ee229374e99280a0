"""``credentials.json``: the CredentialsStore of the VYA tool, one entry for each database id, each value a token.

Nothing here opens a token. Messages name the field and never hold a value, not even a malformed one: what stands in
the place of a token may be the password itself.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from vya_backupdb.domain.config import DATABASE_ID
from vya_backupdb.domain.errors import CredentialsMissing, CredentialsUnreadable
from vya_backupdb.domain.faults import explain

_FERNET_VERSION: Final = 0x80
_FERNET_FIXED_BYTES: Final = 57  # version, time, initialisation vector, signature
_FERNET_BLOCK_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, in the clear. Their text form never shows the password."""

    username: str
    password: str = field(repr=False)


def is_token(text: str) -> bool:
    """Whether `text` has the form of a Fernet token."""
    if not re.fullmatch(r"[A-Za-z0-9_-]+={0,2}", text):
        return False
    try:
        raw = base64.urlsafe_b64decode(text)
    except (binascii.Error, ValueError):
        return False
    body = len(raw) - _FERNET_FIXED_BYTES
    return bool(raw) and raw[0] == _FERNET_VERSION and body >= _FERNET_BLOCK_BYTES and body % _FERNET_BLOCK_BYTES == 0


def _token(value: str) -> str:
    if not is_token(value):
        raise ValueError("is no Fernet token; make one with 'vya-backupdb credentials encrypt'")
    return value


def _database_id(value: str) -> str:
    if not DATABASE_ID.fullmatch(value):
        raise ValueError("may hold letters, digits and '-' only, as the id of a configured database does")
    return value


Token = Annotated[str, AfterValidator(_token)]


class Model(BaseModel):
    """Frozen; an unknown key is an error, and no value is ever shown."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Encryption(Model):
    """How the tokens were made."""

    method: Literal["fernet"] = "fernet"
    key_derivation: Literal["none", "keyring", "hostname-based"] = "none"
    version: str = "1.0"


class StoredCredentials(Model):
    """One server's user and password, both encrypted."""

    id: Annotated[str, AfterValidator(_database_id)]
    username: Token = Field(repr=False)
    password: Token = Field(repr=False)


class CredentialsStore(Model):
    """The whole file."""

    version: str = "1.0"
    encryption: Encryption = Encryption()
    credentials: tuple[StoredCredentials, ...]

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        ids = [entry.id for entry in self.credentials]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"the ids {', '.join(twice)} stand twice; each database needs one entry")
        return self

    def of(self, database_id: str, *, source: str) -> StoredCredentials:
        """Return the entry of `database_id`. Raise CredentialsMissing naming `source` if there is none."""
        for entry in self.credentials:
            if entry.id == database_id:
                return entry
        raise CredentialsMissing(
            f"{source} has no entry with the id {database_id!r}",
            hint="Add one: its values are made with 'vya-backupdb credentials encrypt'.",
        )

    def strangers(self, known: Iterable[str]) -> tuple[str, ...]:
        """Return the ids that no configured database of `known` has, in their order."""
        ids = set(known)
        return tuple(entry.id for entry in self.credentials if entry.id not in ids)

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        return (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode()


def parse_store(data: bytes, *, source: str) -> CredentialsStore:
    """Return the store in `data`. Raise CredentialsUnreadable naming `source` and each wrong field, but no value."""
    try:
        return CredentialsStore.model_validate_json(data)
    except ValidationError as error:
        raise CredentialsUnreadable(
            f"{source}: {explain(error)}", hint="Correct the named fields; see 'credentials check'."
        ) from None
