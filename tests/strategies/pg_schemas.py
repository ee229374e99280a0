"""PostgreSQL schemas as lists of statements: hostile names, every kind of column, key, index, view and routine.

Texts that the server writes otherwise after one dump and restore (``varchar IN (…)``) are left out: they have a test of
their own.
"""

from hypothesis import strategies as st
from tests.strategies.sketch import ODD_NAMES, Sketch

NAMES = (*ODD_NAMES, "$1", "a.b", "--x", "/*", "x" * 63)
TYPES = {
    "int": ("5", "-1", "1 + 2"), "bigint": ("9223372036854775807",), "smallint": (), "numeric": ("1.50",),
    "numeric(10,3)": ("0.1",), "text": ("'it''s'", "upper('x')", "E'a\\n\\\\b'", "''"), "varchar(7)": ("'x'",),
    "char(3)": ("'a'",), "boolean": ("true",), "date": ("'2020-02-29'", "CURRENT_DATE"), "time(2)": (),
    "timestamp(3)": ("LOCALTIMESTAMP",), "timestamptz": ("now()", "'2020-01-01 00:00:00+02'"),
    "interval day to second(2)": ("'1 day 02:03:04'",), "bytea": ("'\\x00ff'",), "uuid": ("gen_random_uuid()",),
    "jsonb": ("'{\"a\": [1, null]}'",), "int[]": ("ARRAY[1, NULL]", "'{}'"), "text[]": ("'{a,\"b c\"}'",),
    "point": ("point(1, 2)",), "inet": ("'10.0.0.0/8'",), "tsvector": (), "int4range": ("'[1,5)'",),
    "bit(4)": ("B'1010'",), "double precision": ("1e300", "'NaN'"), "money": (), "oid": (), "xml": (),
}  # fmt: skip
TEXTS = ("text", "varchar(7)", "char(3)")
COMPARABLE = ("int", "bigint", "smallint", "numeric", "text", "varchar(7)", "date", "timestamptz", "uuid")
ACTIONS = ("", "ON DELETE CASCADE", "ON UPDATE SET NULL ON DELETE RESTRICT", "ON DELETE SET DEFAULT")


def quoted(name: str) -> str:
    """Return `name` as an identifier."""
    return '"' + name.replace('"', '""') + '"'


@st.composite
def pg_schemas(draw: st.DrawFn) -> list[str]:
    """Statements that make a schema in an empty database."""
    sketch = Sketch()
    _types(draw, sketch)
    for number in range(draw(st.integers(2, 4))):
        _table(draw, sketch, number)
    _views(draw, sketch)
    _routines(draw, sketch)
    _others(draw, sketch)
    return sketch.statements


def _types(draw: st.DrawFn, sketch: Sketch) -> None:
    labels = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    sketch.add("CREATE TYPE mood AS ENUM (" + ", ".join("'" + one.replace("'", "''") + "'" for one in labels) + ")")
    not_null = draw(st.sampled_from(("", " NOT NULL", " DEFAULT 3")))
    rule = quoted(draw(st.sampled_from(NAMES)))
    sketch.add(f"CREATE DOMAIN positive AS int{not_null} CONSTRAINT {rule} CHECK (VALUE > 0)")
    sketch.add('CREATE TYPE pair AS ("a ""b" int, b text COLLATE "C")')
    if draw(st.booleans()):
        sketch.add("CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi)")


def _column(draw: st.DrawFn, name: str, kind: str, *, plain: bool) -> str:
    words = [quoted(name), kind]
    if kind in TEXTS and draw(st.booleans()):
        words.append("COLLATE " + draw(st.sampled_from(('"C"', '"POSIX"'))))
    if TYPES.get(kind) and draw(st.booleans()):
        words.append(f"DEFAULT {draw(st.sampled_from(TYPES[kind]))}")
    elif kind in ("int", "bigint", "smallint") and plain and draw(st.booleans()):
        how = draw(st.sampled_from(("ALWAYS", "BY DEFAULT")))
        return " ".join((*words, f"GENERATED {how} AS IDENTITY (INCREMENT 3 START 7 CYCLE)"))
    if draw(st.booleans()):
        words.append("NOT NULL")
    return " ".join(words)


