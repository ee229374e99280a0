"""Retention on a real server: exactly what was planned goes, and each of the things that hold a deletion back holds."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.fixtures import in_process
from tests.fixtures.workspace import Workspace

from vya_backupdb.domain import layout
from vya_backupdb.domain.config import StorageConfig
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.dumper import words
from vya_backupdb.storage.tree import InstanceTree, Tree

ONE_DAY = {"strategy": "simple", "daily_keep": 1}


@dataclass
class Past:
    """Backups of long ago, made of one real backup: its files under other names, with metadata that says so."""

    workspace: Workspace

    def __post_init__(self) -> None:
        """Make the one backup, with its users file; it goes where its first copy is made."""
        assert self.workspace.run("backup").code == 0
        self.now = datetime.now(UTC)
        self.originals = [one for one in self.workspace.files() if one.name.endswith(".metadata.json")]
        self.number = 0

    def __call__(self, schedule: str | None, days: int, *, reason: str = "cli", rows: int | None = None) -> str:
        """Return the id of a backup of ``shop`` that `schedule` made so many days ago, together with the users."""
        self.number += 1
        at = self.now - timedelta(days=days)
        made = [self._copy(one, at, {"schedule": schedule, "reason": reason}, rows) for one in self.originals]
        if self.number == 1:
            for one in self.originals:
                for part in layout.Part:
                    one.with_name(one.name.replace(".metadata.json", part)).unlink()
        return next(name for name in made if not name.startswith("users"))

    def _copy(self, metadata: Path, at: datetime, run: dict[str, str | None], rows: int | None) -> str:
        if self.number == 1:
            self.contents = {**getattr(self, "contents", {}), metadata: _read(metadata)}
        content, data = self.contents[metadata]
        content = json.loads(content)
        parsed = layout.parse_file_name(metadata.name)
        assert parsed is not None
        stem = parsed.stem.replace(f"{parsed.wall_clock:%Y%m%d_%H%M%S}", f"{at:%Y%m%d_%H%M%S}")
        content["backup_info"]["timestamp"] = at.isoformat()
        content["run"] |= {**run, "id": f"run-{self.number}"}
        content["file_info"]["filename"] = f"{stem}.sql.gz"
        if rows is not None and content["tables"]:
            content["tables"][0]["rows"] = rows
        folder = metadata.parent if parsed.is_users else metadata.parent.parent / f"{at:%Y-%m-%d}"
        folder.mkdir(exist_ok=True)
        self._write(folder, stem, json.dumps(content).encode(), data)
        return stem

    def _write(self, folder: Path, stem: str, content: bytes, data: bytes) -> None:
        lines = (f"{stem}.sql.gz", data), (f"{stem}.metadata.json", content)
        seal = "".join(f"{hashlib.sha256(one).hexdigest()}  {name}\n" for name, one in lines)
        for name, one in (*lines, (f"{stem}.sql.gz.sha256", seal.encode())):
            path = folder / name
            path.write_bytes(one)
            path.chmod(0o600)


def _read(metadata: Path) -> tuple[str, bytes]:
    return metadata.read_text(), metadata.with_name(metadata.name.replace(".metadata.json", ".sql.gz")).read_bytes()


@pytest.fixture
def past(workspace: Workspace, database: str) -> Past:
    """Give backups of the past; the program runs for the schedule ``nightly``."""
    assert database == "shop"
    made = Past(workspace)
    workspace.config["schedule"] = "nightly"
    return made


def ids(workspace: Workspace) -> set[str]:
    """Return the ids of the backups of ``shop`` on the volume."""
    return {one.id for one in tree(workspace).backups("shop")}


def tree(workspace: Workspace) -> InstanceTree:
    """Return the instance's tree."""
    return Tree(StorageConfig(base_path=str(workspace.backups))).instance("db", "demo")


def assert_frozen_without_a_clock(workspace: Workspace) -> None:
    """Where the server cannot be asked for its clock nothing is deleted, and it says so."""
    port, workspace.instance["port"] = workspace.instance["port"], 1
    frozen = workspace.run("retention", "apply", "--format", "table")
    assert frozen.code == ExitCode.RETENTION_FROZEN
    assert "clock could not be asked" in frozen.err
    workspace.instance["port"] = port


