"""A PostgreSQL standby that must choose between its primary and a dump: the dump fails, with the remedy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.demo.embedded import EmbeddedServer, standby_of
from tests.fixtures.pausing import Pause
from tests.fixtures.workspace import Connect, Workspace, finish

from vya_backupdb.domain.exitcodes import ExitCode

#: More than pipes and sockets take: the client still reads when the primary cleans up.
_FILL = "CREATE TABLE large AS SELECT n AS a, repeat(md5(n::text), 10000) AS b FROM generate_series(1, 64) n"


@pytest.fixture(scope="module")
def standby(embedded: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A standby that never lets a query delay what the primary sends."""
    with standby_of(embedded, "max_standby_streaming_delay=0") as server:
        yield server


@pytest.fixture
def following(standby: EmbeddedServer, tmp_path: Path) -> Workspace:
    """A workspace on the standby."""
    made = Workspace(tmp_path / "standby", standby)
    made.environment["VYA_BACKUPDB_CLIENT_PATH"] = str(standby.programs)
    return made


def asked(server: EmbeddedServer, database: str, question: str) -> Any:
    """Return the first column of the first row."""
    with psycopg.connect(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname=database
    ) as connection:
        (row,) = connection.execute(question).fetchall()
        return row[0]


def catch_up(standby: EmbeddedServer, embedded: EmbeddedServer) -> None:
    """Return when the standby has all that the primary has, or waits for a query that is in its way to end."""
    asked(embedded, "postgres", "SELECT pg_switch_wal()::text")  # a VACUUM alone is not flushed
    reached = asked(embedded, "postgres", "SELECT pg_current_wal_flush_lsn()::text")
    replayed = f"SELECT pg_last_wal_replay_lsn() >= '{reached}'"
    startup = asked(standby, "postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'")
    # its title says so from half a second on; a wait event comes and goes while it cancels the query
    while not asked(standby, "postgres", replayed):
        if Path(f"/proc/{startup}/cmdline").read_bytes().rstrip(b"\0 ").endswith(b" waiting"):
            return


@pytest.mark.parametrize("kind", ["before", "within", "after"])
def test_a_dump_that_the_primary_cannot_wait_for(
    following: Workspace, standby: EmbeddedServer, embedded: EmbeddedServer, database: str, connect: Connect, kind: str
) -> None:
    with connect(database) as connection:
        connection.execute(_FILL)
    catch_up(standby, embedded)
    done = following.run("backup", "--database", database)
    assert done.code == 0, done.err
    pause = Pause.make(following.root)
    real = embedded.programs / "pg_dump"
    texts = {"before": pause.before(real), "within": pause.within(real, after=200_000), "after": pause.after(real)}
    following.clients("paused", pg_dump=texts[kind])
    running = following.start("backup", "--database", database)
    pause.wait()
    with connect(database) as connection:
        connection.execute("DELETE FROM item WHERE id <= 500")
        connection.execute("VACUUM item")
    catch_up(standby, embedded)
    pause.release()
    done = finish(running)
    # afterwards it is our own session that notices
    code = ExitCode.CONNECTION_FAILED if kind == "after" else ExitCode.BACKUP_FAILED
    assert (done.code, done.row["status"]) == (code, "failed")
    assert "hot_standby_feedback = on" in done.row["error"]
    following.assert_tidy()
    assert len(following.ids(database)) == 1
