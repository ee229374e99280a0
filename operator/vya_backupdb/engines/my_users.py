"""The accounts, roles and grants of MySQL and MariaDB as statements.

`my_definitions` gives the statement that makes an account, `my_grants` what it may do, memberships and default roles
come from the tables of the ``mysql`` schema. Names are quoted by us; what the server shows is taken only where it fits
a strict grammar around the name that we asked for, and what does not is left out with a warning.

An account that exists keeps its password when the file is loaded by hand: CREATE has IF NOT EXISTS.
"""

from collections.abc import Iterator
from typing import Any, Final

from vya_backupdb.domain.errors import NotFound, PrivilegeMissing
from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Header, Kind, Part, Statement, UsersFile
from vya_backupdb.engines.accounts import Read
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_definitions import Definitions
from vya_backupdb.engines.my_grants import privileges
from vya_backupdb.engines.my_names import SYSTEM, Account
from vya_backupdb.engines.my_session import Server, Session

_DOING: Final = "reading the accounts"
_HINT: Final = "Grant the account SELECT ON mysql.*, or switch the users file off for this instance."
_RECORDED: Final = ("mandatory_roles", "partial_revokes", "activate_all_roles_on_login")
#: Dropped meanwhile; or of a name that ends in spaces, which MariaDB's table drops, and its memory keeps.
_GONE: Final = (
    "the server lists it, and does not know it (it was dropped meanwhile; or its name ends in a space: after"
    " FLUSH PRIVILEGES it is that without the space)"
)
#: MariaDB's PUBLIC is a role of this name; nobody can make one.
_PUBLIC: Final = "PUBLIC"


def comments(product: Product) -> tuple[str, ...]:
    """Return how a person loads the file."""
    client = "mariadb" if product == "MariaDB" else "mysql"
    return (f"by hand: zcat FILE | {client} --comments --binary-mode --force; again after the databases",)


def preamble(product: Product) -> tuple[str, ...]:
    """Return what sets up a session: a mode that changes quoting, or lets GRANT make accounts, would change it all."""
    return ("SET NAMES utf8mb4", f"SET SESSION sql_mode = '{'NO_AUTO_CREATE_USER' if product == 'MariaDB' else ''}'")


def read(server: Server, product: Product, version: str) -> Read:
    """Return every account and role but the server's own. Raise PrivilegeMissing if they cannot be listed."""
    with server.session() as session:
        try:
            return _Reader(session, product, version).read()
        except PrivilegeMissing as error:
            names = _visible(session, product)
            if len(names) < 2:  # the account itself: a file of nobody else is no backup of anything
                raise PrivilegeMissing(error.message, hint=_HINT) from error
            return _names_only(names, product, version)


class _Reader:
    """One reading, over one session."""

    def __init__(self, session: Session, product: Product, version: str) -> None:
        self._session, self._product, self._version = session, product, version
        self._warnings: list[str] = []

    def read(self) -> Read:
        if self._product == "MySQL":
            # hashes of caching_sha2_password hold raw bytes; as text they would not survive
            self._session.execute("SET SESSION print_identified_with_as_hex = ON", "asking for hashes as hex")
        rows = _accounts(self._session, self._product)
        accounts = [one for one in rows if not SYSTEM.fullmatch(one.user) and self._can_be_told(one)]
        everyone = [one for one in rows if one.is_role and one.user == _PUBLIC and self._product == "MariaDB"]
        definitions = Definitions(self._session, self._product)
        made: list[Statement] = []
        owned: list[Statement] = []
        known: dict[AccountKey, Account] = {}
        for one in accounts:
            try:
                definition, rights = [*definitions.of(one)], [*self._privileges(one)]
            except NotFound:
                self._warnings.append(f"account {str(one.key)!r} is left out: {_GONE}")
                continue
            known[one.key] = one
            made += definition
            owned += rights
        granted = [
            *_memberships(self._session, self._product, known),
            *owned,
            *(statement for one in everyone for statement in self._privileges(one)),
            *_default_roles(self._session, self._product, known),
            *_proxies(self._session, known),
        ]
        head: dict[str, Any] = {"product": self._product, "version": self._version, "passwords": True}
        head |= {name: self._session.variable(name) for name in _RECORDED}
        phased = sorted((*made, *granted), key=lambda one: one.header.phase)  # stable; 'accounts' before 'grants'
        warnings = (*definitions.warnings, *self._warnings)
        return Read(UsersFile(head, tuple(phased)), warnings, definitions.fallback)

    def _can_be_told(self, account: Account) -> bool:
        """Whether it has a name of its own: MySQL knows an account, and a role, of an empty host beside that of '%'."""
        told = bool(account.host) or self._product == "MariaDB" or not (account.is_role or not account.user)
        if not told:
            name = f"'{account.user}'@''"
            self._warnings.append(
                f"account {name} is left out: give it the host '%', which means the same (RENAME USER)"
            )
        return told

    def _privileges(self, account: Account) -> Iterator[Statement]:
        found, unread = privileges(self._session, account, EVERYONE if account.user == _PUBLIC else account.key)
        if unread:
            self._warnings.append(f"{unread} grants of {account.key} are left out: what the server shows is no SQL")
        yield from found


