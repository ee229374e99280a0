"""What a statement of a PostgreSQL script is about, as far as a choice of tables needs to know."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from vya_backupdb.engines.selection import ALWAYS, OTHER, SURROUNDINGS, About, Relation, Selection
from vya_backupdb.engines.tokens import Token

#: Enough for the head of every statement that is about a relation; a trigger's or a grant's may be long.
HEAD: Final = 4096
_RELATIONS: Final = {"TABLE", "SEQUENCE", "INDEX"}
_SESSION: Final = {"SET", "RESET", "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ANALYZE"}
_APART: Final = {
    "VIEW",
    "MATERIALIZED",
    "FOREIGN",
    "PUBLICATION",
    "SUBSCRIPTION",
    "EVENT",
    "LARGE",
    "STATISTICS",
    "RULE",
}
_BEFORE_KIND: Final = {"OR", "REPLACE", "UNIQUE", "UNLOGGED", "TEMP", "TEMPORARY", "GLOBAL", "LOCAL", "CONSTRAINT"}
_BEFORE_NAME: Final = {"IF", "NOT", "EXISTS", "ONLY", "CONCURRENTLY", "TABLE", "ALL"}
_SETVAL: Final = re.compile(rb"(?is)SELECT\s+(?:pg_catalog\.)?setval\s*\(\s*'((?:[^']|'')*)'")
_NEXTVAL: Final = re.compile(rb"(?i)\bnextval\"?\s*\(\s*'((?:[^']|'')*)'")
_PARTS: Final = re.compile(r'"(?:[^"]|"")*"|[^".]+')
Name = Callable[[Token], str]


class PgSubject:
    """Tells what statements are about, and tells `selection` what belongs together. `name` reads a token as a name."""

    def __init__(self, selection: Selection, name: Name) -> None:
        self._selection, self._name = selection, name

    def about(self, text: bytes, tokens: Sequence[Token]) -> About:
        """Return what a statement is about."""
        first = tokens[0].word if tokens else ""
        if first in _SESSION or (first == "SELECT" and b"set_config" in text[:100]):
            return ALWAYS
        if first == "SELECT":
            found = _SETVAL.match(text)
            return About(_split(found[1].decode("utf-8", "replace"))) if found else OTHER
        if first in {"COPY", "INSERT", "DELETE", "TRUNCATE", "UPDATE"}:
            return self._rows(tokens)
        if first in {"CREATE", "ALTER", "DROP"}:
            return self._object(text, tokens)
        if first in {"COMMENT", "SECURITY", "GRANT", "REVOKE"}:
            return self._on(tokens)
        return OTHER

    def dispensable(self, tokens: Sequence[Token]) -> str:
        """Return what chosen tables may do without, and a statement is about, such as 'function public.f'; else ''.

        It is what may stand on a table that was not chosen: a function of its rows, or a policy that looks into it.
        """
        first = tokens[0].word if tokens else ""
        at = _place(tokens, "ON", 0) + 1 if first in {"COMMENT", "SECURITY", "GRANT", "REVOKE"} else 1
        at = next((n for n in range(at, len(tokens)) if tokens[n].word not in _BEFORE_KIND), len(tokens) - 1)
        if tokens[at].word != "POLICY" and self.about(b"", tokens).kind != "surroundings":
            return ""
        named = self._relation(tokens, at + 1) or ()
        return ".".join(filter(None, named)).join((f"{tokens[at].word.lower()} ", ""))

    def _rows(self, tokens: Sequence[Token]) -> About:
        at = 2 if len(tokens) > 1 and tokens[1].word in {"INTO", "FROM"} else 1
        relation = self._relation(tokens, at)
        if relation is None:
            return OTHER
        self._selection.table(relation)
        return About(relation)

    def _object(self, text: bytes, tokens: Sequence[Token]) -> About:
        at = 1
        while at < len(tokens) and tokens[at].word in _BEFORE_KIND:
            at += 1
        kind = tokens[at].word if at < len(tokens) else ""
        if kind in {"TRIGGER", "POLICY", "INDEX"} and tokens[0].word == "CREATE":
            return self._beside(tokens, at, kind)
        if kind in _RELATIONS:
            relation = self._relation(tokens, at + 1)
            if relation is not None and kind == "TABLE":
                for found in _NEXTVAL.finditer(text):
                    self._selection.part(_split(found[1].decode("utf-8", "replace")), relation)
            return self._related(tokens, kind, relation) if relation else OTHER
        return OTHER if kind in _APART else SURROUNDINGS

    def _beside(self, tokens: Sequence[Token], at: int, kind: str) -> About:
        """Judge what is made ON a table; an index is a relation, too."""
        table = self._relation(tokens, _place(tokens, "ON", at + 2) + 1)
        if table is None:
            return OTHER
        own = self._relation(tokens, at + 1)
        if kind == "INDEX" and own is not None:
            self._selection.part((table[0], own[1]), table)
        return About(table)

    def _related(self, tokens: Sequence[Token], kind: str, relation: Relation) -> About:
        words = {token.word for token in tokens}
        if kind == "SEQUENCE" and {"OWNED", "BY"} <= words:
            owner = self._owner(tokens, _place(tokens, "BY", 0) + 1)
            self._part(relation, owner)
            # another table may count by it, and be chosen without its owner
            return About(relation, needs=owner)
        if kind != "TABLE":
            return About(relation)
        if tokens[0].word == "CREATE":
            self._selection.table(relation)
            for parent in self._parents(tokens):
                self._part(parent, relation)
        if {"ATTACH", "PARTITION"} <= words:
            self._part(self._relation(tokens, _place(tokens, "PARTITION", 0) + 1), relation)
        if {"SEQUENCE", "NAME"} <= words:
            self._part(self._relation(tokens, _place(tokens, "NAME", 0) + 1), relation)
        needs = self._relation(tokens, _place(tokens, "REFERENCES", 0) + 1) if "FOREIGN" in words else None
        return About(relation, needs=needs)

    def _parents(self, tokens: Sequence[Token]) -> Iterator[Relation | None]:
        """Yield the tables of ``INHERITS (a, b)``: without them the server does not make the table."""
        at = _place(tokens, "INHERITS", 0) + 1
        end = _place(tokens, ")", at)
        while at < end:
            yield self._relation(tokens, at + 1)
            at = min(end, _place(tokens, ",", at + 1))

    def _part(self, part: Relation | None, table: Relation | None) -> None:
        if part is not None and table is not None:
            self._selection.part(part, table)

    def _owner(self, tokens: Sequence[Token], at: int) -> Relation | None:
        """Return the table of ``schema.table.column`` or ``table.column`` at `at`."""
        relation = self._relation(tokens, at)
        whole = at + 3 < len(tokens) and tokens[at + 3] == "."
        return relation if whole or relation is None else (None, relation[0] or relation[1])

    def _on(self, tokens: Sequence[Token]) -> About:
        """Judge COMMENT, SECURITY LABEL, GRANT and REVOKE by what stands behind ON."""
        at = _place(tokens, "ON", 0) + 1
        kind = tokens[at].word if at < len(tokens) else ""
        if kind in {"CONSTRAINT", "TRIGGER", "POLICY"}:
            relation = self._relation(tokens, _place(tokens, "ON", at) + 1)
        elif kind == "COLUMN":
            relation = self._owner(tokens, at + 1)
        elif kind in _RELATIONS:
            relation = self._relation(tokens, at + 1)
        elif kind in _APART:
            return OTHER
        else:
            bare = tokens[0].word in {"GRANT", "REVOKE"} and at + 1 < len(tokens) and not tokens[at + 1].names
            relation = self._relation(tokens, at) if bare else None
        return About(relation) if relation else SURROUNDINGS

    def _relation(self, tokens: Sequence[Token], at: int) -> Relation | None:
        """Return the name that begins at `at`, after words that may stand before it."""
        while at < len(tokens) and tokens[at].word in _BEFORE_NAME:
            at += 1
        if at >= len(tokens) or not tokens[at].names:
            return None
        first = self._name(tokens[at])
        if at + 2 < len(tokens) and tokens[at + 1] == "." and tokens[at + 2].names:
            return (first, self._name(tokens[at + 2]))
        return (None, first)


def _place(tokens: Sequence[Token], word: str, start: int) -> int:
    """Return where `word` stands first, from `start` on; behind the end where it does not."""
    return next((at for at in range(start, len(tokens)) if tokens[at] == word), len(tokens))


def _split(text: str) -> Relation:
    """Return what a text such as ``"public"."Odd ""name"`` names."""
    found = _PARTS.findall(text.replace("''", "'"))
    parts = [part[1:-1].replace('""', '"') if part[:1] == '"' else part for part in found]
    return (parts[-2] if len(parts) > 1 else None, parts[-1] if parts else "")
