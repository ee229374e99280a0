"""Faults: each ends in a condition and an exit code that name cause and remedy; and killed clients and dumpers.

That the mended ones heal is told by `test_waiting_heals`, at the end: other stories pass the time until then.
"""

import pytest
from tests.e2e.support.faults import FAULTS, SLOW, Fault, Faults
from tests.e2e.support.node import await_process
from tests.e2e.support.space import PREFIX, condition_of
from tests.e2e.support.waiting import until


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_named_with_its_remedy(faults: Faults, fault: Fault) -> None:
    found = faults.space.wait_reason(f"bki/{fault.name}", "Ready", fault.reason, seconds=180)

    assert found["status"] == "False"
    assert fault.remedy in found["message"].lower(), found["message"]
    status = faults.space.get(f"bki/{fault.name}")
    assert condition_of(status, fault.area)["status"] == "False"
    assert condition_of(status, fault.area)["reason"] == fault.reason
    flags = {one["type"] for one in status["status"]["conditions"] if one["status"] == "True"}
    assert flags & {"Stalled", "Reconciling"}
    if fault.exit_code is None:
        return
    selector = f"{PREFIX}instance={fault.name},{PREFIX}role=check"
    # the next check takes the pod of the one before away, and has not ended yet
    ended = until(f"a check of {fault.name} has ended", lambda: faults.space.exit_codes(selector), seconds=90)
    assert ended == {fault.exit_code}


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.exit_code], ids=lambda fault: fault.name)
def test_a_run_that_fails_of_it_says_so_too(faults: Faults, fault: Fault) -> None:
    found = faults.space.wait_trigger(fault.name, "faulty", seconds=180)

    run = found["status"]["lastRun"]
    assert (run["result"], run["exitCode"]) == (fault.reason, fault.exit_code)
    condition = condition_of(found, "LastBackupSucceeded")
    assert (condition["status"], condition["reason"]) == ("False", fault.reason)
    assert fault.remedy in condition["message"].lower()
    assert "lastSuccessfulTime" not in found["status"]


def test_all_is_mended(faults: Faults) -> None:
    """From here on nothing but the passing of time brings the instances back."""
    for fault in FAULTS:
        faults.space.wait_reason(f"bki/{fault.name}", "Ready", fault.reason, seconds=180)
    faults.mend()


def test_a_client_killed_half_way_fails_the_run_and_leaves_nothing(faults: Faults) -> None:
    """The dump has begun to flow when its second table, which somebody has locked, stops it."""
    with faults.locked():
        faults.space.trigger("sound", "client dies")
        client = await_process(faults.space, f"{PREFIX}schedule=sound,{PREFIX}role=backup", "mariadb-dump")
        client.kill()
        found = faults.space.wait_trigger("sound", "client dies")

    run = found["status"]["lastRun"]
    assert run["result"] == "BackupFailed"
    assert run["exitCode"] == 41
    row = next(row for row in found["status"]["databases"] if row["name"] == SLOW)
    assert row["result"] == "Failed"
    assert "mariadb-dump was killed" in row["error"]
    assert condition_of(found, "LastBackupSucceeded")["status"] == "False"
    faults.volume.assert_whole()
    assert not faults.volume.backups(SLOW)


def test_a_dumper_killed_half_way_is_told_apart_and_cleaned_up_by_the_next_run(faults: Faults) -> None:
    with faults.locked():
        faults.space.trigger("sound", "dumper dies")
        selector = f"{PREFIX}schedule=sound,{PREFIX}role=backup"
        await_process(faults.space, selector, "mariadb-dump")
        await_process(faults.space, selector, "vya-backupdb").kill()
        found = faults.space.wait_trigger("sound", "dumper dies")
        assert any(".partial-" in name for name in faults.volume.files()), "it was killed too late"

    assert found["status"]["lastRun"]["result"] == "Killed"
    assert "killed" in condition_of(found, "LastBackupSucceeded")["message"]
    assert not faults.volume.backups(SLOW)

    faults.space.trigger("sound", "now well")
    found = faults.space.wait_trigger("sound", "now well")
    assert found["status"]["lastRun"]["result"] == "Succeeded"
    assert condition_of(found, "LastBackupSucceeded")["status"] == "True"
    assert len(faults.volume.backups(SLOW)) == 1
    faults.volume.assert_whole()
