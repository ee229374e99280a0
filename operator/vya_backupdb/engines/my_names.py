"""How accounts of MySQL and MariaDB are named, quoted, and told from those of the server itself."""

import re
from dataclasses import dataclass
from typing import Final

from vya_backupdb.domain.users_file import AccountKey, Kind
from vya_backupdb.engines.my_session import quote

#: Accounts that the server, or a provider of managed servers, makes for itself.
SYSTEM: Final = re.compile(
    r"mysql\.(?:sys|session|infoschema)|mariadb\.sys|rds(?:admin|repladmin|topmgr)|cloudsql.*|azure_superuser|PUBLIC"
)
BACKTICKED: Final = r"`(?:[^`]|``)*+`"
STRING: Final = r"'(?:[^'\\]|''|\\.)*+'"


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a role as the server lists it.

    `grants`: it may hand on what it may on the whole server; None where SHOW GRANTS is to be believed for that.
    """

    user: str
    host: str
    is_role: bool
    grants: bool | None = None

    @property
    def quoted(self) -> str:
        """The name as a statement has it; a MariaDB role has no host."""
        return quote(self.user) if self.is_role and not self.host else f"{quote(self.user)}@{quote(self.host)}"

    @property
    def key(self) -> AccountKey:
        """Who it is in a users file."""
        return AccountKey(self.user, self.host)

    @property
    def kind(self) -> Kind:
        """What it is in a users file."""
        return "role" if self.is_role else "user"
