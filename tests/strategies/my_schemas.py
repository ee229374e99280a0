"""MySQL and MariaDB schemas as lists of statements: hostile names, every kind of column, key, index, view and routine.

What only one product has is refused by the other, and left out.
"""

from hypothesis import strategies as st
from tests.strategies.sketch import ODD_NAMES, Sketch

NAMES = (*ODD_NAMES, "`tick`", "a.b", "--x", "/*", "x" * 64)
TYPES = {
    "int": ("5", "-1"), "int unsigned": ("7",), "bigint": ("9223372036854775807",), "tinyint(1)": ("1",),
    "smallint zerofill": (), "decimal(10,3)": ("0.100",), "float": ("1.5",), "double": ("1e300",),
    "varchar(7)": ("'it''s'", "''", "'a\\\\b'", "'%'"), "char(3)": ("'a'",), "text": (), "longtext": (),
    "tinytext": (), "varbinary(9)": ("'x'",), "binary(4)": (), "blob": (), "bit(4)": ("b'1010'",),
    "date": ("'2020-02-29'",), "time(2)": ("'10:00:00'",), "datetime(3)": ("CURRENT_TIMESTAMP(3)",),
    "timestamp NULL": ("CURRENT_TIMESTAMP", "'2020-01-01 00:00:00'"), "year": ("2020",), "json": (),
    "enum('a','it''s','c,d')": ("'a'",), "set('x','y')": ("'x,y'",), "point": (), "geometry": (),
}  # fmt: skip
TEXTS = ("varchar(7)", "char(3)", "text", "longtext", "tinytext", "enum('a','it''s','c,d')")
INDEXED = ("int", "int unsigned", "bigint", "decimal(10,3)", "varchar(7)", "date", "datetime(3)")
COLLATIONS = ("latin1_swedish_ci", "utf8mb4_bin", "utf8mb3_general_ci", "utf8mb4_unicode_ci")
ACTIONS = ("", " ON DELETE CASCADE", " ON UPDATE CASCADE ON DELETE RESTRICT", " ON DELETE NO ACTION")
#: What a table may have beside its drawn columns and keys, and after them.
EXTRAS = (
    "twice bigint GENERATED ALWAYS AS (id * 2) STORED",
    "half int AS (id DIV 2) VIRTUAL COMMENT 'h'",
    "said varchar(50) AS (CONCAT('it''s \\\\ ', id)) VIRTUAL",
    "hidden int INVISIBLE DEFAULT 5",
    "computed varchar(20) DEFAULT (CONCAT('a', 'b'))",
)
EXTRA_CHECK = "CONSTRAINT `c {}` CHECK (id <> 77 OR id IN (1, 2))"
TAILS = (
    "", " COMMENT 'it''s'", " ROW_FORMAT=COMPRESSED", " DEFAULT CHARSET=latin1", " ENGINE=MyISAM",
    " PARTITION BY HASH (id) PARTITIONS 3", " AUTO_INCREMENT=77 STATS_PERSISTENT=0",
    """ PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (5) COMMENT 'p',
    PARTITION `p 1` VALUES LESS THAN MAXVALUE)""",
)  # fmt: skip


def quoted(name: str) -> str:
    """Return `name` as an identifier."""
    return "`" + name.replace("`", "``") + "`"


@st.composite
def my_schemas(draw: st.DrawFn) -> list[str]:
    """Statements that make a schema in an empty database."""
    sketch = Sketch()
    for number in range(draw(st.integers(2, 4))):
        _table(draw, sketch, number)
    _views(draw, sketch)
    _routines(draw, sketch)
    _others(draw, sketch)
    return sketch.statements


def _column(draw: st.DrawFn, name: str, kind: str) -> str:
    words = [quoted(name), kind]
    if kind in TEXTS and draw(st.booleans()):
        collation = draw(st.sampled_from(COLLATIONS))
        words.append(f"CHARACTER SET {collation.split('_')[0]} COLLATE {collation}")
    if "NULL" not in kind and draw(st.booleans()):
        words.append("NOT NULL")
    if bool(TYPES[kind]) and draw(st.booleans()):
        words.append(f"DEFAULT {draw(st.sampled_from(TYPES[kind]))}")
        if "CURRENT_TIMESTAMP(3)" in words[-1] and draw(st.booleans()):
            words.append("ON UPDATE CURRENT_TIMESTAMP(3)")
    if draw(st.integers(0, 4)) == 0:
        words.append("COMMENT 'it''s \"x\" \\\\ `y`'")
    return " ".join(words)


def _table(draw: st.DrawFn, sketch: Sketch, number: int) -> None:
    name = quoted(draw(st.sampled_from(NAMES))[:60] + str(number))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    kinds = [draw(st.sampled_from(tuple(TYPES))) for _ in names]
    columns = list(zip(names, kinds, strict=True))
    parts = ["id int NOT NULL" + draw(st.sampled_from(("", " AUTO_INCREMENT"))), "PRIMARY KEY (id)"]
    parts += [_column(draw, one, kind) for one, kind in columns]
    parts += draw(st.lists(st.sampled_from((*EXTRAS, EXTRA_CHECK.format(number))), unique=True, max_size=3))
    parts += _keys(draw, columns)
    tail = draw(st.sampled_from(TAILS))
    sketch.add(f"CREATE TABLE {name} ({', '.join(parts)}){tail}")
    if sketch.tables and not tail.startswith((" PARTITION", " ENGINE")) and draw(st.booleans()):
        target, _ = draw(st.sampled_from(sketch.tables))
        action = draw(st.sampled_from(ACTIONS))
        sketch.add(f"ALTER TABLE {name} ADD FOREIGN KEY (id) REFERENCES {target} (id){action}")
    sketch.tables.append((name, columns))


