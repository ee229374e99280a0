"""``.owner.json``: whose tree this is. Two instances that wrote into one tree would expire each other's backups.

The owner is the instance's name (``namespace/name``); a run by hand has none and is let in. The server's identity is
noted at the first run; another server behind the same instance may be a rebuilt one or a wrong address, so backups
go on and deletion stops until someone accepts it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vya_backupdb.domain.errors import StorageUnavailable, TreeOwnedByAnother
from vya_backupdb.storage.volume import Directory

NAME: Final = ".owner.json"
LIMIT_BYTES: Final = 1 << 16


class Owner(BaseModel):
    """The file. `hostname` and `database_id` are the exact names, of which the path may hold cut ones."""

    model_config = ConfigDict(extra="allow", frozen=True)

    version: Literal[1] = 1
    owner: str | None = None
    server_identity: str | None = None
    hostname: str
    database_id: str


def read_owner(directory: Directory) -> Owner | None:
    """Return what the instance's open `directory` says, or None if it says nothing yet. OSError as it comes.

    Raise StorageUnavailable if the file is damaged: then nobody knows whose tree it is.
    """
    found = directory.stat(NAME)
    if found is None:
        return None
    if found.st_size <= LIMIT_BYTES:
        with suppress(ValidationError):
            return Owner.model_validate_json(directory.read(NAME, limit=LIMIT_BYTES))
    raise StorageUnavailable(
        f"{directory.path / NAME} is damaged, so whose tree this is cannot be told",
        hint="Look who writes there, then restore the file or remove it: the next run writes it anew.",
    )


def claim(directory: Directory, ours: Owner) -> str:
    """Enter `ours`, or find ourselves entered; the caller holds the tree's lock. Return why deletion is frozen, or ''.

    Raise TreeOwnedByAnother.
    """
    found = read_owner(directory)
    if found is None:
        directory.replace(NAME, _json(ours))
        return ""
    require(found, ours.owner, directory.path)
    merged = found.model_copy(
        update={
            "owner": found.owner or ours.owner,
            "server_identity": found.server_identity or ours.server_identity,
        }
    )
    if merged != found:
        directory.replace(NAME, _json(merged))
    if ours.server_identity and merged.server_identity != ours.server_identity:
        return (
            f"another server answers than the one that made the backups in {directory.path}"
            f" (identity {ours.server_identity}, noted is {merged.server_identity})"
        )
    return ""


def require(found: Owner | None, name: str | None, root: Path) -> None:
    """Raise TreeOwnedByAnother if the tree at `root` is another instance's than `name`; a run by hand has no name."""
    if name and found is not None and found.owner and found.owner != name:
        raise TreeOwnedByAnother(
            f"{root} belongs to {found.owner}, not to {name}",
            hint="Give this instance another storage path, hostname or database id; to take over the tree of an"
            f" instance that is no more, remove its {NAME}.",
        )


def accept(directory: Directory, identity: str) -> None:
    """Note `identity` as the server of this tree from now on; the caller holds the tree's lock."""
    found = read_owner(directory)
    if found is not None:
        directory.replace(NAME, _json(found.model_copy(update={"server_identity": identity})))


def _json(owner: Owner) -> bytes:
    return owner.model_dump_json(indent=2).encode() + b"\n"
