"""The accounts, roles and grants of MySQL and MariaDB as SQL, from SHOW CREATE USER and SHOW GRANTS.

Order: roles and accounts, then grants of roles and on the server and databases, then default roles, last the grants on
tables and routines, which need the databases (on an empty server they fail, and the file is loaded again after the
data), and those of PROXY, which not every administrator may give. An account that exists keeps its password: CREATE has
IF NOT EXISTS, and MariaDB's GRANT is freed of the password that it repeats. PROXY, which SHOW GRANTS does not quote
well, is written by us; what else the server leaves unquoted is left out with a warning.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vya_backupdb.domain.errors import PrivilegeMissing
from vya_backupdb.domain.metadata import UsersInfo
from vya_backupdb.engines.base import Product, UsersDump
from vya_backupdb.engines.my_session import Server, Session, literal, quote

MARKER: Final = b"-- vya-backupdb users complete"
#: Accounts that the server, or a provider of managed servers, makes for itself.
_SYSTEM: Final = re.compile(
    r"mysql\.(?:sys|session|infoschema)|mariadb\.sys|rds(?:admin|repladmin|topmgr)|cloudsql.*|azure_superuser|PUBLIC"
)
_DOING: Final = "reading the accounts"
_BACKTICKED: Final = r"`(?:[^`]|``)*`"
_DEFAULT_ROLE: Final = re.compile(rf" DEFAULT ROLE {_BACKTICKED}@{_BACKTICKED}(?:,{_BACKTICKED}@{_BACKTICKED})*")
_STRING: Final = r"'(?:[^'\\]|''|\\.)*'"
_METHOD: Final = rf"\w+(?: (?:USING|AS) {_STRING})?"
_IDENTIFIED: Final = re.compile(rf" IDENTIFIED (?:BY PASSWORD {_STRING}|VIA {_METHOD}(?: OR {_METHOD})*)")
_ON_OBJECT: Final = re.compile(
    rf"GRANT .* ON (?:(?:TABLE |FUNCTION |PROCEDURE |PACKAGE |PACKAGE BODY ){_BACKTICKED}\.|"
    rf"{_BACKTICKED}\.){_BACKTICKED} TO ",
    re.DOTALL,
)
_QUOTED: Final = re.compile(rf"(?:[^'\"`]|{_STRING}|{_BACKTICKED})*", re.DOTALL)
#: What MySQL shows in place of a password's hash.
_HIDDEN: Final = " AS '<secret>'"
_PRIVILEGE_HINT: Final = "Grant the account SELECT ON mysql.*, or switch the users file off for this instance."


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a role as the server lists it."""

    user: str
    host: str
    is_role: bool

    @property
    def quoted(self) -> str:
        """The name as a statement has it; a MariaDB role has no host."""
        return quote(self.user) if self.is_role and not self.host else f"{quote(self.user)}@{quote(self.host)}"


def users(server: Server, product: Product, version: str) -> UsersDump:
    """Return every account and role but the server's own. Raise PrivilegeMissing if they cannot be listed."""
    try:
        return _users(server, product, version)
    except PrivilegeMissing as error:
        raise PrivilegeMissing(error.message, hint=_PRIVILEGE_HINT) from error


def _users(server: Server, product: Product, version: str) -> UsersDump:
    with server.session() as session:
        if product == "MySQL":
            # hashes of caching_sha2_password hold raw bytes; as text they would not survive
            session.execute("SET SESSION print_identified_with_as_hex = ON", "asking for hashes as hex")
        accounts = _accounts(session, product)
        made = [_create(session, product, account) for account in accounts]
        granted = list(dict.fromkeys(line for one in accounts for line in _grants(session, one)))
        proxies = list(_proxies(session))
    defaults = [line for line in granted if line.startswith("SET DEFAULT ROLE")]
    defaults += [line for _, lines in made for line in lines]
    objects = [line for line in granted if _ON_OBJECT.match(line)]
    others = [line for line in granted if line not in set(defaults) | set(objects)]
    statements = (*(statement for statement, _ in made), *others, *defaults)
    warnings = tuple(_warning(line) for line in (*statements, *objects) if not _well_quoted(line))
    lines = [
        *_header(product, version),
        *map(_line, statements),
        "-- grants on tables and routines: they need the databases",
        *map(_line, objects),
        *(("-- grants of PROXY: only who has it may grant it",) if proxies else ()),
        *map(_line, proxies),
        MARKER.decode(),
    ]
    roles = sum(account.is_role for account in accounts)
    info = UsersInfo(accounts=len(accounts) - roles, roles=roles, passwords=True)
    return UsersDump((f"{line}\n".encode() for line in lines), info, warnings)


