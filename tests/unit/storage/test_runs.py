"""Whose tree it is, which runs live, and what is noted of them."""

import os
import threading
from pathlib import Path

import pytest
from tests.unit.storage.support import (
    HOST,
    INSTANCE,
    NOW,
    assert_whole,
    back_up,
    metadata,
    report,
    run_once,
    tree,
)

from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.errors import (
    Busy,
    StorageUnavailable,
    TreeOwnedByAnother,
)
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage.tree import Tree

RUN = RunId("run-1")


def test_owner(base: Path) -> None:
    one = tree(base)
    assert one.claim("ns/shop", "server-1") == ()
    assert tree(base).claim("ns/shop", "server-1") == ()
    assert tree(base).claim(None, None) == ()
    with pytest.raises(TreeOwnedByAnother, match="belongs to ns/shop, not to ns/thief"):
        tree(base).claim("ns/thief", "server-1")
    assert one.owner() == "ns/shop"
    with pytest.raises(TreeOwnedByAnother, match="belongs to ns/shop, not to ns/thief"):
        one.require_owner("ns/thief")
    for allowed in ("ns/shop", None):
        one.require_owner(allowed)
    (found,) = Tree(StorageConfig(base_path=str(base))).instances()
    assert found.layout == one.layout


def test_another_server_freezes_deletion_until_it_is_accepted(base: Path) -> None:
    tree(base).claim(None, "server-1")
    one = tree(base)
    (warning,) = one.claim("ns/shop", "server-2")
    assert "another server answers" in warning
    assert one.frozen == warning
    one.accept_server("server-2")
    assert one.frozen == ""
    assert tree(base).claim("ns/shop", "server-2") == ()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 9}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_owner_file_stops_everything(base: Path, damage: bytes) -> None:
    tree(base).claim("ns/shop", None)
    (base / HOST / INSTANCE / ".owner.json").write_bytes(damage)
    with pytest.raises(StorageUnavailable, match=r"\.owner\.json is damaged"):
        tree(base).claim("ns/shop", None)


def test_a_run_is_alive_once(base: Path) -> None:
    one = tree(base)
    with one.lock_run(RUN):
        for again in (one, tree(base)):
            with pytest.raises(Busy, match="run-1 is alive elsewhere"), again.lock_run(RUN):
                pass
        with tree(base).lock_run(RunId("run-2")):
            pass
    with one.lock_run(RUN):
        pass
    assert list((base / HOST / INSTANCE / ".runs").iterdir()) == []


@pytest.mark.parametrize("same_object", [True, False])
def test_recovery_leaves_the_living_alone(base: Path, same_object: bool) -> None:
    one = tree(base)
    two = one if same_object else tree(base)
    with one.lock_run(RUN), one.open("chinook", NOW, RUN) as pending:
        pending.write(b"half a dump")
        with two.lock_run(RunId("run-2")):
            assert two.recover() == ()
        assert one.recover() == ()
        worker = threading.Thread(target=two.recover)
        worker.start()
        worker.join()
        pending.write(b" and the rest")
        pending.finish()
        pending.publish(metadata("chinook"))
    assert [stored.problem for stored in one.backups()] == [None]


def test_a_second_attempt_of_a_run_sweeps_the_first(base: Path) -> None:
    run_once(tree(base), "chinook", run="earlier")
    directory = base / HOST / INSTANCE / "chinook" / "2026-03-29"
    left = directory / ".chinook_20260329_023015_full_2.sql.gz.partial-run-1"
    left.write_bytes(b"half")
    one = tree(base)
    with one.lock_run(RUN):
        assert len(one.recover()) == 1
        assert not left.exists()
        back_up(one, "chinook")
    assert len(assert_whole(base)) == 2


def test_a_run_whose_name_is_cut_in_its_partials_is_told_apart(base: Path) -> None:
    long = RunId("a" * 63)
    one = tree(base)
    with one.lock_run(long), one.open("n" * 200, NOW, long) as pending:
        pending.write(b"half a dump")
        assert tree(base).recover() == ()
        pending.finish()
        pending.publish(metadata("n" * 200))
    assert len(one.backups()) == 1


def test_reports(base: Path) -> None:
    one = tree(base)
    for number in range(105):
        one.save_run(report(f"run-{number}", number))
    one.save_run(report("run-104", 104).model_copy(update={"message": "done"}))
    kept = one.runs()
    assert [one_report.run for one_report in kept] == [f"run-{number}" for number in range(5, 105)]
    assert kept[-1].message == "done"
    assert one.run("run-0") is None
    (base / HOST / INSTANCE / ".runs" / "run-50.json").write_bytes(b"{")
    assert one.run("run-50") is None
    assert len(one.runs()) == 99


def test_failures_go_with_their_report(base: Path) -> None:
    one = tree(base)
    failed = metadata("chinook", status="failed", error_message="client died").model_copy(update={"file_info": None})
    one.save_failure(RunId("run-0"), "chinook", failed)
    one.save_run(report("run-0"))
    assert (base / HOST / INSTANCE / ".runs" / "run-0" / "db_chinook.metadata.json").is_file()
    for number in range(1, 101):
        one.save_run(report(f"run-{number}", number))
    assert not (base / HOST / INSTANCE / ".runs" / "run-0").exists()


def test_what_somebody_else_put_among_the_runs_stays_and_stops_no_report(base: Path) -> None:
    one = tree(base)
    one.save_run(report("run-0"))
    runs = base / HOST / INSTANCE / ".runs"
    theirs = [runs / "a-note", runs / "theirs" / "file", runs / "run-0" / "file", runs / "Not A Run.json"]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path.parent, (1, 1))
        os.utime(path, (1, 1))
    (runs / "a-link").symlink_to(base)
    for number in range(1, 106):
        one.save_run(report(f"run-{number}", number))
    assert all(path.exists() for path in theirs)
    assert len(one.runs()) == 100
