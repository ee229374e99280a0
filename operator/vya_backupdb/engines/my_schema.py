"""The schema of one MySQL or MariaDB database as `domain.schema` has it, from a constant number of queries.

The database's own name is no part of it: a foreign key into the same database says so, and in a view's text the name
becomes a token where it stands as an identifier (`without_own_name`). What a text says of a routine's body stays as its
author wrote it, for a dump writes it so, too.

Only objects that the account may see are there: the server hides the others (`my_rights`). Of a full-text index the
parser is not there, for no table of ``information_schema`` names it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from vya_backupdb.domain.errors import NotFound
from vya_backupdb.domain.schema import Schema, SchemaObject, schema_object, schema_of
from vya_backupdb.engines import my_schema_sources as sources
from vya_backupdb.engines.base import Product
from vya_backupdb.engines.my_schema_sources import Source
from vya_backupdb.engines.my_session import Session, literal, quote

#: Stands for the database's own name; no identifier in backticks can be equal to it.
OWN_NAME: Final = "<database>"
_TOKEN: Final = re.compile(
    r"'(?:[^'\\]|\\.|'')*+'|\"(?:[^\"\\]|\\.|\"\")*+\"|(?P<chain>`(?:[^`]|``)*+`(?:\.`(?:[^`]|``)*+`)*+)", re.DOTALL
)
_SEQUENCE: Final = "minimum_value, maximum_value, start_value, increment, cache_size, cycle_option"
_SEQUENCES_AT_ONCE: Final = 200

#: Of MariaDB's engines, which options they have of their own, in lower case; and how the catalogue shows one.
_OPTIONS: Final[Mapping[str | None, frozenset[str]]] = {
    "InnoDB": frozenset({"page_compressed", "page_compression_level", "encrypted", "encryption_key_id"}),
    **dict.fromkeys(("Aria", "MyISAM", "MEMORY", "CSV", "MRG_MyISAM", "ARCHIVE", "BLACKHOLE"), frozenset[str]()),
}
_OPTION: Final = re.compile(r" ?`((?:[^`]|``)*)`='(?:[^']|'')*'")

Row = dict[str, Any]


def read(session: Session, product: Product, database: str) -> Schema:
    """Return the schema of `database` as it is now. Raise NotFound if it does not exist."""
    name = _real_name(session, database)
    reader = _Reader(session, name)
    version = re.findall(
        r"\d+", str(session.value("SELECT VERSION()", "asking for the version")).removeprefix("5.5.5-")
    )
    return schema_of(f"{product} {'.'.join(version[: 2 if product == 'MariaDB' else 1])}", reader.objects())


def _real_name(session: Session, database: str) -> str:
    """Return the name as the server spells it, which a server that folds names may do in another case."""
    sql = "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = :db"
    names = [str(row["name"]) for row in session.rows(sql, f"looking for database {database!r}", db=database)]
    if database in names:
        return database
    if len(names) != 1 or names[0].casefold() != database.casefold():
        raise NotFound(f"database {database!r} does not exist", hint="Check its name; it may have been dropped.")
    return names[0]


class _Reader:
    """One reading of one database."""

    def __init__(self, session: Session, database: str) -> None:
        self._session, self._database = session, database
        self._known = self._known_columns()

    def _known_columns(self) -> frozenset[tuple[str, str]]:
        tables = ", ".join(f"'{source.table}'" for source in sources.SOURCES)
        rows = self._session.rows(
            "SELECT TABLE_NAME AS t, COLUMN_NAME AS c FROM information_schema.COLUMNS"
            f" WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME IN ({tables})",
            "asking what the server tells of schemas",
        )
        return frozenset((str(row["t"]).upper(), str(row["c"]).upper()) for row in rows)

    def _rows(self, source: Source) -> list[Row]:
        """Return the rows of one table of the catalogue; what it does not have is absent from each."""
        columns = [name for name in source.columns if (source.table, name) in self._known]
        if not columns:
            return []
        selected = ", ".join(f"{name} AS {name}" for name in dict.fromkeys(columns))
        rows = self._session.rows(
            f"SELECT {selected} FROM information_schema.{source.table} WHERE {source.schema} = :db",
            f"reading the schema of {self._database!r} ({source.table})",
            db=self._database,
        )
        # the server's comparison may be deaf to case
        return [row for row in rows if row[source.schema] == self._database]

    def objects(self) -> Iterator[SchemaObject]:
        """Yield every object of the database."""
        tables = self._rows(sources.TABLES)
        sequences = sorted(str(row["TABLE_NAME"]) for row in tables if row["TABLE_TYPE"] == "SEQUENCE")
        yield from (_plain("table", sources.TABLES, _as_dumped(row)) for row in tables if _is_table(row))
        real = {row["TABLE_NAME"] for row in tables if _is_table(row)}
        for row in self._rows(sources.COLUMNS):
            if row["TABLE_NAME"] not in sequences:
                yield _plain("column", sources.COLUMNS if row["TABLE_NAME"] in real else sources.VIEW_COLUMNS, row)
        yield from (
            _listed("index", sources.STATISTICS, rows)
            for rows in _grouped(self._rows(sources.STATISTICS), sources.STATISTICS)
        )
        yield from self._foreign_keys()
        yield from self._checks()
        partitions = self._rows(sources.PARTITIONS)
        yield from (_plain("partition", sources.PARTITIONS, row) for row in partitions if row["PARTITION_NAME"])
        yield from (_plain("trigger", sources.TRIGGERS, row) for row in self._rows(sources.TRIGGERS))
        yield from self._routines()
        yield from (_plain("event", sources.EVENTS, row) for row in self._rows(sources.EVENTS))
        yield from (_plain("library", sources.LIBRARIES, row) for row in self._rows(sources.LIBRARIES))
        for row in self._rows(sources.VIEWS):
            row["VIEW_DEFINITION"] = without_own_name(str(row["VIEW_DEFINITION"]), self._database)
            yield _plain("view", sources.VIEWS, row)
        yield from self._sequences(sequences)

    def _foreign_keys(self) -> Iterator[SchemaObject]:
        rules = {_key(sources.FOREIGN_KEYS, row): row for row in self._rows(sources.FOREIGN_KEYS)}
        for rows in _grouped(self._rows(sources.KEY_COLUMNS), sources.KEY_COLUMNS):
            rule = rules.get(_key(sources.KEY_COLUMNS, rows[0]))
            if rule is None:
                continue
            for row in rows:
                if row["REFERENCED_TABLE_SCHEMA"] == self._database:
                    row["REFERENCED_TABLE_SCHEMA"] = OWN_NAME
            key = _listed("foreign key", sources.KEY_COLUMNS, rows)
            yield schema_object(key.kind, key.name, {**key.structure, **_facet(sources.FOREIGN_KEYS.structure, rule)})

    def _checks(self) -> Iterator[SchemaObject]:
        found = [row for row in self._rows(sources.CONSTRAINTS) if row["CONSTRAINT_TYPE"] == "CHECK"]
        tables = {row["CONSTRAINT_NAME"]: row for row in found}
        for row in self._rows(sources.CHECKS):
            constraint = tables.get(row["CONSTRAINT_NAME"], {})
            table = row.get("TABLE_NAME") or constraint.get("TABLE_NAME", "")
            structure = {"level": row.get("LEVEL"), "enforced": constraint.get("ENFORCED")}
            name = (str(table), str(row["CONSTRAINT_NAME"]))
            yield schema_object("check", name, structure, _facet(sources.CHECKS.definition, row))

    def _routines(self) -> Iterator[SchemaObject]:
        grouped = _grouped(self._rows(sources.PARAMETERS), sources.PARAMETERS)
        parameters = {_key(sources.PARAMETERS, rows[0]): rows for rows in grouped}
        for row in self._rows(sources.ROUTINES):
            kind, name = _key(sources.ROUTINES, row)
            rows = [one for one in parameters.get((kind, name), []) if one["ORDINAL_POSITION"]]
            lists = _lists(sources.PARAMETERS.structure, rows, always=())
            plain = _plain(kind.lower(), sources.ROUTINES, row)
            yield SchemaObject(kind.lower(), (name,), {**plain.structure, **lists}, plain.definition, plain.labels)

    def _sequences(self, names: list[str]) -> Iterator[SchemaObject]:
        """Read MariaDB's sequences, each a table of one row, many at once."""
        for start in range(0, len(names), _SEQUENCES_AT_ONCE):
            sql = " UNION ALL ".join(
                f"SELECT JSON_ARRAY({literal(name)}, {_SEQUENCE}) FROM {quote(self._database)}.{quote(name)}"
                for name in names[start : start + _SEQUENCES_AT_ONCE]
            )
            for text in self._session.shown(sql, f"reading the sequences of {self._database!r}"):
                name, *values = json.loads(text)
                yield schema_object("sequence", (name,), dict(zip(_SEQUENCE.split(", "), values, strict=True)))