def _well_quoted(statement: str) -> bool:
    """Whether the server closed each quote that it opened: MariaDB writes the subject of a certificate as it is."""
    return _QUOTED.fullmatch(statement) is not None


def _line(statement: str) -> str:
    """Return the statement with its semicolon, or as a comment where it would swallow what follows."""
    return f"{statement};" if _well_quoted(statement) else f"-- not quoted by the server: {' '.join(statement.split())}"


def _warning(statement: str) -> str:
    account = re.search(rf"{_BACKTICKED}@{_BACKTICKED}", statement)
    return f"account {account[0] if account else '?'} is left out: the server does not quote what it says of it"


def _header(product: Product, version: str) -> Iterator[str]:
    client = "mariadb" if product == "MariaDB" else "mysql"
    yield f"-- vya-backupdb users of {product} {version}"
    yield f"-- by hand: zcat FILE | {client} --comments --binary-mode; again after the databases, with --force"
    yield ""
    yield "SET NAMES utf8mb4;"
    # a mode that changes quoting, or lets GRANT make accounts, would change what follows
    yield f"SET SESSION sql_mode = '{'NO_AUTO_CREATE_USER' if product == 'MariaDB' else ''}';"
    yield ""


def _accounts(session: Session, product: Product) -> list[Account]:
    if product == "MariaDB":
        role = "is_role = 'Y'"
    else:
        role = (
            "EXISTS (SELECT 1 FROM mysql.role_edges e WHERE e.FROM_USER = u.User AND e.FROM_HOST = u.Host)"
            " OR (account_locked = 'Y' AND password_expired = 'Y' AND authentication_string = '')"
        )
    sql = f"SELECT u.User AS user, u.Host AS host, ({role}) AS is_role FROM mysql.user u ORDER BY 3 DESC, 1, 2"  # noqa: S608
    rows = session.rows(sql, _DOING)
    accounts = (Account(str(row["user"]), str(row["host"]), bool(row["is_role"])) for row in rows)
    return [account for account in accounts if not _SYSTEM.fullmatch(account.user)]


def _create(session: Session, product: Product, account: Account) -> tuple[str, tuple[str, ...]]:
    """Return the statement that makes the account, and those for its default roles, which come later."""
    if product == "MariaDB" and account.is_role:
        return f"CREATE ROLE IF NOT EXISTS {account.quoted}", ()
    (shown,) = session.shown(f"SHOW CREATE USER {account.quoted}", f"reading account {account.quoted}")
    statement = shown.replace("CREATE USER ", "CREATE USER IF NOT EXISTS ", 1)
    later: tuple[str, ...] = ()
    if product == "MySQL" and (match := _DEFAULT_ROLE.search(statement)) and _has_default_role(session, account):
        # the roles may not have been granted yet where the account is made
        statement = statement[: match.start()] + statement[match.end() :]
        later = (f"ALTER USER {account.quoted}{match[0]}",)
    if _HIDDEN in statement:
        raise PrivilegeMissing(f"the server hides the password of account {account.quoted}", hint=_PRIVILEGE_HINT)
    return statement, later


def _has_default_role(session: Session, account: Account) -> bool:
    sql = "SELECT COUNT(*) FROM mysql.default_roles WHERE USER = :user AND HOST = :host"
    return bool(session.value(sql, _DOING, user=account.user, host=account.host))


def _grants(session: Session, account: Account) -> Iterator[str]:
    for line in session.shown(f"SHOW GRANTS FOR {account.quoted}", f"reading the grants of {account.quoted}"):
        if not line.startswith("GRANT PROXY"):
            yield _without_password(line, account)


def _without_password(line: str, account: Account) -> str:
    """Return a GRANT without the password that MariaDB repeats in it, searched only behind the account's name."""
    head, to, tail = line.partition(f" TO {account.quoted}")
    return head + to + _IDENTIFIED.sub("", tail, count=1) if to else line


def _proxies(session: Session) -> Iterator[str]:
    rows = session.rows(
        "SELECT User AS user, Host AS host, Proxied_user AS proxied, Proxied_host AS proxied_host,"
        " With_grant AS with_grant FROM mysql.proxies_priv ORDER BY 1, 2, 3, 4",
        _DOING,
    )
    for row in rows:
        # every server gives its own root the right to be anybody
        if _SYSTEM.fullmatch(str(row["user"])) or (row["user"] == "root" and not row["proxied"]):
            continue
        on = f"{literal(row['proxied'])}@{literal(row['proxied_host'])}"
        to = f"{literal(row['user'])}@{literal(row['host'])}"
        yield f"GRANT PROXY ON {on} TO {to}{' WITH GRANT OPTION' if row['with_grant'] else ''}"
