"""The schema of one database in a form that survives dump and restore: a list of objects, each with three facets.

- `structure`: typed attributes of the catalogue (a column's type, a key's columns). The same after every restore.
- `definition`: fingerprints of text that the server writes out of what it parsed (defaults, checks, bodies). Such text
  may change once when it is parsed again, so a difference with the same structure is a warning.
- `labels`: fingerprints of comments, owners, privileges and definers, which a restore may be told to leave out.

Invariants: the form is canonical JSON, so no name can be mistaken for a separator; the order of rows, of attributes and
of the server's collation has no influence; an attribute that is None is as good as absent, so that a later version may
add one; no text of a definition or a label is kept, only fingerprints. Schemas of two dialects (product and the version
that a catalogue depends on) cannot be compared by their hashes. `schema_hash_version` says by which rules.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

from vya_backupdb.domain.errors import BackupCorrupt

HASH_VERSION: Final = 1
Facet = Literal["structure", "definition", "labels"]
FACETS: Final[tuple[Facet, ...]] = ("structure", "definition", "labels")
#: What stands in `metadata.json` of the objects, at most; every listing reads that file.
PACKED_LIMIT: Final = 1 << 20
_UNPACKED_LIMIT: Final = 256 << 20
_FINGERPRINT_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """One object: what it is, its name as a path (schema, table, column), and its facets without None."""

    kind: str
    name: tuple[str, ...]
    structure: Mapping[str, Any] = field(default_factory=dict)
    definition: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The object for a message: 'column public.item.name'."""
        return f"{self.kind} {'.'.join(self.name)}"

    def facet(self, facet: Facet) -> Mapping[str, Any]:
        """Return one facet by name."""
        return {"structure": self.structure, "definition": self.definition, "labels": self.labels}[facet]


def schema_object(
    kind: str,
    name: Iterable[str],
    structure: Mapping[str, Any],
    definition: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
) -> SchemaObject:
    """Return an object from what a catalogue says: None is left out, definitions and labels become fingerprints."""
    return SchemaObject(
        kind,
        tuple(name),
        {key: value for key, value in structure.items() if value is not None},
        {key: fingerprint(value) for key, value in (definition or {}).items() if value is not None},
        {key: fingerprint(value) for key, value in (labels or {}).items() if value is not None},
    )


@dataclass(frozen=True)
class Schema:
    """All objects of a database, sorted. Make one by `schema_of`."""

    dialect: str
    objects: tuple[SchemaObject, ...]

    @cached_property
    def structure_hash(self) -> str:
        """The root over the typed attributes, in hex: ``schema_info.schema_hash``."""
        return self._root("structure")

    @cached_property
    def definition_hash(self) -> str:
        """The root over the texts that the server wrote out."""
        return self._root("definition")

    @cached_property
    def labels_hash(self) -> str:
        """The root over comments, owners, privileges and definers."""
        return self._root("labels")

    def _root(self, facet: Facet) -> str:
        """Hash the sorted digests of the objects; one without the facet has no part in it but for the structure."""
        head = canonical([f"vya-backupdb schema {HASH_VERSION}", self.dialect, facet])
        parts = [(one, one.facet(facet)) for one in self.objects]
        lines = sorted(
            canonical([one.kind, *one.name, hashlib.sha256(canonical(dict(part))).hexdigest()])
            for one, part in parts
            if part or facet == "structure"
        )
        return hashlib.sha256(b"\n".join((head, *lines))).hexdigest()

    @cached_property
    def by_key(self) -> Mapping[tuple[str, ...], SchemaObject]:
        """The objects by kind and name."""
        return {(one.kind, *one.name): one for one in self.objects}

    def count(self, kind: str) -> int:
        """Return how many objects are of `kind`."""
        return sum(one.kind == kind for one in self.objects)


def schema_of(dialect: str, objects: Iterable[SchemaObject]) -> Schema:
    """Return the schema of `objects` in any order. Two of one kind and name are told apart by their content's order."""
    ordered = sorted(objects, key=_place)
    seen: dict[tuple[str, ...], int] = {}
    told_apart = []
    for one in ordered:
        key = (one.kind, *one.name)
        seen[key] = seen.get(key, 0) + 1
        name = one.name if seen[key] == 1 else (*one.name, f"#{seen[key]}")
        told_apart.append(SchemaObject(one.kind, name, one.structure, one.definition, one.labels))
    return Schema(dialect, tuple(sorted(told_apart, key=_place)))


def _place(one: SchemaObject) -> tuple[str, tuple[str, ...], bytes]:
    return one.kind, one.name, canonical(_as_list(one))


def without_table(schema: Schema, name: str) -> Schema:
    """Return `schema` without the table `name` of a database that has no schemas, and what belongs to it."""
    return Schema(schema.dialect, tuple(one for one in schema.objects if one.name[0] != name))