def _as_dumped(table: Row) -> Row:
    """Return a table's row with its options as its definition says them, which is all that a restored one can have.

    Of an Aria table SHOW CREATE TABLE writes PAGE_CHECKSUM, whether anybody gave it or not, and the row format that it
    has, which is PAGE where it knows none of the name. TRANSACTIONAL of all others, and what an engine's own options
    have left of the engine that a table had before, it writes as comments.
    """
    options, engine = str(table.get("CREATE_OPTIONS") or ""), table.get("ENGINE")
    if engine in _OPTIONS:
        options = _OPTION.sub(lambda one: one[0] if one[1].casefold() in _OPTIONS[engine] else "", options)
    if engine == "Aria":
        options = re.sub(r"row_format=(?:COMPACT|REDUNDANT|COMPRESSED)", "row_format=PAGE", options)
        options = re.sub(r"page_checksum=\d ?", "", options)
    else:
        options = re.sub(r" ?\btransactional=\d", "", options)
    return {**table, "CREATE_OPTIONS": options.strip()}


def _is_table(row: Row) -> bool:
    return row["TABLE_TYPE"] in {"BASE TABLE", "SYSTEM VERSIONED"}


def _key(source: Source, row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in source.name if row.get(name) is not None)


def _plain(kind: str, source: Source, row: Row) -> SchemaObject:
    """Return the object of one row."""
    facets = (_facet(part, row) for part in (source.structure, source.definition, source.labels))
    return schema_object(kind, _key(source, row), *facets)


