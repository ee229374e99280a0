"""Both scanners: the same answer however the stream is cut, and never 'complete' for less than the whole."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.engines.base import ScanResult, StreamScanner
from vya_backupdb.engines.my_rows import RowCounter
from vya_backupdb.engines.my_scan import MySQLScanner
from vya_backupdb.engines.pg_scan import MarkerScanner, PgScanner, python_codec

POSTGRESQL = rb"""--
-- PostgreSQL database dump
--

\restrict Ab1

SET client_encoding = 'LATIN1';
CREATE FUNCTION "public"."trap"() RETURNS "text" LANGUAGE "sql" AS $_$
COPY "public"."ghost" ("a") FROM stdin;
1
--
-- PostgreSQL database dump complete
--

\unrestrict Ab1

$_$;
COMMENT ON FUNCTION "public"."trap"() IS 'it''s
COPY "public"."ghost" ("a") FROM stdin;
';
/* a comment
COPY "public"."ghost" ("a") FROM stdin;
*/
SELECT a$b$c;
CREATE TABLE "public"."a$x$b" ("x$y$z" integer DEFAULT (1 - (- 2)));
COPY "public"."t" ("id", "na, (""x"")
") FROM stdin;
1	\\.
2	\N
3	COPY "public"."ghost" ("a") FROM stdin;
\.


COPY "public"."empty"  FROM stdin;
\.


COPY "odd "";""
"."t" ("a""b") FROM stdin;

\.


COPY "public"."caf@E9@" ("a") FROM stdin;
1
\.


ALTER TABLE ONLY "public"."t" ADD CONSTRAINT "p" CHECK (("a" <> '$x$'::"text"));


--
-- PostgreSQL database dump complete
--

\unrestrict Ab1

""".replace(b"@E9@", b"\xe9")
ROWS = {("public", "t"): 3, ("public", "empty"): 0, ('odd ";"\n', "t"): 1, ("public", "caf\xe9"): 1}

HEAD = b"/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19-11.8.6-MariaDB, for debian-linux-gnu\n\n"
MARIADB = (
    HEAD
    + rb"""CREATE TABLE `t` (
  `id` int
) COMMENT='INSERT INTO `ghost` VALUES';
INSERT INTO `t` VALUES
(1,'a\nb'),
(2,';'),
(3,'),(');
INSERT INTO `t` VALUES
(4,'');
CREATE TABLE `we``ird
name` (
  `a` int
);
INSERT INTO `we``ird
name` (`a``
b`, `c (`, row_start, row_end) VALUES (1,2,'),('),
(3,4,'');
INSERT INTO `we``ird
name` (`a`) VALUES (5,'),(');
CREATE TABLE `empty` (
  `a` int
);
DELIMITER ;;
CREATE PROCEDURE `p`() BEGIN
INSERT INTO `ghost` VALUES
(1);
/* */;
CREATE TABLE `ghost` (
END ;;
DELIMITER ;
/*!50001 VIEW `v` AS select '

-- Dump completed
' */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed
"""
)
MYSQL = rb"""-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)

CREATE TABLE `t` (
  `id` int
);
INSERT INTO `t` VALUES (1,'a\nb;'),(2,'\'),(');
CREATE TABLE `one` (
  `id` int
);
INSERT INTO `one` VALUES (1,'a');
INSERT INTO `one` (`a`, `b`) VALUES (1,'a');
CREATE TABLE `empty` (
  `a` int
);
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed
"""

STREAMS: tuple[tuple[Callable[[], StreamScanner], bytes], ...] = (
    (PgScanner, POSTGRESQL),
    (MySQLScanner, MARIADB),
    (MySQLScanner, MYSQL),
    (lambda: MarkerScanner(b"-- the end"), b"CREATE USER x;\n-- the end\n"),
)


def scan(make: Callable[[], StreamScanner], *pieces: bytes) -> ScanResult:
    scanner = make()
    for piece in pieces:
        scanner.feed(piece)
    return scanner.result()


def rows(result: ScanResult) -> dict[object, int | None]:
    return {(one.schema_name, one.name) if one.schema_name else one.name: one.rows for one in result.tables}


def test_postgresql_rows_are_exact_and_ghosts_are_not_seen() -> None:
    result = scan(PgScanner, POSTGRESQL)
    assert result.complete, result.problem
    assert rows(result) == ROWS


def test_mariadb_rows_are_exact_and_ghosts_are_not_seen() -> None:
    result = scan(MySQLScanner, MARIADB)
    assert result.complete, result.problem
    assert rows(result) == {"t": 4, "we`ird\nname": 3, "empty": 0}


def test_mysql_rows_are_exact() -> None:
    result = scan(MySQLScanner, MYSQL)
    assert result.complete, result.problem
    assert rows(result) == {"t": 2, "one": 2, "empty": 0}


_VALUES = st.one_of(
    st.sampled_from(("NULL", "-1", "1.5e300", "0xFF27", "_binary ''")),
    st.text(alphabet="'\\\"),(;a\n", max_size=6).map(
        lambda text: "'" + re.sub(r"(['\"\\\\])", r"\\\1", text).replace("\n", "\\n") + "'"
    ),
)


@given(st.lists(st.lists(_VALUES, min_size=1, max_size=4), min_size=1, max_size=6), st.data())
def test_rows_on_one_line_are_counted_whatever_is_in_them(table: list[list[str]], data: st.DataObject) -> None:
    line = ",".join(f"({','.join(row)})" for row in table).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(line)), max_size=8)))
    counter = RowCounter()
    pieces = [line[start:end] for start, end in zip([0, *cuts], [*cuts, len(line)], strict=True)]
    assert sum(counter.count(piece) for piece in pieces) == len(table)
    assert not counter.in_string


@pytest.mark.parametrize(("make", "stream"), STREAMS)
@given(data=st.data())
def test_the_cuts_make_no_difference(make: Callable[[], StreamScanner], stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=40)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert scan(make, *pieces) == scan(make, stream)


@pytest.mark.parametrize(("make", "stream"), STREAMS)
def test_byte_by_byte(make: Callable[[], StreamScanner], stream: bytes) -> None:
    assert scan(make, *(stream[index : index + 1] for index in range(len(stream)))) == scan(make, stream)


@pytest.mark.parametrize(("make", "stream"), STREAMS)
def test_any_other_kind_of_bytes_is_taken(make: Callable[[], StreamScanner], stream: bytes) -> None:
    scanner = make()
    scanner.feed(bytearray(stream[:100]))
    scanner.feed(memoryview(stream)[100:])
    assert scanner.result() == scan(make, stream)


@pytest.mark.parametrize(("make", "stream"), STREAMS)
def test_less_than_the_whole_is_never_complete(make: Callable[[], StreamScanner], stream: bytes) -> None:
    whole = stream.rstrip(b"\n")
    for end in range(len(whole)):
        result = scan(make, stream[:end])
        assert not result.complete
        assert result.problem


@pytest.mark.parametrize("stream", [MARIADB, MYSQL])
def test_a_statement_that_no_server_takes_back_is_no_backup(stream: bytes) -> None:
    """A client writes a value of 600 MB as 1.2 GB of digits, and ends well."""
    lines = re.findall(rb"^INSERT INTO .*?;\n", stream, re.MULTILINE | re.DOTALL)
    longest = max(len(line) for line in lines)
    assert scan(lambda: MySQLScanner(longest), stream).complete
    for cut in (7, 4096):
        pieces = (stream[at : at + cut] for at in range(0, len(stream), cut))
        result = scan(lambda: MySQLScanner(longest - 1), *pieces)
        assert not result.complete
        assert "has a row that no server takes back" in result.problem


@pytest.mark.parametrize(("make", "stream"), STREAMS)
def test_more_than_the_whole_is_not_complete(make: Callable[[], StreamScanner], stream: bytes) -> None:
    assert not scan(make, stream + b"DROP TABLE t;\n").complete


def test_a_key_that_does_not_fit_is_a_fault() -> None:
    for changed in (POSTGRESQL.replace(b"\\restrict Ab1", b"\\restrict Xy9", 1), POSTGRESQL[:-18] + b"\n"):
        assert "restrict" in scan(PgScanner, changed).problem
    plain = POSTGRESQL.replace(b"\\restrict Ab1\n", b"", 1)[:-18]
    assert scan(PgScanner, plain).complete  # clients older than the restriction


@pytest.mark.parametrize(
    ("make", "stream"),
    [
        (PgScanner, POSTGRESQL.replace(b'COPY "public"."t" (', b"COPY Public.t (")),
        (MySQLScanner, MARIADB.replace(b"INSERT INTO `t` VALUES", b"INSERT INTO `t` SELECT", 1)),
    ],
)
def test_a_statement_that_is_not_understood_fails_the_dump(make: Callable[[], StreamScanner], stream: bytes) -> None:
    result = scan(make, stream)
    assert not result.complete
    assert "not understood" in result.problem


@pytest.mark.parametrize(
    ("make", "start"),
    [(MySQLScanner, b"INSERT INTO `t` (`"), (MySQLScanner, b"CREATE TABLE `"), (PgScanner, b'COPY "a"."b" ("')],
)
def test_a_name_of_quotes_alone_costs_no_more_than_another(make: Callable[[], StreamScanner], start: bytes) -> None:
    """Whoever may create tables chooses their names: no name may stop the scanner for hours."""
    scan(make, start, start[-1:] * 100_001, b"x, y z" * 10_000, b") nonsense\n" * 1000)


def test_memory_does_not_grow_with_the_stream() -> None:
    row = b"1\t" + b"x" * 500 + b"\n"
    for make, head, piece in (
        (PgScanner, b'COPY "a"."b" ("c") FROM stdin;\n', row * 2000),
        (PgScanner, b"SELECT '", b"x" * 1_000_000),
        (MySQLScanner, b"INSERT INTO `t` VALUES (1,'", b"x" * 1_000_000),
        (MySQLScanner, b"INSERT INTO `t` VALUES\n", b"(1,'x'),\n" * 100_000),
        (MySQLScanner, b"DELIMITER ;;\n", b"SELECT 1;\n" * 100_000),
    ):
        scanner = make()
        scanner.feed(head)
        for _ in range(5):
            scanner.feed(piece)
        held = sum(len(value) for value in vars(scanner).values() if isinstance(value, bytes))
        assert held < 20_000


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("UTF8", "utf-8"),
        ("SQL_ASCII", "utf-8"),
        ("LATIN1", "iso8859-1"),
        ("LATIN9", "iso8859-15"),
        ("ISO_8859_5", "iso8859-5"),
        ("WIN1252", "cp1252"),
        ("EUC_JP", "euc_jp"),
        ("MULE_INTERNAL", "utf-8"),
    ],
)
def test_encodings_have_a_codec(encoding: str, codec: str) -> None:
    assert python_codec(encoding) == codec
    "".encode(codec)


def test_names_that_pg_dump_left_unquoted_are_the_same_names() -> None:
    """A dump of ours quotes all names; one that was adopted quotes what needs it."""
    scanner = PgScanner()
    scanner.feed(POSTGRESQL.replace(b'COPY "public"."t" (', b"COPY public.t ("))
    quoted = PgScanner()
    quoted.feed(POSTGRESQL)
    assert scanner.result() == quoted.result()
