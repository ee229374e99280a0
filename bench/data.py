"""Data to measure with, generated on the server itself and the same every time (all of it follows from row numbers).

A third each, by bytes of the dump: rows of numbers and random-looking digits; text with JSON; measurements over time.
"""

from typing import Final

from tests.servers import Server

DATABASE: Final = "bench"
AGAIN: Final = "again"

# bytes of a row in a plain dump, as measured; only the size of the whole depends on them
_DIGITS_ROW, _TEXT_ROW, _SERIES_ROW = 190, 330, 75

_POSTGRESQL: Final = """
CREATE TABLE digits (id int PRIMARY KEY, k int NOT NULL, c char(120) NOT NULL, pad char(40) NOT NULL);
INSERT INTO digits SELECT n, (n::bigint * 7919) % 1000003,
  md5(n::text) || md5((n * 3)::text) || md5((n * 7)::text) || left(md5((n * 11)::text), 24), md5((n + 1)::text)
  FROM generate_series(1, {digits}) n;
CREATE TABLE texts (id int PRIMARY KEY, title text, body text, doc jsonb);
INSERT INTO texts SELECT n, 'order number ' || n, repeat('the quick brown fox ' || n % 97 || ' jumps. ', 6),
  jsonb_build_object('id', n, 'customer', 'customer ' || n % 5000, 'paid', n % 3 = 0, 'tags', 'new, gift')
  FROM generate_series(1, {texts}) n;
CREATE TABLE series (sensor int, at timestamptz, value float8, state smallint);
INSERT INTO series SELECT n % 50, 'epoch'::timestamptz + n * interval '10 seconds', sin(n) * 1000, n % 5
  FROM generate_series(1, {series}) n;
CREATE INDEX ON digits (k);
CREATE INDEX ON series (sensor, at);
VACUUM (ANALYZE);
"""
_MARIADB: Final = """
CREATE TABLE digits (id int PRIMARY KEY, k int NOT NULL, c char(120) NOT NULL, pad char(40) NOT NULL, KEY (k));
INSERT INTO digits SELECT seq, (seq * 7919) MOD 1000003,
  CONCAT(MD5(seq), MD5(seq * 3), MD5(seq * 7), LEFT(MD5(seq * 11), 24)), MD5(seq + 1) FROM seq_1_to_{digits};
CREATE TABLE texts (id int PRIMARY KEY, title varchar(100), body text, doc json);
INSERT INTO texts SELECT seq, CONCAT('order number ', seq),
  REPEAT(CONCAT('the quick brown fox ', seq MOD 97, ' jumps. '), 6),
  JSON_OBJECT('id', seq, 'customer', CONCAT('customer ', seq MOD 5000), 'paid', seq MOD 3 = 0, 'tags', 'new, gift')
  FROM seq_1_to_{texts};
CREATE TABLE series (sensor int, at datetime, value double, state smallint, KEY (sensor, at));
INSERT INTO series SELECT seq MOD 50, '2020-01-01' + INTERVAL seq * 10 SECOND, SIN(seq) * 1000, seq MOD 5
  FROM seq_1_to_{series};
"""


def fill(server: Server, megabytes: int) -> None:
    """Make the database `bench`, so that its plain dump has about so many megabytes (10^6 bytes)."""
    third = megabytes * 1_000_000 // 3
    rows = {"digits": third // _DIGITS_ROW, "texts": third // _TEXT_ROW, "series": third // _SERIES_ROW}
    server.sql(f"CREATE DATABASE {DATABASE}")
    text = _POSTGRESQL if server.product == "postgres" else _MARIADB
    for statement in text.format(**rows).split(";\n"):
        if statement.strip():
            server.sql(statement, database=DATABASE)


def fill_small(server: Server, count: int) -> None:
    """Make so many databases of one table and three rows, ``small_0001`` and so on."""
    for number in range(1, count + 1):
        name = f"small_{number:04}"
        server.sql(f"CREATE DATABASE {name}")
        server.sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(20))", database=name)
        server.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", database=name)
