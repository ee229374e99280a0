"""The roles that a database's own attributes name: its owner, its grantees, and those with settings in it.

They stand in no dump of it, and the server must have them: either a restore is refused by their names before anything
is made, or they are left out as it was told. Leaving a grant out never gives anybody more than they had.
"""

from collections.abc import Collection, Iterator
from typing import Final

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.domain.metadata import DatabaseSettings
from vya_backupdb.engines.loading import Fitted, LoadOptions
from vya_backupdb.engines.pg_acl import parse_acl
from vya_backupdb.engines.pg_session import Session, name_list
from vya_backupdb.engines.transforms import Notes

_HINT: Final = "Load the users file of the same run first, or create these roles."
#: An access control list that grants nothing: without any the server's defaults would hold, and PUBLIC could connect.
_NOTHING: Final = "=/nobody"


def require(session: Session, settings: DatabaseSettings) -> None:
    """Raise RestoreFailed, naming them, if roles are missing that `settings` names."""
    missing = sorted(set(_named(settings)) - _roles(session))
    if missing:
        raise RestoreFailed(
            f"the server lacks roles that the database belongs or grants to: {name_list(missing)}", hint=_HINT
        )


def fitted(session: Session, settings: DatabaseSettings, options: LoadOptions) -> Fitted:
    """Return `settings` as this server can take them; see `base.Engine.fitted`."""
    known = _roles(session) | options.roles
    named = tuple(dict.fromkeys(_named(settings)))
    missing = tuple(name for name in named if name not in known)
    if not missing or options.owners == "require":
        return Fitted(settings, accounts=named, missing=missing)
    notes = Notes()
    for name in missing:
        notes.transform("database-role", f'"{name}"')
    kept = tuple(name for name in named if name in known)
    return Fitted(_without(settings, missing), notes.transforms(), accounts=kept)


def _without(settings: DatabaseSettings, missing: Collection[str]) -> DatabaseSettings:
    acl = tuple(item for item in settings.acl if parse_acl(item).grantee not in missing)
    changes = {
        "owner": None if settings.owner in missing else settings.owner,
        "acl": acl or ((_NOTHING,) if settings.acl else ()),
        "role_settings": {role: one for role, one in settings.role_settings.items() if role not in missing},
    }
    return settings.model_copy(update=changes)


def _named(settings: DatabaseSettings) -> Iterator[str]:
    grantees = (parse_acl(item).grantee for item in settings.acl)
    yield from filter(None, (settings.owner, *grantees, *settings.role_settings))


def _roles(session: Session) -> frozenset[str]:
    rows = session.rows("SELECT rolname FROM pg_catalog.pg_roles", "listing the roles")
    return frozenset(str(row["rolname"]) for row in rows)