def _facet(part: Mapping[str, str], row: Row) -> dict[str, Any]:
    return {name: _value(name, row.get(column)) for name, column in part.items()}


def _value(name: str, value: Any) -> Any:
    """Return what JSON can say. An empty word is none; two spellings of the same thing are one."""
    if value is None or value == "":
        return None
    if isinstance(value, bool | int):
        return value
    text = str(value)
    if name == "extra":
        return re.sub(r"(?i)current_timestamp(?:\(\))?", "current_timestamp", text)
    if name in {"character_set", "collation", "database_collation", "character_set_client", "collation_connection"}:
        return re.sub(r"^utf8(?=_|$)", "utf8mb3", text)
    if name == "sql_mode":
        return sorted(text.split(","))
    return text


def _grouped(rows: Iterable[Row], source: Source) -> list[list[Row]]:
    """Return the rows of each object, in the order of their places."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_key(source, row), []).append(row)
    place = source.structure["place"]
    return [sorted(group, key=lambda row: int(row[place] or 0)) for group in groups.values()]


def _listed(kind: str, source: Source, rows: list[Row]) -> SchemaObject:
    """Return the object of several rows: what differs by row as a list, the rest of the first row."""
    plain = _plain(kind, source, rows[0])
    lists = _lists(source.structure, rows, always=("columns",))
    expressions = _lists(source.definition, rows, always=())
    structure = {key: value for key, value in plain.structure.items() if key not in _BY_ROW} | lists
    return schema_object(kind, plain.name, structure, expressions, _facet(source.labels, rows[0]))


#: Attributes of which an object has one for each of its columns or parameters.
_BY_ROW: Final = frozenset(
    {"place", "columns", "orders", "prefixes", "expressions", "referenced_columns", "parameters", "modes", "types",
     "character_sets", "collations", "defaults"}
)  # fmt: skip


def _lists(part: Mapping[str, str], rows: list[Row], *, always: tuple[str, ...]) -> dict[str, Any]:
    """Return the attributes that each row has, as lists; one of nothing but None is left out."""
    lists = {
        name: [_value(name, row.get(column)) for row in rows]
        for name, column in part.items()
        if name in _BY_ROW and name != "place"
    }
    return {name: values for name, values in lists.items() if name in always or any(one is not None for one in values)}


def without_own_name(text: str, database: str) -> str:
    """Return a statement of the server's with a token for its own database, where that name begins a chain of names.

    Such text has every identifier in backticks. Strings are passed over, and a name that stands alone (an alias, a
    column) is kept. An alias that is called like the database cannot be told from it in a chain of two.
    """
    own = quote(database)

    def replaced(match: re.Match[str]) -> str:
        chain = match["chain"]
        if chain is None or not chain.startswith(f"{own}."):
            return match[0]
        return OWN_NAME + chain[len(own) :]

    return _TOKEN.sub(replaced, text)
