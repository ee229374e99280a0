r"""Which statements of a PostgreSQL script may pass into a database, and how.

Refused is whatever concerns more than the one database: databases, roles, tablespaces, the server's configuration,
files and programs of its machine, and every command of psql. Not refused is what a database's own code may do (``DO``,
functions): it runs with the rights of the account that restores, as it did for the owner who made it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from vya_backupdb.engines.loading import LoadOptions
from vya_backupdb.engines.pg_instead import Instead
from vya_backupdb.engines.pg_scan import python_codec
from vya_backupdb.engines.pg_selection import PgSubject
from vya_backupdb.engines.selection import Selection
from vya_backupdb.engines.statements import Command, Statement
from vya_backupdb.engines.tokens import Token, of_postgresql
from vya_backupdb.engines.transforms import BY_HAND, DatabaseLines, Notes, Verdict

#: SQLSTATEs of a function, a relation, another object and a schema that were looked up and not found.
NAME_MISSED: Final = frozenset({"42883", "42P01", "42704", "3F000"})
_RESTRICT: Final = re.compile(rb"\\(?:un)?restrict [A-Za-z0-9]+")
_CONNECT: Final = re.compile(
    rb"""\\c(?:onnect)?[ \t]+(?:-reuse-previous=on[ \t]+"dbname='(?P<odd>(?:[^'\\"]|\\[\\'])+)'"|"""
    rb""""(?P<quoted>[^"`:\\]+)"|(?P<plain>[A-Za-z0-9_]+));?"""
)
_PASSING: Final = re.compile(
    "SELECT|INSERT|UPDATE|DELETE|MERGE|TRUNCATE|WITH|VALUES|TABLE|DO|CALL|REFRESH|ANALYZE|VACUUM|REINDEX|CLUSTER|LOCK|"
    "BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|RESET|DISCARD|SHOW|EXECUTE|DEALLOCATE|NOTIFY|IMPORT|EXPLAIN"
)
_SERVER_WIDE: Final = frozenset({"ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM", "OWNED"})
_NO_ROLES: Final = frozenset({"PUBLIC", "CURRENT_USER", "CURRENT_ROLE", "SESSION_USER"})
_NO_SETTINGS: Final = frozenset({"TIME", "SESSION", "NAMES", "TRANSACTION", "CONSTRAINTS", "XML", "SCHEMA", "SEED"})
_ROLE_HINT: Final = "Restore the accounts with it (--users), create the role, or leave it out (--owners skip)."
#: A statement longer than this is judged by its beginning: what ends with a role or a database is short.
_HEAD: Final = 64 * 1024
#: As many tokens tell what rows are inserted into.
_FEW: Final = 12


@dataclass(frozen=True, slots=True)
class PgFacts:
    """What decides on a statement: settings that a server knows, in lower case, its roles, tablespaces, version."""

    settings: frozenset[str]
    roles: frozenset[str]
    tablespaces: frozenset[str] = frozenset({"pg_default", "pg_global"})
    version: int = 180000


