"""The readers: how a file arrives in chunks changes nothing, and no quote hides or shows what it should not."""

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.errors import RestoreFailed
from vya_backupdb.engines.my_statements import MyReader
from vya_backupdb.engines.pg_statements import PgReader
from vya_backupdb.engines.statements import Command, Event, Reader, Rows, RowsEnd, Statement

PG = rb"""\restrict abc
--
-- Name: x; Type: TABLE
--
SET a = 'x;y';
CREATE FUNCTION f() RETURNS int LANGUAGE sql
  BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT "end"; SELECT 2; END;
create or replace procedure p() begin atomic select 1; end;
COPY "a"."b" ("c") FROM stdin;
1
\\.x
\N
\.
COPY t FROM stdin;
\.
SELECT E'a\';''b', 'a\', $x$;$$x$, a$x$b /* a /* ; */ ; */; SELECT 1
-- c ;
, 2, E'\\', '''';
CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);
DO $$ BEGIN EXECUTE 'x;'; END $$;
\unrestrict abc
"""
MY = rb"""/*M!999999\- enable the sandbox mode */
-- MariaDB
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
INSERT INTO `t` VALUES (1,'a\';''--x',-1,5/2,"b\";"),
(2,'# /* ',_binary 'x\\');
/*!50003 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */ ;
DELIMITER ;;
CREATE PROCEDURE p() BEGIN SELECT 'a\'; -- it's
 SELECT 2; # it's
END ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`r;;t`@`%`*/ /*!50003 TRIGGER `g` BEFORE UPDATE ON `t` FOR EACH ROW BEGIN
  SET NEW.n = ';;'; END */;;
DELIMITER ;
# c
SET SQL_MODE=@OLD_SQL_MODE;
SELECT 'a\'b';
SELECT "x;" , `;` /* ; */, 4--1;
DELIMITER ;;
CREATE LIBRARY `l`
    LANGUAGE JAVASCRIPT
AS $$// it's ";; of `another` /* language$$ ;;
DELIMITER ;
SELECT a$$b, '$$;';
"""
READERS: dict[str, Callable[[], Reader]] = {"pg": PgReader, "my": lambda: MyReader(1 << 30)}
TEXTS = {"pg": PG, "my": MY}
#: What opens, closes and escapes, in both dialects.
PIECES = [
    b"'", b'"', b"`", b"\\", b"--", b"-- ", b"#", b"\n", b"/*", b"*/", b"/*!40000 ", b"/*M!", b";", b";;", b"$$",
    b"$a$", b"E'", b"(", b")", b"\n\\.\n", b"\r\n", b"COPY t FROM stdin;\n", b"\nDELIMITER ;;\n", b"a", b"\xff",
    b"\nDELIMITER ;\n", b"CREATE FUNCTION f() ", b" BEGIN ATOMIC ", b" END", b" CASE ", b"\\restrict x\n",
    b"SET sql_mode='NO_BACKSLASH_ESCAPES';", b" AS ", b"$",
]  # fmt: skip


def read(reader: Reader, chunks: Iterable[bytes]) -> tuple[list[Event], str]:
    """Return all events, with the pieces of rows put together, and what the file ended in."""
    found: list[Event] = []
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    for event in [*events, *reader.finish()]:
        if isinstance(event, Rows) and found and isinstance(found[-1], Rows):
            found[-1] = Rows(found[-1].data + event.data)
        else:
            found.append(event)
    return found, reader.unfinished


