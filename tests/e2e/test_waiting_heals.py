"""What was mended in `test_healing` has healed by waiting alone, without anyone touching an object of ours."""

import pytest
from tests.e2e.support.faults import FAULTS, Fault, Faults
from tests.e2e.support.manifests import schedule
from tests.e2e.support.space import condition_of


@pytest.fixture(scope="module", autouse=True)
def _mended(faults: Faults) -> None:
    """Mend what is still at fault, for a run of this module alone."""
    faults.mend()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_was_mended_heals_by_waiting_alone(faults: Faults, fault: Fault) -> None:
    before = faults.space.get(f"bki/{fault.name}")["metadata"]

    found = faults.space.wait(f"bki/{fault.name}", "Ready", seconds=200)

    assert found["metadata"]["generation"] == before["generation"] == 1
    assert condition_of(found, fault.area)["status"] == "True"
    assert condition_of(found, "Stalled").get("status") != "True"
    assert found["status"].get("failedChecks", 0) == 0


def test_the_next_runs_succeed_and_the_volumes_are_whole(faults: Faults) -> None:
    faults.space.apply(schedule("missing-claim", "missing-claim"))
    for fault in FAULTS:
        faults.space.trigger(fault.name, "mended")

    for fault in FAULTS:
        found = faults.space.wait_trigger(fault.name, "mended")
        assert found["status"]["lastRun"]["result"] == "Succeeded"
        assert condition_of(found, "LastBackupSucceeded")["status"] == "True"
    faults.volume.assert_whole()
    faults.full.assert_whole()
    faults.full.check_sums()