def test_retention_deletes_what_the_plan_says_and_only_its_own_schedules(workspace: Workspace, past: Past) -> None:
    workspace.config["retention"] = {"strategy": "simple", "daily_keep": 2}
    foreign = past("hourly", 40)
    by_hand = past(None, 50)
    old = past("nightly", 30)
    kept = [past("nightly", days) for days in (3, 1)]
    corrupt = past("nightly", 60)
    workspace.data_file(corrupt).write_bytes(b"")
    before = set(workspace.files())

    planned = json.loads(workspace.run("retention", "plan", "--format", "json").out)[0]
    doomed = {Path(one["path"]) for one in planned["decisions"] if one["action"] == "delete"}
    assert {path.name for path in doomed if not path.name.startswith("users")} == {f"{old}.sql.gz"}
    assert all(one["reasons"] for one in planned["decisions"])
    assert set(workspace.files()) == before

    assert_frozen_without_a_clock(workspace)
    assert {path for path in workspace.files() if layout.parse_file_name(path.name)} <= before

    done = workspace.run("retention", "apply", "--format", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)["report"]
    assert report["totals"]["deleted"] == len(doomed) == 2  # the users file of the old run, too
    assert report["totals"]["kept"] == 5  # two databases, three users files (the damaged one's, too); its own only
    assert report["message"] == "2 backups deleted, 5 kept"
    gone = {path for path in before - set(workspace.files()) if layout.parse_file_name(path.name)}
    expected = {path.with_name(path.name.removesuffix(".sql.gz") + part) for path in doomed for part in layout.Part}
    assert gone == expected
    assert ids(workspace) == {foreign, by_hand, corrupt, *kept}

    # nothing is left to delete: the server need not be asked
    workspace.instance["port"] = 1
    assert workspace.run("retention", "apply").code == 0
    assert workspace.run("retention", "plan").code == 0


def test_retention_is_frozen_behind_another_server(workspace: Workspace, past: Past) -> None:
    workspace.config["retention"] = {"strategy": "simple", "daily_keep": 1}
    past("nightly", 30)
    past("nightly", 1)
    owner = workspace.tree / ".owner.json"
    owner.write_text(owner.read_text().replace('"server_identity": "', '"server_identity": "9'))
    done = workspace.run("retention", "apply")
    assert done.code == ExitCode.RETENTION_FROZEN
    assert "another server answers" in done.err
    assert "another server answers" in json.loads(done.out)["frozen"]
    assert len(ids(workspace)) == 2

    accepted = workspace.run("retention", "accept", "--reason", "rebuilt", "--format", "json")
    assert accepted.code == 0, accepted.err
    (word,) = json.loads(accepted.out)["accepted"]
    assert (word["what"], word["reason"]) == ("server", "rebuilt")
    assert "another server answers" in word["finding"]
    assert word["by"]
    assert workspace.run("retention", "apply").code == 0
    assert len(ids(workspace)) == 1
    assert json.loads(workspace.run("retention", "accept").out)["accepted"] == []


def reasons(workspace: Workspace, backup: str) -> tuple[str, str]:
    """Return the action that is planned for `backup`, and why."""
    (document,) = json.loads(workspace.run("retention", "plan").out)
    (one,) = [one for one in document["decisions"] if one["backup"] == backup]
    return one["action"], "; ".join(one["reasons"])


def test_a_pin_keeps_a_backup_until_it_is_taken_away_and_its_users_with_it(workspace: Workspace, past: Past) -> None:
    workspace.config["retention"] = ONE_DAY
    old, new = (past("nightly", days) for days in (30, 1))
    workspace.audit()
    pinned = workspace.run("pin", f"{old}.sql.gz", "--reason", "the audit of 2026")
    assert pinned.code == 0, pinned.err
    assert json.loads(pinned.out)["pin"]["backup"] == old
    assert reasons(workspace, old) == ("keep", "pinned: the audit of 2026")
    before = set(workspace.files())
    assert workspace.run("retention", "apply").code == 0
    assert set(workspace.files()) >= {path for path in before if layout.parse_file_name(path.name)}

    assert workspace.run("unpin", old).code == 0
    assert reasons(workspace, old)[0] == "delete"
    said = [one for one in workspace.audited() if one[0].endswith("pin")]
    assert said == [("pin", "shop", "success", old), ("unpin", "shop", "success", old)]

    notes = workspace.tree / ".notes.json"
    notes.write_bytes(notes.read_bytes().replace(b'"version": 1', b'"version":  1'))
    frozen = workspace.run("retention", "apply")
    assert frozen.code == ExitCode.RETENTION_FROZEN
    assert "nobody knows which backups are pinned" in frozen.err
    assert ids(workspace) == {old, new}


def pinned(tree: InstanceTree, backup: str) -> None:
    """Pin it."""
    speaker = words.Speaker("ada", datetime.now(UTC), "the audit")
    words.pin(tree, backup, until=None, speaker=speaker)