def _keys(draw: st.DrawFn, columns: list[tuple[str, str]]) -> list[str]:
    keys = []
    for index, (column, kind) in enumerate(columns):
        if kind in INDEXED and draw(st.booleans()):
            order = draw(st.sampled_from(("", " DESC", "(3)" if kind == "varchar(7)" else "")))
            unique = draw(st.sampled_from(("", "UNIQUE ")))
            keys.append(f"{unique}KEY {quoted(f'i {index}')} ({quoted(column)}{order}, id) COMMENT 'i'")
        elif kind in ("text", "longtext") and draw(st.booleans()):
            keys.append(draw(st.sampled_from((f"FULLTEXT KEY ({quoted(column)})", f"KEY ({quoted(column)}(9))"))))
    return keys


def _views(draw: st.DrawFn, sketch: Sketch) -> None:
    name, columns = draw(st.sampled_from(sketch.tables))
    shown = ", ".join(f"t.{quoted(column)} AS {quoted('v' + column[:60])}" for column, _ in columns)
    # no definer that is not there: MySQL calls such a view invalid once its table is altered, and it cannot be dumped
    how = draw(st.sampled_from(("", "ALGORITHM=MERGE ", "SQL SECURITY INVOKER ", "ALGORITHM=TEMPTABLE ")))
    check = draw(st.sampled_from(("", " WITH CASCADED CHECK OPTION")))
    sketch.add(f"CREATE {how}VIEW `z view` AS SELECT t.id, {shown} FROM {name} t WHERE t.id IN (1, 2){check}")
    sketch.add("CREATE VIEW `a view` AS SELECT id, COUNT(*) AS n, 'it''s' AS q FROM `z view` GROUP BY id")


def _routines(draw: st.DrawFn, sketch: Sketch) -> None:
    options = " ".join(
        draw(st.sampled_from(choices))
        for choices in (("", "DETERMINISTIC"), ("", "NO SQL", "READS SQL DATA"), ("", "SQL SECURITY INVOKER"))
    )
    mode = draw(st.sampled_from(("ANSI_QUOTES", "STRICT_TRANS_TABLES,NO_ZERO_DATE", "")))
    sketch.add(f"SET SESSION sql_mode = '{mode}'")
    sketch.add(
        f"CREATE PROCEDURE `p'1`(IN a int, INOUT `b c` varchar(9) CHARACTER SET latin1) {options} COMMENT 'it''s'"
        " BEGIN SELECT a, 'x;y' INTO a, `b c`; /* ; */ END"
    )
    sketch.add("CREATE FUNCTION f(a int, b text) RETURNS varchar(30) CHARSET utf8mb4 DETERMINISTIC RETURN CONCAT(a, b)")
    name, _ = draw(st.sampled_from(sketch.tables))
    timing = draw(st.sampled_from(("BEFORE INSERT", "AFTER UPDATE", "AFTER DELETE")))
    sketch.add(f"CREATE TRIGGER `tr'1` {timing} ON {name} FOR EACH ROW BEGIN SET @a = 'x'; SET @b = ';;'; END")
    sketch.add(f"CREATE TRIGGER `tr 2` {timing} ON {name} FOR EACH ROW PRECEDES `tr'1` SET @c = 1")
    sketch.add("SET SESSION sql_mode = DEFAULT")


def _others(draw: st.DrawFn, sketch: Sketch) -> None:
    name, _ = draw(st.sampled_from(sketch.tables))
    choices = (
        """CREATE EVENT `e'1` ON SCHEDULE EVERY '1:30' HOUR_MINUTE STARTS '2030-01-01' ENDS '2031-01-01'
        ON COMPLETION PRESERVE DISABLE COMMENT 'e' DO SELECT ';'""",
        "CREATE EVENT once ON SCHEDULE AT '2035-01-01 10:00:00' DO SET @a = 1",
        "CREATE SEQUENCE `s q` START 5 MINVALUE -7 MAXVALUE 100 INCREMENT -3 CACHE 9 CYCLE",
        "CREATE TABLE versioned (a int, b int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING",
        f"ALTER TABLE {name} ADD KEY `expr` ((id + 1))",
        f"ALTER TABLE {name} ADD place point NOT NULL, ADD SPATIAL KEY (place)",
        "CREATE TABLE `1:n` (a int, `own` json DEFAULT (JSON_OBJECT('a', 1)))",
        f"CREATE VIEW lonely AS SELECT CURRENT_USER() AS `u`, `id` FROM {name} `alias`",
        "CREATE TABLE composed (a int, b int, PRIMARY KEY (a, b), KEY (b)) ENGINE=InnoDB",
        "CREATE TABLE period (s date, e date, PERIOD FOR app (s, e), x int UNIQUE)",
    )
    sketch.statements.extend(draw(st.lists(st.sampled_from(choices), unique=True, max_size=7)))