def _table(draw: st.DrawFn, sketch: Sketch, number: int) -> None:
    name = quoted(draw(st.sampled_from(NAMES))[:60] + str(number))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    kinds = [draw(st.sampled_from((*TYPES, "mood", "positive", "pair"))) for _ in names]
    partitioned = draw(st.integers(0, 4)) == 0
    parts = [_column(draw, one, kind, plain=not partitioned) for one, kind in zip(names, kinds, strict=True)]
    parts = [f"gone{number} int", "id int NOT NULL", *parts]
    if draw(st.booleans()):
        parts.append("twice bigint GENERATED ALWAYS AS (id * 2) STORED")
    unlogged = "" if partitioned else draw(st.sampled_from(("", "", "UNLOGGED ")))
    tail = " PARTITION BY RANGE (id)" if partitioned else draw(st.sampled_from(("", " WITH (fillfactor = 70)")))
    sketch.add(f"CREATE {unlogged}TABLE {name} ({', '.join(parts)}){tail}")
    sketch.add(f"ALTER TABLE {name} DROP COLUMN gone{number}")
    sketch.add(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
    columns = list(zip(names, kinds, strict=True))
    if partitioned:
        part = quoted(f"part {number}")
        sketch.add(f"CREATE TABLE {part} PARTITION OF {name} FOR VALUES FROM (1) TO (10)")
        sketch.add(f"CREATE TABLE {quoted(f'rest {number}')} PARTITION OF {name} DEFAULT")
    elif draw(st.integers(0, 3)) == 0:
        sketch.add(f"CREATE TABLE {quoted(f'child {number}')} (extra int) INHERITS ({name})")
        sketch.add(f"ALTER TABLE {name} ADD COLUMN late text DEFAULT 'x'")
    _table_options(draw, sketch, name, columns, unlogged=bool(unlogged))
    sketch.tables.append((name, columns))


def _table_options(
    draw: st.DrawFn, sketch: Sketch, name: str, columns: list[tuple[str, str]], *, unlogged: bool
) -> None:
    for index, (column, kind) in enumerate(columns):
        if kind in COMPARABLE and draw(st.booleans()):
            sketch.add(_index(draw, name, column, kind, index))
        if kind in ("int", "numeric", "bigint") and draw(st.booleans()):
            check = draw(st.sampled_from(("{} > 0", "{} IN (1, 2, 3)", "{} BETWEEN 1 AND 5 OR {} IS NULL")))
            sketch.add(f"ALTER TABLE {name} ADD CHECK ({check.replace('{}', quoted(column))})")
    for target, _ in draw(st.lists(st.sampled_from(sketch.tables), max_size=1)) if sketch.tables else ():
        if not unlogged and "UNLOGGED" not in "".join(one for one in sketch.statements if target in one):
            deferrable = draw(st.sampled_from(("", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED")))
            action = draw(st.sampled_from(ACTIONS))
            sketch.add(f"ALTER TABLE {name} ADD FOREIGN KEY (id) REFERENCES {target} {action}{deferrable}")
    extra = draw(
        st.lists(
            st.sampled_from(
                (
                    f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
                    f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
                    f'CREATE POLICY "p\'1" ON {name} FOR SELECT TO pg_monitor USING (id > 0)',
                    f"COMMENT ON TABLE {name} IS E'it''s\\n\"x\"'",
                    f"COMMENT ON COLUMN {name}.id IS 'c'",
                    f"GRANT SELECT, INSERT ON {name} TO PUBLIC",
                    f"GRANT UPDATE (id) ON {name} TO pg_monitor",
                    f"ALTER TABLE {name} ALTER id SET STATISTICS 50",
                    f"ALTER TABLE {name} REPLICA IDENTITY FULL",
                    f"CREATE RULE r AS ON DELETE TO {name} DO ALSO NOTIFY x",
                )
            ),
            unique=True,
            max_size=4,
        )
    )
    sketch.statements.extend(extra)


def _index(draw: st.DrawFn, table: str, column: str, kind: str, number: int) -> str:
    order = draw(st.sampled_from(("", " DESC", " NULLS FIRST", " DESC NULLS LAST")))
    operators = draw(st.sampled_from(("", " text_pattern_ops"))) if kind == "text" else ""
    include = draw(st.sampled_from(("", " INCLUDE (id)")))
    where = draw(st.sampled_from(("", " WHERE id > 3", f" WHERE {quoted(column)} IS NOT NULL")))
    what = f"lower({quoted(column)})" if kind == "text" and draw(st.booleans()) else quoted(column)
    return f"CREATE INDEX {quoted(f'i {number} ' + table[1:20])} ON {table} ({what}{operators}{order}){include}{where}"


def _views(draw: st.DrawFn, sketch: Sketch) -> None:
    name, columns = draw(st.sampled_from(sketch.tables))
    shown = ", ".join(f"t.{quoted(column)} AS {quoted('v' + column[:60])}" for column, _ in columns)
    options = draw(st.sampled_from(("", " WITH (security_barrier)")))
    sketch.add(f'CREATE VIEW "z view"{options} AS SELECT t.id, {shown} FROM {name} t WHERE t.id IN (1, 2)')
    sketch.add('CREATE VIEW "a view" AS SELECT id, count(*) AS n FROM "z view" GROUP BY id HAVING count(*) > 1')
    data = draw(st.sampled_from(("", " WITH NO DATA")))
    sketch.add(f'CREATE MATERIALIZED VIEW mat AS SELECT id FROM "a view"{data}')


def _routines(draw: st.DrawFn, sketch: Sketch) -> None:
    options = " ".join(
        draw(st.sampled_from(choices))
        for choices in (
            ("VOLATILE", "STABLE", "IMMUTABLE"),
            ("", "STRICT"),
            ("", "SECURITY DEFINER"),
            ("", "PARALLEL SAFE"),
            ("COST 7", ""),
            ("", "SET search_path = pg_catalog"),
        )
    )
    default = draw(st.sampled_from(("", " DEFAULT 'it''s'")))
    sketch.add(f"CREATE FUNCTION f(a int, \"b c\" text{default}) RETURNS text LANGUAGE sql {options} AS 'SELECT $2'")
    sketch.add("CREATE FUNCTION f() RETURNS TABLE (x int, y text) LANGUAGE sql BEGIN ATOMIC SELECT 1, 'x'::text; END")
    sketch.add("CREATE PROCEDURE p(INOUT a int) LANGUAGE plpgsql AS $$BEGIN a := 1; END$$")
    sketch.add("CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    name, _ = draw(st.sampled_from(sketch.tables))
    timing = draw(st.sampled_from(("BEFORE INSERT OR UPDATE OF id", "AFTER DELETE")))
    when = "" if "DELETE" in timing else draw(st.sampled_from(("", " WHEN (NEW.id > 0)")))
    sketch.add(f"CREATE TRIGGER \"tr'1\" {timing} ON {name} FOR EACH ROW{when} EXECUTE FUNCTION touch('a', 'b')")
    if draw(st.booleans()):
        sketch.add(f'ALTER TABLE {name} DISABLE TRIGGER "tr\'1"')


def _others(draw: st.DrawFn, sketch: Sketch) -> None:
    name, _ = draw(st.sampled_from(sketch.tables))
    choices = (
        "CREATE SEQUENCE q AS smallint INCREMENT -2 MINVALUE -100 MAXVALUE 5 START 3 CACHE 4 CYCLE",
        'CREATE SCHEMA "odd; --"; CREATE TABLE "odd; --".t (a int); GRANT USAGE ON SCHEMA "odd; --" TO PUBLIC',
        f"CREATE STATISTICS st (mcv) ON id, (id % 2) FROM {name}",
        "CREATE PUBLICATION pub FOR ALL TABLES WITH (publish = 'insert')",
        f"CREATE PUBLICATION pub2 FOR TABLE ONLY {name}",
        'CREATE COLLATION coll (provider = libc, locale = "C")',
        "CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int, initcond = '0')",
        "COMMENT ON TYPE mood IS 'm'",
        "CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq, commutator = ===)",
        "CREATE TEXT SEARCH CONFIGURATION tsc (COPY = pg_catalog.simple)",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        "COMMENT ON SCHEMA public IS 'ours'",
    )
    sketch.statements.extend(draw(st.lists(st.sampled_from(choices), unique=True, max_size=7)))
