"""Restores that must not happen, or must leave nothing: each is refused before the target is touched, or undone."""

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.pausing import REACHED, WAITING
from tests.fixtures.workspace import Connect, Done, Workspace, finish

from vya_backupdb.domain.exitcodes import ExitCode

Edit = Callable[[Path, Path], object]


def names(connect: Connect) -> set[str]:
    with connect("postgres") as connection:
        return {str(row[0]) for row in connection.execute("SELECT datname FROM pg_database").fetchall()}


@pytest.fixture
def backed_up(workspace: Workspace, database: str, connect: Connect) -> str:
    """The id of a backup of ``shop``, which is lost afterwards."""
    assert workspace.run("backup", "--database", "shop").code == 0
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")
    (made,) = workspace.ids("shop")
    return made


def edited(**changes: Any) -> Edit:
    """Return an edit of the metadata: dotted keys to new values."""

    def edit(_data: Path, metadata: Path) -> None:
        content = json.loads(metadata.read_text())
        for key, value in changes.items():
            place, *path = content, *key.split("__")
            for part in path[:-1]:
                place = place[part]
            assert place[path[-1]] != value
            place[path[-1]] = value
        metadata.write_text(json.dumps(content))

    return edit


def flip(position: float) -> Edit:
    """Return an edit that flips one bit, at this part of the file."""

    def edit(data: Path, _metadata: Path) -> None:
        content = bytearray(data.read_bytes())
        content[int(position * (len(content) - 1))] ^= 4
        data.write_bytes(content)

    return edit


def repacked(data: Path, _metadata: Path) -> None:
    """Put other content of the same length of SQL into a sound gzip file."""
    text = gzip.decompress(data.read_bytes())
    data.write_bytes(gzip.compress(text.replace(b"item", b"xtem", 1)))


