"""Which columns of ``information_schema`` say what about a MySQL or MariaDB database, and what kind of attribute it is.

Left out: counters, times, sizes, cardinalities, and what the server derives from the rest (whether a view can be
updated, a column's key flag). A column that a server does not have is left out of the query and so of the object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Source:
    """One table of ``information_schema``: how it names its schema and its rows, and its attributes by facet.

    Of several columns with the schema it is the one by which MariaDB finds the files: by another (a trigger's, say,
    instead of its table's) it opens every table of the server.
    """

    table: str
    schema: str
    name: tuple[str, ...]
    structure: Mapping[str, str] = field(default_factory=dict)
    definition: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        parts = (self.structure, self.definition, self.labels)
        return (self.schema, *self.name, *(column for part in parts for column in part.values()))


#: What a stored body was parsed under.
_SETTINGS: Final = {
    "sql_mode": "SQL_MODE",
    "character_set_client": "CHARACTER_SET_CLIENT",
    "collation_connection": "COLLATION_CONNECTION",
    "database_collation": "DATABASE_COLLATION",
}

TABLES: Final = Source(
    "TABLES",
    "TABLE_SCHEMA",
    ("TABLE_NAME",),
    {"form": "TABLE_TYPE", "engine": "ENGINE", "collation": "TABLE_COLLATION", "options": "CREATE_OPTIONS"},
    labels={"comment": "TABLE_COMMENT"},
)
COLUMNS: Final = Source(
    "COLUMNS",
    "TABLE_SCHEMA",
    ("TABLE_NAME", "COLUMN_NAME"),
    {
        "place": "ORDINAL_POSITION",
        "type": "COLUMN_TYPE",
        "nullable": "IS_NULLABLE",
        "character_set": "CHARACTER_SET_NAME",
        "collation": "COLLATION_NAME",
        "extra": "EXTRA",
        "srs": "SRS_ID",
        "generated": "IS_GENERATED",
        "period_start": "IS_SYSTEM_TIME_PERIOD_START",
        "period_end": "IS_SYSTEM_TIME_PERIOD_END",
    },
    {"default": "COLUMN_DEFAULT", "expression": "GENERATION_EXPRESSION"},
    {"comment": "COLUMN_COMMENT"},
)
#: Of a view's column only the name and the place are its author's; MySQL may call it nullable after a restore.
VIEW_COLUMNS: Final = Source(
    "COLUMNS",
    "TABLE_SCHEMA",
    ("TABLE_NAME", "COLUMN_NAME"),
    {"place": "ORDINAL_POSITION"},
    {"type": "COLUMN_TYPE", "collation": "COLLATION_NAME"},
)
STATISTICS: Final = Source(
    "STATISTICS",
    "TABLE_SCHEMA",
    ("TABLE_NAME", "INDEX_NAME"),
    {
        "not_unique": "NON_UNIQUE",
        "method": "INDEX_TYPE",
        "visible": "IS_VISIBLE",
        "ignored": "IGNORED",
        "place": "SEQ_IN_INDEX",
        "columns": "COLUMN_NAME",
        "orders": "COLLATION",
        "prefixes": "SUB_PART",
    },
    {"expressions": "EXPRESSION"},
    # keys that were disabled are enabled by every dump: MyISAM's, Aria's
    {"comment": "INDEX_COMMENT", "state": "COMMENT"},
)
KEY_COLUMNS: Final = Source(
    "KEY_COLUMN_USAGE",
    "TABLE_SCHEMA",
    ("TABLE_NAME", "CONSTRAINT_NAME"),
    {
        "place": "ORDINAL_POSITION",
        "columns": "COLUMN_NAME",
        "referenced_schema": "REFERENCED_TABLE_SCHEMA",
        "referenced_table": "REFERENCED_TABLE_NAME",
        "referenced_columns": "REFERENCED_COLUMN_NAME",
    },
)
FOREIGN_KEYS: Final = Source(
    "REFERENTIAL_CONSTRAINTS",
    "CONSTRAINT_SCHEMA",
    ("TABLE_NAME", "CONSTRAINT_NAME"),
    {"match": "MATCH_OPTION", "on_update": "UPDATE_RULE", "on_delete": "DELETE_RULE"},
)
CONSTRAINTS: Final = Source(
    "TABLE_CONSTRAINTS",
    "TABLE_SCHEMA",
    ("TABLE_NAME", "CONSTRAINT_NAME"),
    {"form": "CONSTRAINT_TYPE", "enforced": "ENFORCED"},
)
CHECKS: Final = Source(
    "CHECK_CONSTRAINTS",
    "CONSTRAINT_SCHEMA",
    # MySQL's names are unique in a schema, and it does not say the table
    ("TABLE_NAME", "CONSTRAINT_NAME"),
    {"level": "LEVEL"},
    {"check": "CHECK_CLAUSE"},
)
PARTITIONS: Final = Source(
    "PARTITIONS",
    "TABLE_SCHEMA",
    ("TABLE_NAME", "PARTITION_NAME", "SUBPARTITION_NAME"),
    {
        "place": "PARTITION_ORDINAL_POSITION",
        "subplace": "SUBPARTITION_ORDINAL_POSITION",
        "method": "PARTITION_METHOD",
        "submethod": "SUBPARTITION_METHOD",
        "bound": "PARTITION_DESCRIPTION",
    },
    {"expression": "PARTITION_EXPRESSION", "subexpression": "SUBPARTITION_EXPRESSION"},
    {"comment": "PARTITION_COMMENT"},
)
TRIGGERS: Final = Source(
    "TRIGGERS",
    "EVENT_OBJECT_SCHEMA",
    ("EVENT_OBJECT_TABLE", "TRIGGER_NAME"),
    {"event": "EVENT_MANIPULATION", "timing": "ACTION_TIMING", "order": "ACTION_ORDER", **_SETTINGS},
    {"body": "ACTION_STATEMENT"},
    {"definer": "DEFINER"},
)
ROUTINES: Final = Source(
    "ROUTINES",
    "ROUTINE_SCHEMA",
    ("ROUTINE_TYPE", "ROUTINE_NAME"),
    {
        "result": "DTD_IDENTIFIER",
        "result_character_set": "CHARACTER_SET_NAME",
        "result_collation": "COLLATION_NAME",
        "language": "EXTERNAL_LANGUAGE",
        "deterministic": "IS_DETERMINISTIC",
        "data_access": "SQL_DATA_ACCESS",
        "security": "SECURITY_TYPE",
        **_SETTINGS,
    },
    {"body": "ROUTINE_DEFINITION"},
    {"definer": "DEFINER", "comment": "ROUTINE_COMMENT"},
)
PARAMETERS: Final = Source(
    "PARAMETERS",
    "SPECIFIC_SCHEMA",
    ("ROUTINE_TYPE", "SPECIFIC_NAME"),
    {
        "place": "ORDINAL_POSITION",
        "parameters": "PARAMETER_NAME",
        "modes": "PARAMETER_MODE",
        "types": "DTD_IDENTIFIER",
        "character_sets": "CHARACTER_SET_NAME",
        "collations": "COLLATION_NAME",
        "defaults": "PARAMETER_DEFAULT",
    },
)
EVENTS: Final = Source(
    "EVENTS",
    "EVENT_SCHEMA",
    ("EVENT_NAME",),
    {
        "form": "EVENT_TYPE",
        "at": "EXECUTE_AT",
        "interval": "INTERVAL_VALUE",
        "unit": "INTERVAL_FIELD",
        "starts": "STARTS",
        "ends": "ENDS",
        "time_zone": "TIME_ZONE",
        "on_completion": "ON_COMPLETION",
        **_SETTINGS,
    },
    {"body": "EVENT_DEFINITION"},
    # a restore may leave events switched off
    {"definer": "DEFINER", "comment": "EVENT_COMMENT", "status": "STATUS"},
)
VIEWS: Final = Source(
    "VIEWS",
    "TABLE_SCHEMA",
    ("TABLE_NAME",),
    {
        "check_option": "CHECK_OPTION",
        "security": "SECURITY_TYPE",
        "algorithm": "ALGORITHM",
        "character_set_client": "CHARACTER_SET_CLIENT",
        "collation_connection": "COLLATION_CONNECTION",
    },
    {"query": "VIEW_DEFINITION"},
    {"definer": "DEFINER"},
)

#: MySQL's, which routines in another language import.
LIBRARIES: Final = Source(
    "LIBRARIES",
    "LIBRARY_SCHEMA",
    ("LIBRARY_NAME",),
    {"language": "LANGUAGE"},
    {"body": "LIBRARY_DEFINITION"},
    {"definer": "CREATOR", "comment": "LIBRARY_COMMENT"},
)

SOURCES: Final = (
    TABLES,
    COLUMNS,
    STATISTICS,
    KEY_COLUMNS,
    FOREIGN_KEYS,
    CONSTRAINTS,
    CHECKS,
    PARTITIONS,
    TRIGGERS,
    ROUTINES,
    PARAMETERS,
    EVENTS,
    VIEWS,
    LIBRARIES,
)