def found_damaged(tree: InstanceTree, backup: str) -> None:
    """Note what `verify` notes of a damaged one, of the newest instead of `backup`."""
    newest = next(one for one in reversed(tree.backups("shop")) if one.id != backup)
    tree.notebook().change(lambda notes: notes.after_check(newest.place, "rotten", datetime.now(UTC)))


@pytest.mark.parametrize("meanwhile", [pinned, found_damaged])
def test_what_happens_between_plan_and_deletion_keeps_a_backup_and_the_users_of_its_run(
    workspace: Workspace, past: Past, meanwhile: Callable[[InstanceTree, str], None]
) -> None:
    workspace.config["retention"] = ONE_DAY
    old, new = (past("nightly", days) for days in (30, 1))
    opened = in_process.session(workspace)
    report = in_process.prune(opened, "late", lambda _pruning: meanwhile(opened.tree, old))
    assert ids(workspace) == {old, new}
    assert len(opened.tree.users()) == 2
    assert report.totals.deleted == 0
    assert [one.reason for one in report.findings] == ["LeftAlone"] * 2


def test_an_anomaly_keeps_what_is_older_until_it_is_accepted(workspace: Workspace, past: Past) -> None:
    workspace.config["retention"] = {**ONE_DAY, "anomaly": {"minimum_runs": 1}}
    old = past("nightly", 30)
    odd = past("nightly", 20, rows=100)
    newest = past("nightly", 1, rows=100)
    assert reasons(workspace, old) == ("keep", f"older than {newest}, whose anomaly is not accepted")
    assert "the number of rows fell by 90 % (100 instead of 1000)" in reasons(workspace, odd)[1]
    done = workspace.run("retention", "apply")
    assert done.code == 0, done.err
    report = json.loads(done.out)["report"]
    assert report["message"].endswith("; 2 anomalies wait for 'retention accept'")
    findings = report["findings"]
    assert [(one["reason"], one["blocking"]) for one in findings] == [("Anomaly", False)] * 2
    assert f"{odd}: the number of rows fell by" in workspace.run("retention", "plan", "--output", "table").out

    workspace.audit()
    wrong = workspace.run("retention", "accept", "--backup", old)
    assert wrong.code == ExitCode.NOT_FOUND
    accepted = workspace.run("retention", "accept", "--backup", odd, "--reason", "cleaned up")
    assert [one["backup"] for one in json.loads(accepted.out)["accepted"]] == [odd]
    assert workspace.audited() == [("accept", None, "failed", old), ("accept", "shop", "success", odd)]
    assert reasons(workspace, old)[0] == "delete"  # what followed is as the accepted one
    assert workspace.run("retention", "apply").code == 0
    assert ids(workspace) == {newest}


def test_many_deletions_wait_until_they_are_accepted(workspace: Workspace, past: Past) -> None:
    workspace.config["retention"] = {**ONE_DAY, "max_delete_percent": 60}
    old, older = (past("nightly", days) for days in (20, 30))
    newest = past("nightly", 1)
    braked = workspace.run("retention", "apply")
    assert braked.code == ExitCode.RETENTION_FROZEN
    assert "2 of 3 backups of the database 'shop', made by nightly, would be deleted at once" in braked.err
    assert "max_delete_percent is 60" in braked.err
    assert "retention accept" in braked.err
    assert ids(workspace) == {old, older, newest}
    assert reasons(workspace, old)[0] == "keep"
    workspace.audit()
    done = workspace.run("retention", "accept", "--reason", "we keep less", "--format", "json")
    accepted = {one["database"]: one for one in json.loads(done.out)["accepted"]}
    assert set(accepted["shop"]["backups"]) == {old, older}
    assert ("accept", "shop", "success") in {one[:3] for one in workspace.audited()}
    assert workspace.run("retention", "apply").code == 0
    assert ids(workspace) == {newest}


def test_safety_dumps_live_for_a_period_of_their_own_and_stand_in_for_no_backup(
    workspace: Workspace, past: Past
) -> None:
    workspace.config["retention"] = {**ONE_DAY, "safety_keep_days": 7}
    old, good = past("nightly", 60), past("nightly", 50)
    expired, young = (past("nightly", days, reason="pre-restore") for days in (8, 6))
    assert reasons(workspace, expired) == ("delete", "safety dump past its period")
    assert reasons(workspace, young)[0] == "keep"
    done = json.loads(workspace.run("retention", "apply").out)["report"]
    assert ids(workspace) == {good, young}
    assert done["totals"] == {"databases": 0, "succeeded": 0, "failed": 0, "size_bytes": 0, "kept": 2, "deleted": 4}
    assert old not in ids(workspace)
