"""The statement that makes an account of MySQL or MariaDB, complete: what is off is said to be off.

So the same clauses serve ALTER USER, where the account exists and has others. Method and hash come from SHOW CREATE
USER (the one place where MySQL gives hashes as hex), by a strict grammar; everything else from the ``mysql`` schema,
because MySQL, and MariaDB before 11.8, write the subject of a certificate there without quoting it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vya_backupdb.domain.users_file import AccountKey, Header, Part, Statement
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_names import BACKTICKED, STRING, Account
from vya_backupdb.engines.my_session import Session, literal

CREATE: Final = "CREATE USER IF NOT EXISTS "
#: What MySQL shows in place of a password's hash.
_HIDDEN: Final = " AS '<secret>'"
_METHOD: Final = rf"\w+(?: (?:USING|AS) {STRING})?"
_MARIADB: Final = re.compile(rf" IDENTIFIED (?:BY PASSWORD {STRING}|VIA {_METHOD}(?: OR {_METHOD})*)")
_FACTOR: Final = rf"IDENTIFIED WITH '[\w.-]+'(?: AS (?:0x[0-9A-Fa-f]+|{STRING}))?"
_MYSQL: Final = re.compile(rf" {_FACTOR}(?: AND {_FACTOR})*(?= |$)")
_PLUGIN: Final = re.compile(rf"IDENTIFIED WITH '([\w.-]+)'|(?:VIA|OR) (\w+)|{STRING}")
_HASH: Final = re.compile(r" AS 0x[0-9A-Fa-f]|(?:AS|USING|PASSWORD) '[^']")
_NAME: Final = re.compile(rf"{BACKTICKED}@{BACKTICKED}")
#: At the very end, where nothing that is quoted can stand.
_EXPIRED: Final = re.compile(
    r"( PASSWORD EXPIRE)(?: ACCOUNT (?:UN)?LOCK PASSWORD HISTORY \w+ PASSWORD REUSE INTERVAL \w+(?: DAY)?"
    r" PASSWORD REQUIRE CURRENT(?: \w+)? FAILED_LOGIN_ATTEMPTS \d+ PASSWORD_LOCK_TIME \w+)?$"
)
_LIMITS: Final = (
    ("MAX_QUERIES_PER_HOUR", "max_questions"),
    ("MAX_UPDATES_PER_HOUR", "max_updates"),
    ("MAX_CONNECTIONS_PER_HOUR", "max_connections"),
    ("MAX_USER_CONNECTIONS", "max_user_connections"),
)
_COLUMNS: Final = (
    "max_questions, max_updates, max_connections, max_user_connections, ssl_type, ssl_cipher, x509_issuer,"
    " x509_subject, password_expired = 'Y' AS expired, password_lifetime, account_locked = 'Y' AS account_locked,"
    " Password_reuse_history AS history, Password_reuse_time AS reuse, Password_require_current AS current,"
    " CAST(User_attributes AS CHAR) AS attributes"
)
_REQUIRE: Final = {"": "NONE", "ANY": "SSL", "X509": "X509"}
_MARIADB_SSL: Final = {0: "", 1: "ANY", 2: "X509", 3: "SPECIFIED"}


class Definitions:
    """The definitions of one server's accounts; collects what could not be had."""

    def __init__(self, session: Session, product: Product) -> None:
        self._session, self._product = session, product
        self.warnings: list[str] = []
        self.fallback: str | None = None
        self._expired_early = False
        self._rows, self._labels = self._read()

    def _read(self) -> tuple[dict[AccountKey, dict[str, Any]], dict[AccountKey, str]]:
        """Return of each account its row of the table that says most, and its attributes (MySQL): in one go."""
        if self._product == "MariaDB":
            return _by_account(
                self._session, "SELECT User, Host, CAST(Priv AS CHAR) AS priv FROM mysql.global_priv"
            ), {}
        rows = _by_account(self._session, f"SELECT User, Host, {_COLUMNS} FROM mysql.user")  # noqa: S608 - constants
        sql = (
            "SELECT USER AS User, HOST AS Host, CAST(ATTRIBUTE AS CHAR) AS attribute"
            " FROM information_schema.USER_ATTRIBUTES WHERE ATTRIBUTE IS NOT NULL"
        )
        return rows, {key: str(row["attribute"]) for key, row in _by_account(self._session, sql).items()}

    def of(self, account: Account) -> Iterator[Statement]:
        """Yield the statements that make `account`; none, with a warning, where the server shows no SQL for it."""
        if account.key not in self._rows:  # dropped since it was listed
            return
        if self._product == "MariaDB" and account.is_role:
            yield Statement(Header(account.key, "role"), f"CREATE ROLE IF NOT EXISTS {account.quoted}")
            return
        identified = self._identified(account)
        if identified is None:
            self.warnings.append(f"account {str(account.key)!r} is left out: what the server shows of it is no SQL")
            return
        hidden = _HIDDEN in identified
        identified = identified.replace(_HIDDEN, "")
        if hidden:
            self.fallback = "SHOW CREATE USER"
            self.warnings.append(f"account {str(account.key)!r} is saved locked: the server hides its password")
        header = Header(
            account.key,
            account.kind,
            password=_HASH.search(identified) is not None,
            plugins=_plugins(identified),
        )
        rest = self._mariadb(account) if self._product == "MariaDB" else self._mysql(account, locked=hidden)
        yield Statement(header, f"{CREATE}{account.quoted}{identified}{rest}")
        if self._expired_early:
            yield Statement(header, f"ALTER USER {account.quoted} PASSWORD EXPIRE")
        yield from self._attributes(account)

    def _identified(self, account: Account) -> str | None:
        # MariaDB adds a row for an expiry that is both set and due
        shown = self._session.shown(f"SHOW CREATE USER {account.quoted}", f"reading account {str(account.key)!r}")[0]
        head = f"CREATE USER {account.quoted}"
        if not shown.startswith(head):
            return None
        shown = shown[len(head) :]
        if self._product == "MariaDB":
            match = _MARIADB.match(shown)
            if match is None and " IDENTIFIED " not in shown:
                return " IDENTIFIED VIA mysql_native_password USING ''"
            return match[0] if match else None
        match = _MYSQL.match(shown)
        # said by the statement: ALTER would take 'no hash' for one that has to be changed
        return None if match is None else re.sub(r"(WITH '[\w.-]+')(?= AND|$)", r"\1 AS ''", match[0])

    def _mysql(self, account: Account, *, locked: bool) -> str:
        row = self._rows[account.key]
        attributes = json.loads(row["attributes"] or "{}")
        if "additional_password" in attributes:
            self.warnings.append(f"account {str(account.key)!r} is saved without its retained second password")
        locking = attributes.get("Password_locking") or {}
        days = int(locking.get("password_lock_time_days", 0))
        current = {"Y": "", "N": " OPTIONAL", None: " DEFAULT"}[row["current"]]
        return "".join(
            (
                _required(row),
                _limited(row),
                self._expires(row["expired"], row["password_lifetime"]),
                f" ACCOUNT {'LOCK' if row['account_locked'] or locked else 'UNLOCK'}",
                f" PASSWORD HISTORY {_or_default(row['history'])}",
                f" PASSWORD REUSE INTERVAL {_or_default(row['reuse'], ' DAY')}",
                f" PASSWORD REQUIRE CURRENT{current}",
                f" FAILED_LOGIN_ATTEMPTS {int(locking.get('failed_login_attempts', 0))}",
                f" PASSWORD_LOCK_TIME {'UNBOUNDED' if days < 0 else days}",
            )
        )

    def _mariadb(self, account: Account) -> str:
        found = json.loads(self._rows[account.key]["priv"], strict=False)
        found["ssl_type"] = _MARIADB_SSL[int(found.get("ssl_type", 0))]
        lifetime = int(found.get("password_lifetime", -1))
        return "".join(
            (
                _required(found),
                _limited(found),
                f" MAX_STATEMENT_TIME {float(found.get('max_statement_time', 0)):.6f}",
                f" ACCOUNT {'LOCK' if found.get('account_locked') else 'UNLOCK'}",
                self._expires(found.get("password_last_changed") == 0, None if lifetime < 0 else lifetime),
            )
        )

    def _expires(self, expired: Any, lifetime: Any) -> str:
        """Return for how long passwords hold, or that this one has expired; both where it has a time of its own."""
        self._expired_early = bool(expired) and lifetime is not None
        if lifetime is None:
            return " PASSWORD EXPIRE" if expired else " PASSWORD EXPIRE DEFAULT"
        return f" PASSWORD EXPIRE INTERVAL {int(lifetime)} DAY" if int(lifetime) else " PASSWORD EXPIRE NEVER"

    def _attributes(self, account: Account) -> Iterator[Statement]:
        found = self._labels.get(account.key)
        if found and found != "{}":
            gone = json.dumps(dict.fromkeys(json.loads(found)))
            alter = f"ALTER USER {account.quoted} ATTRIBUTE"
            header = Header(account.key, account.kind, Part.SETTING)
            yield Statement(header, f"{alter} {literal(found)}", (f"{alter} {literal(gone)}",))