@pytest.mark.parametrize(
    "edit",
    [
        lambda data, _metadata: data.write_bytes(data.read_bytes()[:-9]),
        lambda data, _metadata: data.write_bytes(data.read_bytes()[: data.stat().st_size // 2]),
        lambda data, _metadata: data.write_bytes(data.read_bytes() + b"\0"),
        lambda data, _metadata: data.write_bytes(b""),
        lambda data, _metadata: data.unlink(),
        flip(0.0), flip(0.001), flip(0.5), flip(0.999), flip(1.0), repacked,
        edited(file_info__checksum="0" * 64),
        edited(file_info__size_bytes=5),
        edited(backup_info__database_name="other"),
        edited(backup_info__status="failed", backup_info__error_message="x"),
        edited(uncompressed_bytes=1),
        edited(tables=[]),
        edited(database__owner="nobody"),
        edited(schema_info__tables_count=0),
        edited(tool__server_version="99.1"),
        lambda _data, metadata: metadata.write_text("{"),
        lambda _data, metadata: metadata.write_bytes(os.urandom(1000)),
        lambda data, _metadata: data.with_name(data.name + ".sha256").unlink(),
        lambda data, _metadata: data.with_name(data.name + ".sha256").write_text(f"{'0' * 64}  {data.name}\n"),
    ],
    ids=[
        "no trailer", "half", "more", "empty", "gone", "first bit", "early bit", "middle bit", "late bit", "last bit",
        "repacked", "checksum", "size", "database", "failed", "raw size", "no tables", "owner", "count", "server",
        "cut metadata", "random metadata", "no sha256", "other sha256",
    ],
)  # fmt: skip
def test_what_is_not_whole_is_refused_before_the_server_is_touched(
    workspace: Workspace, backed_up: str, connect: Connect, edit: Edit
) -> None:
    data = workspace.data_file(backed_up)
    edit(data, data.with_name(f"{backed_up}.metadata.json"))
    before = names(connect)
    for which in ("latest", backed_up):
        done = workspace.run("restore", "--database", "shop", "--backup", which)
        assert done.code == ExitCode.BACKUP_CORRUPT, done.out + done.err
    assert names(connect) == before


def test_an_older_backup_is_taken_by_its_id_and_by_time(workspace: Workspace, database: str, connect: Connect) -> None:
    assert workspace.run("backup", "--database", "shop").code == 0
    with connect("shop") as connection:
        connection.execute("DELETE FROM item WHERE id > 10")
    assert workspace.run("backup", "--database", "shop").code == 0
    first, second = workspace.ids("shop")
    listed = json.loads(workspace.run("list", "--database", "shop", "--format", "json").out)
    at = listed[0]["backups"][1]["timestamp"]
    for target, expected, arguments in (
        ("by_latest", 10, ()),
        ("by_id", 1000, ("--backup", first)),
        ("by_time", 1000, ("--before", at)),
        ("by_other_id", 10, ("--backup", second)),
    ):
        done = workspace.run("restore", "--database", "shop", "--to-database", target, *arguments)
        assert done.code == 0, done.err
        with connect(target) as connection:
            assert connection.execute("SELECT count(*) FROM item").fetchone() == (expected,)


def test_a_dry_run_says_the_plan_and_touches_nothing(workspace: Workspace, backed_up: str, connect: Connect) -> None:
    before, files = names(connect), workspace.files()
    done = workspace.run("restore", "--database", "shop", "--dry-run", "--format", "table")
    assert done.code == 0
    assert "count 1 table and 1000 rows" in done.out
    assert (names(connect), workspace.files()) == (before, files)


def test_what_the_plan_refuses_leaves_nothing_and_may_be_tried_again(
    workspace: Workspace, database: str, connect: Connect
) -> None:
    with connect("shop") as connection:
        connection.execute("CREATE ROLE owner_of_items")
        connection.execute("ALTER TABLE item OWNER TO owner_of_items")
    assert workspace.run("backup", "--database", "shop").code == 0
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")
        connection.execute("DROP ROLE owner_of_items")
    before = names(connect)
    done = workspace.run("restore", "--database", "shop")
    assert done.code == ExitCode.RESTORE_REFUSED
    assert 'the role "owner_of_items", which does not exist' in done.err
    assert names(connect) == before
    with connect("postgres") as connection:
        connection.execute("CREATE ROLE owner_of_items")
    assert workspace.run("restore", "--database", "shop").code == 0
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")
        connection.execute("DROP ROLE owner_of_items")


@pytest.fixture
def slow_load(workspace: Workspace, database: str, connect: Connect) -> Iterator[Callable[[], None]]:
    """A backup whose load stops in its middle and goes on when the role ``waiting`` is dropped; waits until it does."""
    with connect("shop") as connection:
        connection.execute(WAITING)
    assert workspace.run("backup", "--database", "shop").code == 0
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")
        connection.execute("CREATE ROLE waiting")

    def reached() -> None:
        with connect("postgres") as connection:
            connection.execute(REACHED)

    yield reached
    with connect("postgres") as connection:
        connection.execute("DROP ROLE IF EXISTS waiting")


def restore(workspace: Workspace, run: str, *more: str) -> Done:
    return workspace.run("restore", "--database", "shop", "--run-id", run, *more)


def test_what_a_killed_restore_left_is_dropped_by_its_own_next_attempt_only(
    workspace: Workspace, connect: Connect, slow_load: Callable[[], None]
) -> None:
    before = names(connect)
    process = workspace.start("restore", "--database", "shop", "--run-id", "restore-one")
    slow_load()
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    (scratch,) = names(connect) - before
    assert scratch.startswith("vya_")
    with connect("postgres") as connection:
        connection.execute("DROP ROLE waiting")

    assert restore(workspace, "restore-two", "--to-database", "other").code == 0
    assert names(connect) == before | {scratch, "other"}
    assert restore(workspace, "restore-one").code == 0
    assert names(connect) == before | {"other", "shop"}
    # the pod of a Job that had succeeded starts once more: nothing is done again, and nothing is said to be wrong
    again = restore(workspace, "restore-one")
    assert (again.code, again.report["restored"]["rows"]) == (0, 1000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_undoes_the_restore(
    workspace: Workspace, connect: Connect, slow_load: Callable[[], None], number: signal.Signals
) -> None:
    before = names(connect)
    process = workspace.start("restore", "--database", "shop")
    slow_load()
    process.send_signal(number)
    done = finish(process)
    assert done.code == ExitCode.INTERRUPTED, done.err
    assert names(connect) == before
    with connect("postgres") as connection:
        # the server does not go on with the statement for nobody
        assert connection.execute("SELECT FROM pg_stat_activity WHERE query ~ '^REFRESH'").fetchall() == []


def test_a_claim_is_executed_once(workspace: Workspace, backed_up: str, connect: Connect) -> None:
    claim = ("--claim", "default.bring-back.0123456789ab")
    first = restore(workspace, "job-a", *claim, "--claim-uid", "uid-1")
    assert first.code == 0, first.err
    # the same object's Job again: it is told how it ended
    again = restore(workspace, "job-a", *claim, "--claim-uid", "uid-1")
    assert (again.code, again.report["message"]) == (0, first.report["message"])
    with connect("postgres") as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")
    # the same request, made again from Git, is another object
    other = restore(workspace, "job-b", *claim, "--claim-uid", "uid-2")
    assert other.code == ExitCode.ALREADY_EXECUTED
    assert "does not run again" in other.err
    assert "shop" not in names(connect)


def test_a_claim_is_not_taken_by_what_fails_before_the_target_is_touched(
    workspace: Workspace, backed_up: str, embedded: EmbeddedServer
) -> None:
    claim = ("--claim", "default.bring-back.0123456789ab", "--claim-uid", "uid-1")
    workspace.set_credentials("postgres", "wrong")
    assert restore(workspace, "job-a", *claim).code == ExitCode.AUTHENTICATION_FAILED
    assert not list(workspace.tree.glob(".restores/*"))
    workspace.set_credentials("postgres", embedded.password)
    assert restore(workspace, "job-a", *claim).code == 0


def test_a_backup_of_another_product_is_refused(workspace: Workspace, backed_up: str) -> None:
    done = workspace.run("restore", "--database", "nothing")
    assert done.code == ExitCode.NOT_FOUND
    assert "'nothing'" in done.err
