"""Databases that change under their dump, on each product: a success holds all of the moment, or it is none.

Where a product blocks the statement until the dump is over, the dump must be whole; where it does not, it must fail.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fixtures.places import Place, place, row_of
from tests.fixtures.scratch_databases import databases, run
from tests.servers import Server

from vya_backupdb.domain.exitcodes import ExitCode

NAME = "moving"
ROWS = 500
_FILL = {
    "postgres": f"CREATE TABLE {{}} AS SELECT n AS a, md5(n::text) AS b FROM generate_series(1, {ROWS}) n",
    "mysql": "CREATE TABLE {} AS WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < "
    f"{ROWS}) SELECT n AS a, SHA2(n, 256) AS b FROM s",
}


@pytest.fixture(params=["postgres:17", "mariadb:11.8", "mysql:9.7"])
def moving(request: pytest.FixtureRequest, servers: Callable[[str], Server], tmp_path: Path) -> Iterator[Place]:
    """A place with a database of two tables, and one backup of it."""
    server = servers(request.param)
    with place(server, tmp_path) as here, databases() as make:
        make(server, NAME)
        fill = _FILL["postgres" if here.is_postgresql else "mysql"]
        run(server, NAME, fill.format("t"), fill.format("u"))
        assert here.backup("earlier", NAME).exit_code == ExitCode.OK
        yield here


def statements(place: Place, kind: str) -> tuple[str, ...]:
    """Return the statements of `kind` in the words of the product."""
    if kind == "rename":
        if place.is_postgresql:
            return ("ALTER TABLE t RENAME TO x", "ALTER TABLE u RENAME TO t")
        return ("RENAME TABLE t TO x, u TO t, x TO u",)
    if kind == "rewrite":
        return ("ALTER TABLE t ALTER a TYPE bigint" if place.is_postgresql else "ALTER TABLE t MODIFY a varchar(40)",)
    return {"truncate": ("TRUNCATE TABLE t",), "drop": ("DROP TABLE t",)}[kind]


@pytest.mark.parametrize("kind", ["truncate", "drop", "rename", "rewrite"])
def test_a_table_that_changes_before_the_client_reads_it(moving: Place, kind: str) -> None:
    moving.client(moving.pause.before)
    running = moving.begin(moving.backup, "moving", NAME)
    moving.pause.wait()
    changes = statements(moving, kind)
    changing = moving.begin(run, moving.server, NAME, *changes)
    was_done = moving.until_done_or_blocked(changing, changes[0][:8])
    moving.pause.release()
    report = running.result()
    changing.result()
    row = row_of(report, NAME)
    if was_done:
        assert (report.exit_code, row.status) == (ExitCode.BACKUP_FAILED, "failed")
        assert NAME in (row.error or "")
        assert len(moving.backups(NAME)) == 1
    else:
        _assert_whole(moving)
    moving.workspace.assert_tidy()
    moving.real_client()
    assert moving.backup("next", NAME).exit_code == ExitCode.OK


#: What changes ``u`` while ``t`` is read, and ``u`` has yet to be.
_IN_THE_MIDDLE = {
    "a column more": "ALTER TABLE u ADD COLUMN c int",
    "an index": "CREATE INDEX by_a ON u (a)",
    "rewritten": "ALTER TABLE u ADD COLUMN c int NOT NULL DEFAULT 7, DROP COLUMN b",
    "emptied": "TRUNCATE TABLE u",
    "dropped": "DROP TABLE u",
}


def test_definitions_that_change_in_the_middle_of_a_dump(moving: Place) -> None:
    """Blocked until its end, or the dump fails; and a later one holds what is there then."""
    fill = _FILL["postgres" if moving.is_postgresql else "mysql"]
    long = "repeat(md5(n::text), 40)" if moving.is_postgresql else "REPEAT(SHA2(n, 256), 20)"  # more than a pipe takes
    run(
        moving.server,
        NAME,
        "DROP TABLE t",
        fill.format("t").replace("md5(n::text)", long).replace("SHA2(n, 256)", long),
    )
    moving.client(lambda real: moving.pause.within(real, after=300_000))
    for number, (kind, statement) in enumerate(_IN_THE_MIDDLE.items()):
        kept = len(moving.backups(NAME))
        running = moving.begin(moving.backup, f"moving-{number}", NAME)
        moving.pause.wait()
        moving.until_held(NAME, "u")
        changing = moving.begin(run, moving.server, NAME, statement)
        was_done = moving.until_done_or_blocked(changing, statement[:9])
        moving.pause.release()
        report = running.result()
        changing.result()
        # pg_dump has read by then which indexes there are, and an index changes no row
        harmless = moving.is_postgresql and kind == "an index"
        assert was_done is (moving.server.product == "mariadb" or harmless), kind
        if was_done and not harmless:
            assert (report.exit_code, row_of(report, NAME).status) == (ExitCode.BACKUP_FAILED, "failed"), kind
            assert NAME in (row_of(report, NAME).error or "")
            assert len(moving.backups(NAME)) == kept
        else:
            assert report.exit_code == ExitCode.OK, report
            _assert_whole(moving)
        run(moving.server, NAME, "DROP TABLE IF EXISTS u", fill.format("u"))
    moving.workspace.assert_tidy()


def _assert_whole(moving: Place) -> None:
    """The newest backup holds every row of the moment before anything changed."""
    metadata = moving.backups(NAME)[-1].metadata
    assert metadata is not None
    assert metadata.tables is not None
    assert {table.name for table in metadata.tables} == {"t", "u"}
    assert all(table.rows in {ROWS, None} for table in metadata.tables)


def test_a_database_that_is_dropped_under_its_dump_fails_alone(moving: Place) -> None:
    run(moving.server, NAME, "CREATE DATABASE staying")
    try:
        moving.client(lambda real: moving.pause.before(real, NAME))
        running = moving.begin(moving.backup, "moving", NAME, "staying")
        moving.pause.wait()
        drop = f"DROP DATABASE {NAME}" + (" WITH (FORCE)" if moving.is_postgresql else "")
        dropping = moving.begin(moving.server.sql, drop)
        was_done = moving.until_done_or_blocked(dropping, "DROP DATABASE")
        moving.pause.release()
        report = running.result()
        dropping.result()
        assert row_of(report, "staying").status == "success"
        if was_done:
            assert report.exit_code == ExitCode.PARTIAL
            assert NAME in (row_of(report, NAME).error or "")
            assert len(moving.backups(NAME)) == 1
        else:
            _assert_whole(moving)
        moving.workspace.assert_tidy()
    finally:
        moving.server.sql("DROP DATABASE staying")


def test_a_database_that_appears_under_the_run_is_in_the_next(moving: Place) -> None:
    moving.client(lambda real: moving.pause.before(real, NAME))
    moving.workspace.instance["include_databases"] = [NAME, "appear*"]
    running = moving.begin(moving.backup, "moving")
    moving.pause.wait()
    appearing = moving.begin(moving.server.sql, "CREATE DATABASE appearing")
    moving.until_done_or_blocked(appearing, "CREATE DATABASE")
    try:
        moving.pause.release()
        report = running.result()
        appearing.result()
        assert report.exit_code == ExitCode.OK
        assert {row.name for row in report.databases if row.kind == "database"} == {NAME}
        moving.real_client()
        assert row_of(moving.backup("next"), "appearing").status == "success"
    finally:
        moving.server.sql("DROP DATABASE IF EXISTS appearing")