def canonical(value: Any) -> bytes:
    """Return JSON with sorted keys, in ASCII and without blanks: one text for one value, without a raw newline."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()


def fingerprint(value: Any) -> str:
    """Return 128 bits of the hash of `value`, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()[:_FINGERPRINT_DIGITS]


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs; for a changed one, the attributes of each facet that do."""

    kind: str
    name: tuple[str, ...]
    how: Literal["added", "removed", "changed"]
    attributes: Mapping[Facet, tuple[str, ...]] = field(default_factory=dict)

    def touches(self, *facets: Facet) -> bool:
        """Whether the object is new or gone, or differs in one of `facets`."""
        return self.how != "changed" or any(self.attributes.get(facet) for facet in facets)

    def __str__(self) -> str:
        """Return 'column public.item.name (type, not_null)' or 'view public.v is removed'."""
        words = f"{self.kind} {'.'.join(self.name)}"
        if self.how != "changed":
            return f"{words} is {self.how}"
        return f"{words} ({', '.join(name for facet in FACETS for name in self.attributes.get(facet, ()))})"


def diff(before: Schema, after: Schema) -> tuple[Change, ...]:
    """Return what differs from `before` to `after`, sorted by kind and name."""
    changes = []
    for key in sorted(before.by_key.keys() | after.by_key.keys()):
        old, new = before.by_key.get(key), after.by_key.get(key)
        if old is None or new is None:
            changes.append(Change(key[0], key[1:], "added" if old is None else "removed"))
        elif old != new:
            attributes = {facet: _differing(old.facet(facet), new.facet(facet)) for facet in FACETS}
            changes.append(Change(key[0], key[1:], "changed", attributes))
    return tuple(changes)


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A restored schema beside that of its backup. `failures` make the restore one that did not succeed."""

    failures: tuple[Change, ...]
    warnings: tuple[Change, ...]


def compare(backup: Schema, restored: Schema) -> Comparison:
    """Sort the differences: lost or other structure is a failure, what is only written otherwise or new is a warning.

    Between two dialects nothing is a failure: a catalogue of a later version may say the same thing in other words.
    """
    changes = diff(backup, restored)
    if backup.dialect != restored.dialect:
        return Comparison((), changes)
    failures = tuple(one for one in changes if one.how != "added" and one.touches("structure"))
    return Comparison(failures, tuple(one for one in changes if one not in failures))


def changed_under(before: Schema, after: Schema, *, by_snapshot: bool = True) -> tuple[Change, ...]:
    """Return what may have made a dump taken between the two wrong: objects that went away, or were defined anew.

    An object that appeared was no part of the moment before; labels are read by a dump at its own moment. Where the
    client does not read definitions `by_snapshot`, a part that a table got (a column, a key, a check) stands in the
    dump with rows that were never held to it.
    """
    tables = {one.name for one in before.objects if one.kind == "table"}

    def harms(change: Change) -> bool:
        if change.how == "added":
            return not by_snapshot and change.name[:1] in tables and len(change.name) > 1
        return change.touches("structure", "definition")

    return tuple(one for one in diff(before, after) if harms(one))


def pack(schema: Schema, limit: int = PACKED_LIMIT) -> str | None:
    """Return the schema as text for the metadata (base64 of zlib of JSON), or None if it is longer than `limit`."""
    document = {
        "version": HASH_VERSION,
        "dialect": schema.dialect,
        "objects": [_as_list(one) for one in schema.objects],
    }
    text = base64.b64encode(zlib.compress(canonical(document), 9)).decode()
    return text if len(text) <= limit else None


def unpack(text: str, *, source: str) -> Schema | None:
    """Return the schema that `pack` wrote; None for a later version's. Raise BackupCorrupt, naming `source`."""
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), _UNPACKED_LIMIT)
        if not inflate.eof:
            raise ValueError("it is cut off, or too long")
        document = json.loads(data)
        if document["version"] != HASH_VERSION:
            return None
        return schema_of(str(document["dialect"]), [_of_list(one) for one in document["objects"]])
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
        raise BackupCorrupt(
            f"{source}: schema_objects cannot be read: {error}", hint="The metadata is damaged; take another backup."
        ) from None


def _as_list(one: SchemaObject) -> list[Any]:
    return [one.kind, list(one.name), dict(one.structure), dict(one.definition), dict(one.labels)]


def _of_list(item: Any) -> SchemaObject:
    kind, name, *facets = item
    structure, definition, labels = (dict(facet) for facet in facets)
    return SchemaObject(str(kind), tuple(str(part) for part in name), structure, definition, labels)


def listed(changes: Iterable[Change], most: int = 10) -> str:
    """Return changes for a message: at most `most`, and how many more."""
    texts = [str(one) for one in changes]
    shown = "; ".join(texts[:most])
    return shown if len(texts) <= most else f"{shown}; and {len(texts) - most} more"
