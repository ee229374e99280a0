"""Which statements of a script for MySQL or MariaDB may pass into a database, and how.

Refused is whatever concerns more than the one database: other databases, accounts, global variables, files, plugins,
replication, commands of the client, and SQL that is made at run time, which nobody can judge. Not refused is what a
database's own code may do (routines, triggers, ``CALL``): it runs with its definer's or the account's rights.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vya_backupdb.engines import my_charsets, my_collations, my_definers, my_elsewhere, my_faithful, my_selection
from vya_backupdb.engines.loading import LoadOptions
from vya_backupdb.engines.my_qualifiers import counts, points, qualified, reads
from vya_backupdb.engines.my_session import quote
from vya_backupdb.engines.selection import Selection
from vya_backupdb.engines.statements import Command, Statement
from vya_backupdb.engines.tokens import Edit, Token, edited, of_mysql
from vya_backupdb.engines.transforms import BY_HAND, DatabaseLines, Notes, Verdict

_PASSING: Final = re.compile(
    "SELECT|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|UNLOCK|DO|CALL|SHOW|VALUES|DESCRIBE|DESC|CHECKSUM"
)
#: Up to where a statement's head names what it changes.
_HEADS: Final = {
    "INSERT": {"VALUES", "VALUE", "SET", "SELECT", "(", "TABLE"},
    "REPLACE": {"VALUES", "VALUE", "SET", "SELECT", "(", "TABLE"},
    "UPDATE": {"SET"},
    "DELETE": {"WHERE", "ORDER", "LIMIT"},
    "TRUNCATE": set[str](),
    "RENAME": set[str](),
    "LOCK": set[str](),
    "ANALYZE": set[str](),
    "OPTIMIZE": set[str](),
    "REPAIR": set[str](),
    "CHECK": set[str](),
}
_KINDS: Final = frozenset(
    {"TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE", "INDEX", "PACKAGE", "LIBRARY"}
)
_CODE: Final = frozenset({"VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"})
#: Words that may stand between CREATE (ALTER, DROP) and what is made.
_OTHER_KINDS: Final = frozenset(
    {"DATABASE", "SCHEMA", "USER", "ROLE", "SERVER", "TABLESPACE", "LOGFILE", "RESOURCE", "INSTANCE", "REFERENCE"}
)
_ENDS_OF_NAME: Final = {
    "TABLE": {"(", "LIKE", "AS", "SELECT"},
    "TRIGGER": {"FOR"},
    "INDEX": {"("},
    "VIEW": {"(", "AS"},
    "EVENT": {"ON"},
    "SEQUENCE": {"START", "INCREMENT", "MINVALUE", "MAXVALUE"},
    "PROCEDURE": {"("},
    "FUNCTION": {"("},
    "PACKAGE": {"IS", "AS"},
    "LIBRARY": {"COMMENT", "LANGUAGE", "AS"},
}
_GLOBAL: Final = re.compile(r"@@(?:GLOBAL|PERSIST|PERSIST_ONLY)|GLOBAL|PERSIST|PERSIST_ONLY")
_REPLICATION: Final = frozenset({"gtid_purged", "sql_log_bin"})
_NO_VARIABLES: Final = frozenset({"NAMES", "CHARACTER", "CHARSET", "TRANSACTION"})
#: A statement that is longer is judged by its beginning.
_HEAD: Final = 64 * 1024
_OTHER_NAME: Final = "Restore it under its own name, to another server if that name is taken."


@dataclass(frozen=True, slots=True)
class MyFacts:
    """What decides on a statement: product and version (101108 for 10.11.8), names that the server knows, rights."""

    mariadb: bool
    version: int
    variables: frozenset[str]
    collations: frozenset[str]
    sets_definers: bool
    folds_names: bool


class MyRules:
    """`transforms.Rules` for the database `target` of a server of `facts`; it may become `options.target`."""

    def __init__(self, options: LoadOptions, facts: MyFacts, target: str) -> None:
        self.notes = Notes()
        self._options, self._facts, self._target = options, facts, target
        self._final = options.target or target
        self._lines = DatabaseLines(self.notes, options)
        self._selection = Selection(options, self.notes)
        self._kinds: dict[str, Callable[[Statement, Sequence[Token]], Verdict]] = {
            "SET": self._set,
            "USE": self._use,
            "CREATE": self._object,
            "ALTER": self._object,
            "DROP": self._object,
            "START": self._only({"TRANSACTION"}),
            "BEGIN": self._only({"", "WORK"}),
        }
        self._edits: list[Edit] = []
        self._passed = b""
        self._charset = "utf8mb4"

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
        return replace(self._selection.resolve(), target=self._final)

    def judge(self, statement: Statement) -> bytes | None:
        """See `transforms.Rules.judge`."""
        rows = my_selection.ROWS.match(statement.text)
        if rows is not None:
            self._lines.touched = True
            kept = self._selection.keeps(my_selection.of_rows(self._selection, rows[1]))
            return statement.text if kept else None
        self._edits = []
        pieces = self._pieces(statement, _HEAD)
        about = my_selection.about(self._selection, pieces)
        if not self._selection.keeps(about):
            return None
        first = pieces[0].word if pieces else ""
        with self._selection.judging(about):
            verdict = self._judged(statement, pieces, first)
        if verdict is not Verdict.PASS:
            return None
        self._lines.touched |= first != "SET"
        self._passed = edited(statement.text, self._edits)
        return self._passed

    def command(self, command: Command) -> None:
        """See `transforms.Rules.command`: the only one that the reader knows is the sandbox line."""
        self.notes.transform("sandbox")

    def instead(self, statement: Statement, state: str, why: str) -> bytes | None:
        """See `transforms.Rules.instead`: a table whose place is not to be had is made in the default one."""
        return my_elsewhere.without_place(self._pieces(replace(statement, text=self._passed)), self._passed, self.notes)

    def _judged(self, statement: Statement, pieces: Sequence[Token], first: str) -> Verdict:
        # what a routine's body does, it does when it is called
        if first != "CREATE" and any(piece.word in {"OUTFILE", "DUMPFILE", "INFILE"} for piece in pieces):
            return self._refuse(statement, f"{first} with a file of the server")
        if first in self._kinds:
            return self._kinds[first](statement, pieces)
        if first in _HEADS:
            if first in {"ANALYZE", "CHECK"} and "TABLE" not in [piece.word for piece in pieces[1:3]]:
                return self._refuse(statement, first)
            return self._named(statement, pieces, _HEADS[first])
        # what stands in comments for other versions alone is nothing to this server, and it takes it
        return Verdict.PASS if not pieces or _PASSING.fullmatch(first) else self._unknown(statement, first)

    def _pieces(self, statement: Statement, length: int | None = None) -> list[Token]:
        known = self._facts
        text = statement.text[:length]
        return list(of_mysql(text, mariadb=known.mariadb, version=known.version, quotes=statement.quotes))

    def _refuse(self, statement: Statement, words: str) -> Verdict:
        self.notes.refuse(statement.line, f"{words} concerns more than this database", BY_HAND)
        return Verdict.REFUSE

    def _unknown(self, statement: Statement, word: str) -> Verdict:
        self.notes.refuse(statement.line, f"{word[:20] or 'what begins there'} is nothing that a dump does", BY_HAND)
        return Verdict.REFUSE

    def _only(self, words: set[str]) -> Callable[[Statement, Sequence[Token]], Verdict]:
        def judge(statement: Statement, pieces: Sequence[Token]) -> Verdict:
            second = pieces[1].word if len(pieces) > 1 else ""
            return Verdict.PASS if second in words else self._refuse(statement, f"{pieces[0].word} {second}")

        return judge

    def _use(self, statement: Statement, pieces: Sequence[Token]) -> Verdict:
        if len(pieces) < 2 or not pieces[1].names:
            return self._refuse(statement, "USE")
        return self._lines.entered(statement.line, _text(pieces[1]), "USE")

    def _set(self, statement: Statement, pieces: Sequence[Token]) -> Verdict:
        if len(pieces) < 2 or pieces[1].word in {"STATEMENT", "PASSWORD", "DEFAULT", "ROLE", "RESOURCE"}:
            return self._refuse(statement, f"SET {pieces[1].word if len(pieces) > 1 else ''}")
        self._charset = my_charsets.client_charset(pieces, self._charset)
        self._edits.extend(my_faithful.mode(pieces))
        names = _variables(pieces)
        if names & _REPLICATION:
            self.notes.transform("replication")
            return Verdict.LEAVE_OUT
        if any(_GLOBAL.fullmatch(piece.word) for piece in _assigned(pieces)):
            return self._refuse(statement, "SET GLOBAL")
        if pieces[1].word in _NO_VARIABLES or (len(pieces) > 2 and pieces[2].word == "TRANSACTION"):
            return self._collated(statement, pieces)
        if unknown := sorted(names - self._facts.variables):
            self.notes.transform("setting", unknown[0])
            return Verdict.LEAVE_OUT
        return self._collated(statement, pieces)

    def _object(self, statement: Statement, pieces: Sequence[Token]) -> Verdict:
        """Judge CREATE, ALTER and DROP by what they are about."""
        at = next((n for n, piece in enumerate(pieces) if piece.word in _KINDS | _OTHER_KINDS), None)
        if at is None:
            return self._refuse(statement, pieces[0].word)
        kind, verb = pieces[at].word, pieces[0].word
        if kind in {"DATABASE", "SCHEMA"}:
            return self._database(statement, pieces[at + 1 :], verb)
        if kind in _OTHER_KINDS or _is_library(pieces[at:]):
            return self._refuse(statement, f"{verb} {kind}")
        self._definer(pieces[:at])
        if verb == "CREATE":
            self._encode(statement, pieces, at)
        if verb == "CREATE" and kind == "TABLE" and self._facts.mariadb and not self._options.foreign:
            self._edits.extend(my_faithful.nullable(pieces))
        ends = _ENDS_OF_NAME[kind] if verb == "CREATE" else set[str]()
        if verb == "ALTER" and not {"RENAME", "EXCHANGE"} & {piece.word for piece in pieces}:
            ends = {"ADD", "MODIFY", "CHANGE", "DROP", "ALTER", "CONVERT", "AS", "ON", "("}
        verdict = self._named(statement, pieces[at:], ends)
        if verdict is Verdict.PASS and verb != "DROP":
            verdict = self._collated(statement, pieces)
        if verdict is Verdict.PASS and verb == "CREATE":
            verdict = self._within(statement, pieces, kind)
        return verdict

    def _database(self, statement: Statement, pieces: Sequence[Token], verb: str) -> Verdict:
        """Judge a statement about a whole database. What dumps alter around a routine is meant for the target."""
        names = [piece for piece in pieces if piece.word not in {"IF", "NOT", "EXISTS"}]
        if not names or not names[0].names or any(piece.word == "UPGRADE" for piece in names):
            return self._refuse(statement, f"{verb} DATABASE")
        name = _text(names[0])
        if verb != "ALTER" or not (self._same(name, self._target) or self._is_source(name)):
            return self._lines.about(statement.line, name, f"{verb} DATABASE")
        if not self._same(name, self._target):
            self._edits.append(Edit(names[0].start, names[0].end, quote(self._target).encode()))
            self.notes.transform("alter-database", repr(name))
        return self._collated(statement, pieces)

    def _named(self, statement: Statement, pieces: Sequence[Token], ends: set[str]) -> Verdict:
        """Judge the names with a database in front, up to one of `ends`."""
        stop = next((n for n, piece in enumerate(pieces) if piece.word in ends or ("(" in ends and piece == "(")), None)
        for qualifier, name in qualified(pieces[:stop]):
            database = _text(qualifier)
            if self._is_source(database):
                self._unqualify(qualifier, name, "qualified")
            elif not self._same(database, self._target):
                hint = "Split the file: one database can be restored at a time."
                self.notes.refuse(statement.line, f"concerns the database {database!r}", hint)
                return Verdict.REFUSE
        return Verdict.PASS

    def _within(self, statement: Statement, pieces: Sequence[Token], kind: str) -> Verdict:
        """Judge a definition that may name the source.

        Tables and views are to count by the sequences that are loaded with them, so where they are loaded; code is to
        run where it ends.
        """
        source = self._lines.source
        if source is None or self._same(source, self._target) or source.encode() not in statement.text:
            return Verdict.PASS
        every = pieces if len(statement.text) <= _HEAD else self._pieces(statement)
        runs_elsewhere = kind in _CODE and not self._same(source, self._final)
        for number, (qualifier, name) in enumerate(qualified(every)):
            if number == 0 and any(edit.start == qualifier.start for edit in self._edits):
                continue
            if not self._is_source(_text(qualifier)):
                continue
            at = every.index(qualifier)
            if points(every, at) if kind == "TABLE" else kind == "VIEW" and counts(every, at):
                self._unqualify(qualifier, name, "sequence")
            elif runs_elsewhere and (reads(every, at) or counts(every, at)):
                what = f"defines a {kind.lower()} that names the database {source!r}, so not as {self._final!r}"
                self.notes.refuse(statement.line, what, _OTHER_NAME)
                return Verdict.REFUSE
        return Verdict.PASS

    def _unqualify(self, qualifier: Token, name: Token, transform: str) -> None:
        self._edits.append(Edit(qualifier.start, name.start, b""))
        self.notes.transform(transform, repr(_text(qualifier)))

    def _encode(self, statement: Statement, pieces: Sequence[Token], at: int) -> None:
        """Say names and comments in the character set of the code that follows, if they are not."""
        for edit in my_charsets.mixed(statement.text, pieces, at, self._charset, mariadb=self._facts.mariadb):
            self._edits.append(edit)
            self.notes.transform("encoding", self._charset)

    def _definer(self, pieces: Sequence[Token]) -> None:
        """Take the definer out, if it is not to be kept or cannot be."""
        found = my_definers.find(pieces)
        if found is None:
            return
        if self._options.definers == "keep" and self._facts.sets_definers:
            self.notes.name(found.account)
            return
        self._edits.append(Edit(found.start, found.end, b""))
        self.notes.transform("definer", found.shown)

    def _collated(self, statement: Statement, pieces: Sequence[Token]) -> Verdict:
        """Put what the server has in the place of collations that it lacks."""
        for piece, certain in my_collations.named(pieces):
            name = piece.word.lower()
            if name in self._facts.collations or name.startswith("@") or name == "default":
                continue
            replacement = my_collations.nearest(name, self._facts.collations)
            if replacement is None and not certain:
                continue
            if replacement is None:
                hint = "Restore to a server that has it, or change the file."
                self.notes.refuse(statement.line, f"uses the collation {name}, which this server lacks", hint)
                return Verdict.REFUSE
            self._edits.append(Edit(piece.start, piece.end, replacement.encode()))
            self.notes.transform("collation", f"{name} becomes {replacement}")
        return Verdict.PASS

    def _same(self, one: str, other: str) -> bool:
        return one.casefold() == other.casefold() if self._facts.folds_names else one == other

    def _is_source(self, database: str) -> bool:
        source = self._lines.source
        return source is not None and self._same(database, source) and not self._same(database, self._target)


def _is_library(pieces: Sequence[Token]) -> bool:
    """Whether a function comes out of a library of the server: unlike a stored one it has no parentheses."""
    arguments = next((at for at, piece in enumerate(pieces) if piece == "("), len(pieces))
    return any(piece.word == "SONAME" for piece in pieces[:arguments])


def _text(piece: Token) -> str:
    return piece.text.decode("utf-8", "backslashreplace")


def _assigned(pieces: Sequence[Token]) -> list[Token]:
    """Return the first word of each assignment of a SET."""
    return [pieces[n] for n in range(1, len(pieces)) if n == 1 or pieces[n - 1] == ","]


def _variables(pieces: Sequence[Token]) -> frozenset[str]:
    """Return the system variables that a SET sets or reads, in lower case."""
    found = set()
    for number, piece in enumerate(pieces[1:], 1):
        if piece.text.startswith(b"@@"):
            scoped = number + 2 < len(pieces) and pieces[number + 1] == "."
            found.add(pieces[number + 2].word if scoped else piece.word[2:])
        elif piece.word and not piece.text.startswith(b"@") and pieces[number - 1] != ".":
            after = pieces[number + 1] if number + 1 < len(pieces) else None
            if after is not None and (after == "=" or after == ":"):
                found.add(piece.word)
    return frozenset(name.lower() for name in found)