def replacing(sql: str) -> tuple[str, ...]:
    """Return what changes an account that exists, for the statement that would make it; of a MariaDB role, nothing."""
    if not sql.startswith(CREATE):
        return () if sql.startswith("CREATE ROLE ") else (sql,)
    clauses = sql.removeprefix(CREATE)
    name, expired = _NAME.match(clauses), _EXPIRED.search(clauses)
    if name is None or expired is None:
        return (f"ALTER USER {clauses}",)
    # that it has expired does not take back for how long passwords hold
    lasting = f"{clauses[: expired.end(1)]} DEFAULT{clauses[expired.end(1) :]}"
    return f"ALTER USER {lasting}", f"ALTER USER {name[0]} PASSWORD EXPIRE"


def _by_account(session: Session, sql: str) -> dict[AccountKey, dict[str, Any]]:
    return {AccountKey(str(row["User"]), str(row["Host"])): row for row in session.rows(sql, "reading the accounts")}


def _plugins(identified: str) -> tuple[str, ...]:
    if identified.startswith(" IDENTIFIED BY PASSWORD"):
        return ("mysql_native_password",)
    return tuple(match[1] or match[2] for match in _PLUGIN.finditer(identified) if match[1] or match[2])


def _required(row: Mapping[str, Any]) -> str:
    kind = row["ssl_type"] or ""
    if kind == "SPECIFIED":
        named = (("SUBJECT", "x509_subject"), ("ISSUER", "x509_issuer"), ("CIPHER", "ssl_cipher"))
        found = [(word, _text(row.get(column))) for word, column in named]
        # of nothing in particular (SUBJECT ''): any certificate that is valid; the server itself shows no SQL of that
        return " REQUIRE " + (
            " AND ".join(f"{word} {literal(value)}" for word, value in found if value) or "SUBJECT ''"
        )
    return f" REQUIRE {_REQUIRE[kind]}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _limited(row: Mapping[str, Any]) -> str:
    return " WITH " + " ".join(f"{word} {int(row.get(column) or 0)}" for word, column in _LIMITS)


def _or_default(value: Any, unit: str = "") -> str:
    return "DEFAULT" if value is None else f"{int(value)}{unit}"