class PgRules:
    """`transforms.Rules` for one database of a server that `facts` describe."""

    def __init__(self, options: LoadOptions, facts: PgFacts) -> None:
        self.notes = Notes()
        self._options, self._facts = options, facts
        self._lines = DatabaseLines(self.notes, options, ignored=("postgres", "template1"))
        self._instead = Instead(self.notes, facts.version)
        self._selection = Selection(options, self.notes)
        self._subject = PgSubject(self._selection, self._name)
        self._codec = "utf-8"
        self._missing: set[str] = set()
        self._text = b""
        self._no_policies: set[tuple[str, ...]] = set()
        self._kinds: dict[str, Callable[[Statement, Sequence[Token]], Verdict]] = {
            "SET": self._set,
            "CREATE": self._object,
            "ALTER": self._object,
            "DROP": self._object,
            "COMMENT": self._on_object,
            "SECURITY": self._on_object,
            "GRANT": self._grant,
            "REVOKE": self._grant,
            "COPY": self._copy,
            "PREPARE": self._prepare,
        }

    @property
    def databases(self) -> tuple[str, ...]:
        """See `transforms.Rules.databases`."""
        return self._lines.named

    @property
    def tables(self) -> tuple[str, ...]:
        """See `transforms.Rules.tables`."""
        return self._selection.tables

    @property
    def resolved(self) -> LoadOptions:
        """See `transforms.Rules.resolved`."""
        return self._selection.resolve()

    def judge(self, statement: Statement) -> bytes | None:
        """See `transforms.Rules.judge`."""
        stream = of_postgresql(statement.text[:_HEAD])
        token = next(stream, None)
        first = token.word if token else ""
        tokens = [] if token is None else [token, *(stream if first in self._kinds else islice(stream, _FEW))]
        about = self._subject.about(statement.text, tokens)
        if not self._selection.keeps(about):
            return None
        self._text = statement.text
        with self._selection.judging(about):
            verdict = self._judged(statement, first, tokens)
        if verdict is not Verdict.PASS:
            return None
        self._lines.touched |= first not in {"SET", "SELECT"}
        return self._text

    def _judged(self, statement: Statement, first: str, tokens: Sequence[Token]) -> Verdict:
        if first in self._kinds:
            return self._kinds[first](statement, tokens)
        if _PASSING.fullmatch(first) and not any(one == "PREPARED" for one in tokens[:2]):
            return Verdict.PASS
        return self._unknown(statement, first)

    def instead(self, statement: Statement, state: str, why: str) -> bytes | None:
        """See `transforms.Rules.instead`. What stands beside chosen tables may need others."""
        missed = bool(self._options.tables) and state in NAME_MISSED
        if missed and (left := self._subject.dispensable([*of_postgresql(statement.text[:_HEAD])])):
            self.notes.transform("beside", left)
            return b""
        return self._instead.of(statement.text, state, why, self._codec)

    def command(self, command: Command) -> None:
        """See `transforms.Rules.command`."""
        if _RESTRICT.fullmatch(command.text):
            self.notes.transform("restrict")
            return
        entered = _CONNECT.fullmatch(command.text)
        if entered is not None and self._options.foreign:
            name = entered["odd"] or entered["quoted"] or entered["plain"]
            text = re.sub(rb"\\(.)", rb"\1", name).decode(self._codec, "backslashreplace")
            self._lines.entered(command.line, text, "\\connect")
            return
        word = command.text.split()[0][:20].decode("utf-8", "backslashreplace")
        self.notes.refuse(command.line, f"is a command of psql ({word})", BY_HAND)

    def _name(self, token: Token) -> str:
        text = token.text.decode(self._codec, "backslashreplace")
        return text if token.kind == "name" else text.lower()

    def _refuse(self, statement: Statement, words: str) -> Verdict:
        self.notes.refuse(statement.line, f"{words} concerns more than this database", BY_HAND)
        return Verdict.REFUSE

    def _unknown(self, statement: Statement, word: str) -> Verdict:
        self.notes.refuse(statement.line, f"{word[:20] or 'what begins there'} is nothing that a dump does", BY_HAND)
        return Verdict.REFUSE

    def _set(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        rest = list(tokens[1:])
        if rest and rest[0].word in {"SESSION", "LOCAL"} and len(rest) > 1 and rest[1].word != "CHARACTERISTICS":
            rest = rest[1:]
        if not rest:
            return Verdict.PASS
        if rest[0].word in {"AUTHORIZATION", "ROLE"} and len(rest) > 1:
            return self._acting(statement, rest[0].word, rest[1])
        name = self._name(rest[0])
        if name == "client_encoding" and rest[-1].kind == "string":
            self._codec = python_codec(rest[-1].text[1:-1].decode("ascii", "replace").upper())
        if name == "default_tablespace":
            return self._tablespace(rest[-1])
        dotted = len(rest) > 1 and rest[1] == "."
        if rest[0].word in _NO_SETTINGS or dotted or name in self._facts.settings:
            return Verdict.PASS
        self.notes.transform("setting", name)
        return Verdict.LEAVE_OUT

    def _acting(self, statement: Statement, word: str, who: Token) -> Verdict:
        """Judge who acts from here on; in the place of a role that is left out it is the restoring account again."""
        if who.word in {"DEFAULT", "NONE"}:
            return Verdict.PASS
        name = who if who.names else replace(who, kind="name", text=who.text[1:-1].replace(b"''", b"'"))
        verdict = self._roles(statement, [name], "owner")
        if verdict is Verdict.LEAVE_OUT:
            self._text = b"RESET ROLE" if word == "ROLE" else b"RESET SESSION AUTHORIZATION"
            return Verdict.PASS
        return verdict

    def _tablespace(self, value: Token) -> Verdict:
        """Let what follows lie in the default tablespace, where the server lacks the one that a dump names for it."""
        name = self._name(value).strip("'")
        if name and name != "default" and name not in self._facts.tablespaces:
            self._text = b"SET default_tablespace = ''"
            self.notes.transform("tablespace", f'"{name}"')
        return Verdict.PASS

    def _object(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        """Judge CREATE, ALTER and DROP by what they are about."""
        words = [token.word for token in tokens[:4]] + [""] * 4
        kind = words[1]
        if kind == "DATABASE":
            return self._database(statement, tokens[2:], words[0])
        if kind == "USER" and words[2] == "MAPPING":
            return self._roles(statement, _after(tokens, "FOR")[:1], "grant")
        if kind in _SERVER_WIDE:
            within = _after(tokens, "DATABASE")
            if words[0] == "ALTER" and kind in {"ROLE", "USER"} and within and self._options.foreign:
                return self._database(statement, within, f"{words[0]} {kind}")
            return self._refuse(statement, f"{words[0]} {kind}")
        if words[:3] == ["ALTER", "DEFAULT", "PRIVILEGES"]:
            return self._default_privileges(statement, tokens)
        if words[0] == "ALTER":
            return self._roles(statement, _owner(tokens), "owner")
        if words[:2] == ["CREATE", "POLICY"]:
            return self._policy(statement, tokens)
        return Verdict.PASS

    def _policy(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        roles = _listed(_between(tokens, "TO", {"USING", "WITH"}))
        verdict = self._roles(statement, roles, "grant", of=roles)
        if verdict is Verdict.LEAVE_OUT:
            self._no_policies.add(self._names(_until(tokens[2:], {"AS", "FOR", "TO", "USING", "WITH"})))
        return verdict

    def _names(self, tokens: Sequence[Token]) -> tuple[str, ...]:
        return tuple(map(self._name, tokens))

    def _on_object(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        """Judge COMMENT ON and SECURITY LABEL … ON."""
        about = _after(tokens, "ON")
        kind = about[0].word if about else ""
        if kind == "DATABASE":
            return self._database(statement, about[1:], f"{tokens[0].word} ON")
        if kind == "POLICY" and self._names(_until(about[1:], {"IS"})) in self._no_policies:
            return Verdict.LEAVE_OUT
        return self._refuse(statement, f"{tokens[0].word} ON {kind}") if kind in _SERVER_WIDE else Verdict.PASS

    def _database(self, statement: Statement, tokens: Sequence[Token], verb: str) -> Verdict:
        """Judge a statement about the database that follows."""
        names = [token for token in tokens if token.word not in {"IF", "NOT", "EXISTS"}]
        if not names or not names[0].names:
            return self._refuse(statement, f"{verb} DATABASE")
        return self._lines.about(statement.line, self._name(names[0]), f"{verb} DATABASE")

    def _grant(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        about = _after(tokens, "ON")
        if not about:
            return self._refuse(statement, f"{tokens[0].word} of a role")
        kind = about[0].word
        if kind in {"TABLESPACE", "PARAMETER"}:
            return self._refuse(statement, f"{tokens[0].word} ON {kind}")
        if kind == "DATABASE":
            return self._database(statement, about[1:], f"{tokens[0].word} ON")
        grantees, by = _grantees(tokens)
        return self._roles(statement, [*grantees, *by], "grant", of=grantees)

    def _default_privileges(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        owners = _listed(_between(tokens, "FOR", {"IN", "GRANT", "REVOKE"}))
        grantees, _ = _grantees(tokens)
        return self._roles(statement, [*owners, *grantees], "grant", of=grantees)

    def _copy(self, statement: Statement, _tokens: Sequence[Token]) -> Verdict:
        if statement.copies:
            return Verdict.PASS
        return self._refuse(statement, "COPY with a file, a program or the client")

    def _prepare(self, statement: Statement, tokens: Sequence[Token]) -> Verdict:
        two = tokens[1].word if len(tokens) > 1 else ""
        return self._refuse(statement, "PREPARE TRANSACTION") if two == "TRANSACTION" else Verdict.PASS

    def _roles(
        self, statement: Statement, named: Iterable[Token], transform: str, *, of: Sequence[Token] = ()
    ) -> Verdict:
        """Judge a statement that needs the roles `named`: passed where all are there, else by the options.

        `of` are those of a list of which some can be left out: the others keep what it gives them, or takes from them.
        """
        quoted = [token for token in named if token.names and token.word not in {*_NO_ROLES, "GROUP", "ROLE", "USER"}]
        known = self._facts.roles | self._options.roles
        # a client that quotes every name writes "public" for PUBLIC, and no role can be called so
        names = [name for name in map(self._name, quoted) if name != "public"]
        missing = [name for name in names if name not in known]
        if not missing:
            for name in names:
                self.notes.name(name)
            return Verdict.PASS
        if self._options.owners == "skip":
            for name in missing:
                self.notes.transform(transform, f'"{name}"')
            lost = [token for token in quoted if self._name(token) in missing]
            return self._shorten(lost, of)
        for name in missing:
            if name not in self._missing:
                self._missing.add(name)
                self.notes.refuse(statement.line, f'names the role "{name}", which does not exist here', _ROLE_HINT)
        return Verdict.REFUSE

    def _shorten(self, lost: Sequence[Token], of: Sequence[Token]) -> Verdict:
        """Take the tokens `lost` out of the list `of`, if they stand in it, and it is not empty then."""
        left = [one for one in of if one not in lost and one.word not in {"GROUP", "ROLE", "USER"}]
        if not left or any(one not in of for one in lost):
            return Verdict.LEAVE_OUT
        text = self._text
        kept = b", ".join(text[one.start : one.end] for one in left)
        self._text = text[: of[0].start] + kept + text[of[-1].end :]
        return Verdict.PASS


def _after(tokens: Sequence[Token], word: str) -> Sequence[Token]:
    """Return the tokens after the first `word` (none, where it is not there)."""
    at = next((number for number, token in enumerate(tokens) if token == word), len(tokens))
    return tokens[at + 1 :]


def _between(tokens: Sequence[Token], word: str, ends: set[str]) -> Sequence[Token]:
    """Return the tokens after the first `word`, up to the first of `ends`."""
    return _until(_after(tokens, word), ends)


def _until(tokens: Sequence[Token], ends: set[str]) -> Sequence[Token]:
    """Return the tokens up to the first of `ends`."""
    at = next((number for number, token in enumerate(tokens) if token.word in ends), len(tokens))
    return tokens[:at]


def _listed(tokens: Sequence[Token]) -> list[Token]:
    return [token for token in tokens if token.names]


def _owner(tokens: Sequence[Token]) -> Sequence[Token]:
    """Return the role of a closing OWNER TO."""
    return tokens[-1:] if len(tokens) > 3 and tokens[-3] == "OWNER" and tokens[-2] == "TO" else ()


def _grantees(tokens: Sequence[Token]) -> tuple[list[Token], list[Token]]:
    """Return the roles behind the last TO or FROM, and the one behind GRANTED BY."""
    at = max((number for number, token in enumerate(tokens) if token.word in {"TO", "FROM"}), default=len(tokens))
    ends = {"WITH", "GRANTED", "CASCADE", "RESTRICT"}
    rest = tokens[at + 1 :]
    stop = next((number for number, token in enumerate(rest) if token.word in ends), len(rest))
    return _listed(rest[:stop]), _listed(_between(rest, "BY", {"CASCADE", "RESTRICT"}))