def cut(text: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut `text` into pieces of these sizes, and the rest."""
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [*pieces, text]


def statements(kind: str, text: bytes) -> list[bytes]:
    """Return the texts of the statements."""
    return [event.text for event in read(READERS[kind](), [text])[0] if isinstance(event, Statement)]


def test_a_postgresql_script_is_cut_as_psql_cuts_it() -> None:
    events, unfinished = read(PgReader(), [PG])
    assert unfinished == ""
    assert [event for event in events if not isinstance(event, Statement)] == [
        Command(rb"\restrict abc", 1),
        Rows(b"1\n\\\\.x\n\\N\n"),
        RowsEnd(),
        RowsEnd(),
        Command(rb"\unrestrict abc", 21),
    ]
    found = [event for event in events if isinstance(event, Statement)]
    assert [(event.line, event.text[:12]) for event in found] == [
        (5, b"SET a = 'x;y"), (6, b"CREATE FUNCT"), (8, b"create or re"), (9, b'COPY "a"."b"'), (14, b"COPY t FROM "),
        (16, b"SELECT E'a\\'"), (16, b"SELECT 1\n-- "), (19, b"CREATE RULE "), (20, b"DO $$ BEGIN "),
    ]  # fmt: skip
    assert found[0].lead == b"--\n-- Name: x; Type: TABLE\n--\n"
    assert [event.copies for event in found] == [False, False, False, True, True, False, False, False, False]
    assert found[5].text.endswith(b"/* a /* ; */ ; */")


def test_a_mysql_script_is_cut_as_its_client_cuts_it() -> None:
    events, unfinished = read(MyReader(1 << 30), [MY])
    assert unfinished == ""
    assert isinstance(events[0], Command)
    found = [event for event in events if isinstance(event, Statement)]
    assert [(event.line, event.text[:12]) for event in found] == [
        (3, b"/*!40101 SET"), (4, b"INSERT INTO "), (6, b"/*!50003 SET"), (8, b"CREATE PROCE"), (11, b"/*!50003 CRE"),
        (15, b"SET SQL_MODE"), (16, b"SELECT 'a\\'b"), (17, b'SELECT "x;" '),
        (19, b"CREATE LIBRA"), (23, b"SELECT a$$b,"),
    ]  # fmt: skip
    assert found[3].text.endswith(b"# it's\nEND")


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 255, 256, 257])
def test_pieces_of_one_size_change_nothing(kind: str, size: int) -> None:
    text = TEXTS[kind]
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert read(READERS[kind](), pieces) == read(READERS[kind](), [text])


@pytest.mark.parametrize("kind", TEXTS)
@given(text=st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join), data=st.data())
def test_how_a_file_is_cut_changes_nothing(kind: str, text: bytes, data: st.DataObject) -> None:
    text *= data.draw(st.integers(1, 4))  # beyond what the readers look ahead
    sizes = data.draw(st.lists(st.integers(0, 80), max_size=40))
    assert read(READERS[kind](), cut(text, sizes)) == read(READERS[kind](), [text])


@given(
    st.lists(st.binary(max_size=50).filter(lambda data: b"\n" not in data and not data.startswith(b"\\.")), max_size=9)
)
def test_rows_come_out_as_they_went_in(rows: list[bytes]) -> None:
    data = b"".join(row + b"\n" for row in rows)
    events, unfinished = read(PgReader(), [b"COPY t FROM stdin;\n", data, b"\\.\nSELECT 1;\n"])
    assert unfinished == ""
    assert b"".join(event.data for event in events if isinstance(event, Rows)) == data
    assert isinstance(events[-1], Statement)


@given(st.binary(max_size=300))
def test_a_string_with_any_bytes_ends_where_it_should(value: bytes) -> None:
    escaped = value.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    assert statements("my", b"INSERT INTO t VALUES ('" + escaped + b"',1);\nSELECT 2;\n")[1:] == [b"SELECT 2"]
    assert statements("pg", b"SELECT E'" + escaped + b"';\nSELECT 2;\n")[1:] == [b"SELECT 2"]
    doubled = value.replace(b"'", b"''")
    assert statements("pg", b"SELECT '" + doubled + b"';\nSELECT 2;\n")[1:] == [b"SELECT 2"]


def test_a_dumps_insert_ends_at_the_right_semicolon() -> None:
    """It is looked for at the ends of lines first; whatever may deceive that is looked at closely."""
    values = [rb"'a;\n'", b"'a;\n'", rb"'\\'", rb"'\';'", b"'`'", b"'\"'", b"'#'", b"'--'", b"'/*'", b"';'", b"1"]
    for head in (b"INSERT INTO `t` VALUES (", b"INSERT INTO `t` (`a`) VALUES (", b"INSERT INTO `o'x` VALUES\n("):
        for one in values:
            for other in values:
                text = head + one + b"," + other + b")"
                assert statements("my", text + b";\nSELECT 1;\n") == [text, b"SELECT 1"]


@given(
    st.lists(st.sampled_from([b"'", b"\\", b";\n", b"(", b"a", b"`", b'"', b"--", b"#", b"\n"]), max_size=40), st.data()
)
def test_how_an_insert_is_cut_changes_nothing(rest: list[bytes], data: st.DataObject) -> None:
    text = b"INSERT INTO `t` VALUES (" + b"".join(rest) + b");\n" + b"x" * 300
    sizes = data.draw(st.lists(st.integers(0, 80), max_size=20))
    assert read(READERS["my"](), cut(text, sizes)) == read(READERS["my"](), [text])


@pytest.mark.parametrize(
    ("kind", "text", "ended"),
    [
        ("pg", b"SELECT 1", ""), ("pg", b"SELECT 'x", "quote"), ("pg", b"SELECT (1", "statement"),
        ("pg", b"COPY t FROM stdin;\n1\n", "rows"), ("pg", b"SELECT /* x", "quote"), ("pg", b"-- x", ""),
        ("pg", b"DO $$ x", "quote"), ("my", b"SELECT 1", ""), ("my", b'SELECT "x', "quote"), ("my", b"# x", ""),
        ("my", b"SELECT 1 -- x", ""),
    ],
)  # fmt: skip
def test_what_is_not_whole_says_so(kind: str, text: bytes, ended: str) -> None:
    _events, unfinished = read(READERS[kind](), [text])
    assert (ended in unfinished) if ended else unfinished == ""


def test_old_strings_escape_by_a_backslash() -> None:
    text = (
        rb"SET standard_conforming_strings = off; SELECT 'a\'; b'; SET standard_conforming_strings = on; SELECT '\'; x"
    )
    assert statements("pg", text) == [
        b"SET standard_conforming_strings = off", rb"SELECT 'a\'; b'", b"SET standard_conforming_strings = on",
        rb"SELECT '\'", b"x",
    ]  # fmt: skip


def test_a_byte_order_mark_is_no_statement() -> None:
    assert statements("pg", b"\xef\xbb\xbfSELECT 1;") == [b"SELECT 1"]
    assert statements("my", b"\xef\xbb\xbfSELECT 1;") == [b"SELECT 1"]


def test_a_statement_beyond_the_limit_is_refused_while_it_comes() -> None:
    chunks = [b"SELECT 1;\nINSERT INTO t VALUES ('", *[b"x" * 100] * 50]
    with pytest.raises(RestoreFailed, match="line 2 is longer than 1000 bytes") as caught:
        read(MyReader(1000), chunks)
    assert "max_allowed_packet" in caught.value.hint
