"""The users file as a text: plain SQL that a person loads, in blocks that a program can tell apart. Pure.

Each block begins with a comment line ``-- @account {json}`` that says whose statements follow and what they are. Names
are hostile: in the JSON everything beyond ASCII and every control character is escaped, so that a header is one line;
and a line counts as a header only outside of a statement, whose quotes are followed, so that no name can hold one.
`docs/tree-format.md` section 4 is the twin of this module.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal

from vya_backupdb.domain.errors import BackupCorrupt

FORMAT: Final = 1
MARKER: Final = "-- vya-backupdb users complete"
_HINT: Final = "The file is damaged, of another program, or of another version: read it, and load it by hand."
_TAG: Final = re.compile(r"-- @(head|account|tablespace) (\{.*\})")

_MYSQL_STRING: Final = r"'(?:[^'\\]|''|\\.)*+'"
_MYSQL_TOKENS: Final = rf"[^'\"`;]|{_MYSQL_STRING}|\"(?:[^\"\\]|\"\"|\\.)*+\"|`(?:[^`]|``)*+`"
_PG_STRING: Final = r"(?<=[eE])'(?:[^'\\]|''|\\.)*+'|(?<![eE])'(?:[^']|'')*+'"
_PG_TOKENS: Final = rf"[^'\"$;]|{_PG_STRING}|\"(?:[^\"]|\"\")*+\"|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$|\$"
_STATEMENTS: Final = {
    "mysql": re.compile(rf"(?:{_MYSQL_TOKENS})*+;", re.DOTALL),
    "postgresql": re.compile(rf"(?:{_PG_TOKENS})*+;", re.DOTALL),
}
_BODY: Final = r"(?P<body>\$(?P<tag>\w*)\$(?P<inside>.*?)\$(?P=tag)\$)"
#: What `mask` looks at: names stay, bodies are looked into, everything else is a literal.
_MASKED: Final = {
    "mysql": re.compile(
        rf"(?P<name>`(?:[^`]|``)*+`)|(?P<body>(?!))(?P<tag>)(?P<inside>)|{_MYSQL_STRING}|\"(?:[^\"\\]|\"\"|\\.)*+\""
        r"|\b0[xX][0-9A-Fa-f]+",
        re.DOTALL,
    ),
    "postgresql": re.compile(rf"(?P<name>\"(?:[^\"]|\"\")*+\")|{_BODY}|{_PG_STRING}", re.DOTALL),
}

Family = Literal["mysql", "postgresql"]
Kind = Literal["user", "role", "everyone", "predefined", "tablespace"]
#: Kinds that no file makes: all accounts together, and PostgreSQL's own roles (``pg_*``), that were given something.
SHARED: Final = frozenset({"everyone", "predefined"})


class Phase(StrEnum):
    """When a statement can be executed: at once, or only when the objects of the databases are there."""

    ACCOUNTS = "accounts"
    GRANTS = "grants"


class Part(StrEnum):
    """What a statement is about."""

    ACCOUNT = "account"
    MEMBERSHIP = "membership"
    GRANT = "grant"
    SETTING = "setting"
    DEFAULT_ROLE = "default-role"


@dataclass(frozen=True, slots=True, order=True)
class AccountKey:
    """Who it is. `host` is '' for PostgreSQL's roles and MariaDB's, which have none. `EVERYONE` has no name either."""

    name: str
    host: str = ""

    def __str__(self) -> str:
        if self == EVERYONE:
            return "PUBLIC"
        return f"{self.name}@{self.host}" if self.host else self.name


#: Not an account, but what all of them may. No account has an empty name and no host.
EVERYONE: Final = AccountKey("")


@dataclass(frozen=True, slots=True)
class Header:
    """What a block's header says. `of` is the role that a membership gives; `password`: a secret stands in the block.

    `plugins` are the authentication methods (MySQL, MariaDB); `database` is what a grant or a setting needs.
    """

    account: AccountKey
    kind: Kind = "user"
    part: Part = Part.ACCOUNT
    phase: Phase = Phase.ACCOUNTS
    of: AccountKey | None = None
    database: str | None = None
    password: bool = False
    plugins: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the header's object, in ASCII, on one line."""
        return _json(
            {
                "name": self.account.name,
                "host": self.account.host or None,
                "kind": self.kind,
                "part": self.part.value,
                "phase": self.phase.value,
                "of": {"name": self.of.name, "host": self.of.host or None} if self.of else None,
                "database": self.database,
                "password": self.password or None,
                "plugins": list(self.plugins) or None,
            }
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, without its semicolon; it may hold a hash. `undo` takes back what it gave; no file has it.

    `number` is its place among all of a target: what was given by right of another is to be taken back before that.
    """

    header: Header
    sql: str = field(repr=False)
    undo: tuple[str, ...] = field(default=(), compare=False, repr=False)
    number: int = field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class UsersFile:
    """A users file. `head` says what server it is of; `tablespaces` are recorded only (PostgreSQL)."""

    head: Mapping[str, Any]
    statements: tuple[Statement, ...]
    tablespaces: tuple[Mapping[str, Any], ...] = ()

    @property
    def family(self) -> Family:
        """Whose SQL it is."""
        return family_of(str(self.head["product"]))

    def accounts(self) -> dict[AccountKey, Kind]:
        """Return the accounts in the order of the file."""
        return {one.header.account: one.header.kind for one in self.statements}

    def with_password(self) -> frozenset[AccountKey]:
        """Return the accounts whose password's hash stands in the file."""
        return frozenset(one.header.account for one in self.statements if one.header.password)


def family_of(product: str) -> Family:
    """Return whose SQL a product speaks."""
    return "postgresql" if product == "PostgreSQL" else "mysql"


def render(file: UsersFile, *, comments: Iterable[str], preamble: Iterable[str]) -> Iterator[str]:
    """Yield the file's lines, each with its newline. `comments` are for people, `preamble` sets up a session."""
    yield f"-- vya-backupdb users of {_one_line(str(file.head['product']))} {_one_line(str(file.head['version']))}\n"
    yield from (f"-- {_one_line(comment)}\n" for comment in comments)
    yield f"-- @head {_json({'format': FORMAT, **file.head})}\n\n"
    yield from (f"{statement};\n" for statement in preamble)
    yield from (f"\n-- @tablespace {_json(one)}\n" for one in file.tablespaces)
    last: Header | None = None
    for one in file.statements:
        if one.header != last:
            yield f"\n-- @account {one.header.to_json()}\n"
            last = one.header
        yield f"{one.sql};\n"
    yield f"\n{MARKER}\n"


def parse(text: str, *, source: str) -> UsersFile:
    """Return what stands in a users file. Raise BackupCorrupt, naming `source`, if it is none, or is cut off."""
    if not text.rstrip().endswith(f"\n{MARKER}"):
        raise BackupCorrupt(f"{source}: is no whole users file: its closing line is missing", hint=_HINT)
    head: Mapping[str, Any] | None = None
    header: Header | None = None
    statements: list[Statement] = []
    tablespaces: list[Mapping[str, Any]] = []
    for tag, piece in _pieces(text, source):
        if tag == "head":
            head = _object(piece, source)
            _check_head(head, source)
        elif tag == "account":
            header = _header(_object(piece, source), source)
        elif tag == "tablespace":
            tablespaces.append(_object(piece, source))
        elif header is not None:
            statements.append(Statement(header, piece))
    if head is None:
        raise BackupCorrupt(f"{source}: has no '-- @head' line", hint=_HINT)
    return UsersFile(head, tuple(statements), tuple(tablespaces))


def mask(sql: str, family: Family) -> str:
    """Return the statement with every literal left out: hashes, settings and comments are nobody's business."""

    def masked(match: re.Match[str]) -> str:
        if match["name"]:
            return match[0]
        return f"$${mask(match['inside'], family)}$$" if match["body"] else "'…'"

    return _MASKED[family].sub(masked, sql)


def literals(sql: str, family: Family) -> Iterator[str]:
    """Yield the contents of the statement's literals, to be kept out of any error's text."""
    for match in _MASKED[family].finditer(sql):
        if match["body"]:
            yield from literals(match["inside"], family)
        elif not match["name"]:
            yield match[0].strip("'\"")


def _pieces(text: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield each tagged line's object and each statement, in order ('' is the tag of a statement)."""
    family: Family = "mysql"
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        if text.startswith("--", position):
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            if match := _TAG.fullmatch(text[position:end].rstrip()):
                if match[1] == "head":
                    family = family_of(str(_object(match[2], source).get("product")))
                yield match[1], match[2]
            position = end
            continue
        found = _STATEMENTS[family].match(text, position)
        if found is None:
            line = text.count("\n", 0, position) + 1
            raise BackupCorrupt(f"{source}: the statement that begins in line {line} has no end", hint=_HINT)
        yield "", found[0][:-1]
        position = found.end()


def _check_head(head: Mapping[str, Any], source: str) -> None:
    if head.get("format") != FORMAT or head.get("product") not in ("PostgreSQL", "MySQL", "MariaDB"):
        raise BackupCorrupt(
            f"{source}: format {head.get('format')!r} of {head.get('product')!r} is not known", hint=_HINT
        )


def _header(found: Mapping[str, Any], source: str) -> Header:
    try:
        of = found.get("of")
        return Header(
            account=_key(found),
            kind=found["kind"],
            part=Part(found["part"]),
            phase=Phase(found["phase"]),
            of=_key(of) if of else None,
            database=found.get("database"),
            password=bool(found.get("password")),
            plugins=tuple(map(str, found.get("plugins") or ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BackupCorrupt(f"{source}: an '-- @account' line is damaged: {error}", hint=_HINT) from None


def _key(found: Mapping[str, Any]) -> AccountKey:
    return AccountKey(str(found["name"]), str(found.get("host") or ""))


def _object(text: str, source: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BackupCorrupt(f"{source}: a tagged line holds no JSON object", hint=_HINT)
    return found


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in found.items() if value is not None}, ensure_ascii=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())