def _accounts(session: Session, product: Product) -> list[Account]:
    if product == "MariaDB":
        role = "is_role = 'Y'"
    else:
        role = (
            "EXISTS (SELECT 1 FROM mysql.role_edges e WHERE e.FROM_USER = u.User AND e.FROM_HOST = u.Host)"
            " OR (account_locked = 'Y' AND password_expired = 'Y' AND authentication_string = '')"
        )
    sql = (
        f"SELECT u.User AS user, u.Host AS host, ({role}) AS is_role, u.Grant_priv = 'Y' AS grants"  # noqa: S608
        " FROM mysql.user u ORDER BY 3 DESC, 1, 2"
    )
    return [
        Account(
            str(row["user"]),
            str(row["host"]),
            bool(row["is_role"]),
            bool(row["grants"]) if product == "MariaDB" else None,
        )
        for row in session.rows(sql, _DOING)
    ]


def _memberships(session: Session, product: Product, known: dict[AccountKey, Account]) -> Iterator[Statement]:
    """Yield who has which role; SHOW GRANTS would also list the mandatory ones, which nobody was given."""
    if product == "MariaDB":
        sql = (
            "SELECT Role AS role, '' AS role_host, User AS user, Host AS host, Admin_option = 'Y' AS admin"
            " FROM mysql.roles_mapping ORDER BY 3, 4, 1"
        )
    else:
        sql = (
            "SELECT FROM_USER AS role, FROM_HOST AS role_host, TO_USER AS user, TO_HOST AS host,"
            " WITH_ADMIN_OPTION = 'Y' AS admin FROM mysql.role_edges ORDER BY 3, 4, 1, 2"
        )
    for row in session.rows(sql, _DOING):
        account = known.get(AccountKey(str(row["user"]), str(row["host"])))
        if account is None:
            continue
        role = Account(str(row["role"]), str(row["role_host"]), True)
        header = Header(account.key, account.kind, Part.MEMBERSHIP, of=role.key)
        option = " WITH ADMIN OPTION" if row["admin"] else ""
        revoke = f"REVOKE {role.quoted} FROM {account.quoted}"
        yield Statement(header, f"GRANT {role.quoted} TO {account.quoted}{option}", (revoke,))


def _default_roles(session: Session, product: Product, known: dict[AccountKey, Account]) -> Iterator[Statement]:
    if product == "MariaDB":
        sql = "SELECT User AS user, Host AS host, default_role AS role, '' AS role_host FROM mysql.user ORDER BY 1, 2"
    else:
        sql = (
            "SELECT USER AS user, HOST AS host, DEFAULT_ROLE_USER AS role, DEFAULT_ROLE_HOST AS role_host"
            " FROM mysql.default_roles ORDER BY 1, 2, 3, 4"
        )
    roles: dict[AccountKey, list[str]] = {}
    for row in session.rows(sql, _DOING):
        if row["role"]:
            role = Account(str(row["role"]), str(row["role_host"]), True)
            roles.setdefault(AccountKey(str(row["user"]), str(row["host"])), []).append(role.quoted)
    word = "FOR" if product == "MariaDB" else "TO"
    for key, names in roles.items():
        if account := known.get(key):
            header = Header(key, account.kind, Part.DEFAULT_ROLE)
            none = f"SET DEFAULT ROLE NONE {word} {account.quoted}"
            yield Statement(header, f"SET DEFAULT ROLE {', '.join(names)} {word} {account.quoted}", (none,))


def _proxies(session: Session, known: dict[AccountKey, Account]) -> Iterator[Statement]:
    """Yield who may be another: SHOW GRANTS does not quote it well. Only who has the right may grant it."""
    rows = session.rows(
        "SELECT User AS user, Host AS host, Proxied_user AS proxied, Proxied_host AS proxied_host,"
        " With_grant AS with_grant FROM mysql.proxies_priv ORDER BY 1, 2, 3, 4",
        _DOING,
    )
    for row in rows:
        account = known.get(AccountKey(str(row["user"]), str(row["host"])))
        # every server gives its own root the right to be anybody
        if account is None or (account.user == "root" and not row["proxied"]):
            continue
        on = Account(str(row["proxied"]), str(row["proxied_host"]), False).quoted
        option = " WITH GRANT OPTION" if row["with_grant"] else ""
        yield Statement(
            Header(account.key, account.kind, Part.GRANT),
            f"GRANT PROXY ON {on} TO {account.quoted}{option}",
            (f"REVOKE PROXY ON {on} FROM {account.quoted}",),
        )


def _visible(session: Session, product: Product) -> list[Account]:
    """Return the accounts that MySQL shows to whoever may make accounts, without the right to read the schema."""
    if product == "MariaDB":
        return []
    sql = "SELECT USER AS user, HOST AS host FROM information_schema.USER_ATTRIBUTES ORDER BY 1, 2"
    rows = (Account(str(row["user"]), str(row["host"]), False) for row in session.rows(sql, _DOING))
    return [one for one in rows if not SYSTEM.fullmatch(one.user)]


def _names_only(accounts: list[Account], product: Product, version: str) -> Read:
    """Return a file of locked accounts: an account made without its password would be open to anybody."""
    kind: Kind = "user"
    statements = tuple(
        Statement(Header(one.key, kind), f"CREATE USER IF NOT EXISTS {one.quoted} ACCOUNT LOCK") for one in accounts
    )
    warning = (
        f"the schema mysql cannot be read: {len(accounts)} accounts are saved by name, locked, without passwords,"
        " roles and grants (GRANT SELECT ON mysql.* to the account that backs up)"
    )
    head = {"product": product, "version": version, "passwords": False}
    return Read(UsersFile(head, statements), (warning,), "information_schema.USER_ATTRIBUTES")
