"""Which statements of a file belong to the tables that were asked for.

A file names what belongs to a table (sequences, indexes, partitions) only after or beside it, so an inspector reads all
of it first and resolves the choice; a loader is given what was resolved, and leaves out everything else.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from vya_backupdb.engines.loading import LoadOptions, Refusal
from vya_backupdb.engines.transforms import Notes

#: Schema (None where the file gives none, or the product has none) and name.
Relation = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class About:
    """What a statement is about: a relation, or what `kind` says. `needs` is another table that it refers to.

    ``always`` concerns the session; ``surroundings`` is what tables stand on; ``other`` is neither.
    """

    relation: Relation | None = None
    kind: Literal["relation", "always", "surroundings", "other"] = "relation"
    needs: Relation | None = None


ALWAYS: Final = About(kind="always")
SURROUNDINGS: Final = About(kind="surroundings")
OTHER: Final = About(kind="other")


class Selection:
    """The choice of `options.tables`: found out (`resolve`), or kept (`keeps`) once it is resolved."""

    def __init__(self, options: LoadOptions, notes: Notes) -> None:
        self._options, self._notes = options, notes
        self._parts: dict[Relation, set[Relation]] = {}
        self._tables: dict[Relation, None] = {}
        self._seen: Counter[About] = Counter()
        self._held: list[tuple[About, list[Refusal]]] = []
        self.active = bool(options.tables)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables seen so far, sorted."""
        return tuple(sorted(_words(one) for one in self._tables))

    def table(self, relation: Relation) -> None:
        """Note that the file makes or fills the table `relation`."""
        self._tables[relation] = None

    def part(self, part: Relation, table: Relation) -> None:
        """Note that `part` (a sequence, an index, a partition) belongs to `table`, and perhaps to others, too."""
        self._parts.setdefault(part, set()).add(table)

    def keeps(self, about: About) -> bool:
        """Whether a statement is loaded; what is left out is counted."""
        chosen = self._options.resolved
        if chosen is None or about.kind == "always":
            self._seen[about] += self.active and about.kind != "always"
            return True
        return self._chosen(about, chosen, 1)

    def _chosen(self, about: About, chosen: frozenset[Relation], times: int) -> bool:
        kept = about.kind == "surroundings" and self._options.surroundings
        if about.relation is not None:
            kept = _within(about.relation, chosen)
            if kept and about.needs is not None and self._options.surroundings and not _within(about.needs, chosen):
                self._notes.transform("reference", _words(about.needs), times)
                return False
        if not kept:
            self._notes.transform("selection", times=times)
        return kept

    @contextmanager
    def judging(self, about: About) -> Iterator[None]:
        """Hold back what the block refuses until it is known whether the statement is loaded at all."""
        before = len(self._notes.refusals)
        yield
        if self.active and self._options.resolved is None and self._notes.refusals[before:]:
            self._held.append((about, self._notes.refusals[before:]))
            del self._notes.refusals[before:]

    def resolve(self) -> LoadOptions:
        """Return the options with the choice resolved. What cannot be chosen is refused."""
        if not self.active or self._options.resolved is not None:
            return self._options
        chosen = {found for wanted in self._options.tables for found in self._found(wanted)}
        grown = True
        while grown:
            more = {part for part, tables in self._parts.items() if tables & chosen} - chosen
            chosen, grown = chosen | more, bool(more)
        resolved = frozenset(chosen)
        kept = {about for about, times in self._seen.items() if self._chosen(about, resolved, times)}
        for about, refusals in self._held:
            if about in kept or about.kind == "always":
                self._notes.refusals.extend(refusals)
        return replace(self._options, resolved=resolved)

    def _found(self, wanted: str) -> list[Relation]:
        found = [one for one in self._tables if wanted in {one[1], _words(one)}]
        exact = [one for one in found if _words(one) == wanted]
        found = exact or found
        if len(found) == 1:
            return found
        if not found:
            known = ", ".join(self.tables[:10]) + (" and more" if len(self.tables) > 10 else "")
            self._notes.refuse(0, f"lacks the table {wanted!r}", f"Choose from its tables: {known or 'it has none'}.")
        else:
            places = " or ".join(map(_words, found))
            self._notes.refuse(0, f"has several tables {wanted!r}", f"Name one with its schema: {places}.")
        return []


def _within(relation: Relation, chosen: frozenset[Relation]) -> bool:
    if relation in chosen:
        return True
    schema, name = relation
    return any(name == other and None in {schema, place} for place, other in chosen)


def _words(relation: Relation) -> str:
    return ".".join(filter(None, relation))
