"""What the models promise beyond the corpus: identities, defaults, no floats, and one meaning for one restore."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vya_backupdb.domain.specs import (
    BackupInstance,
    RestoreRequest,
    SpecProblem,
    parse,
    parse_instance,
    parse_restore,
    parse_schedule,
)
from vya_backupdb.domain.specs_base import Condition
from vya_backupdb.domain.specs_restore import restore_identity
from vya_backupdb.domain.specs_schedule import LastRun, ScheduleStatus

INSTANCE: dict[str, Any] = {
    "engine": "MariaDB",
    "host": "mariadb",
    "credentials": {"secretRef": {"name": "s"}, "encoding": "Plain"},
    "storage": {"persistentVolumeClaim": {"claimName": "c"}},
}
RESTORE: dict[str, Any] = {"source": {"instanceRef": {"name": "a"}, "database": "shop", "backup": "latest"}}


def _object(kind: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "one", "namespace": "shop", **metadata}, "spec": spec}


def _restore(spec: dict[str, Any], **metadata: Any) -> RestoreRequest:
    parsed = parse_restore(_object("RestoreRequest", spec, **metadata))
    assert isinstance(parsed, RestoreRequest)
    return parsed


def test_parsed_object_knows_who_it_is() -> None:
    manifest = _object("BackupInstance", INSTANCE, uid="u-1", generation=3, labels={"a": "b"}, deletionTimestamp="now")
    manifest["status"] = {"observedGeneration": 2, "of a later version": True}

    parsed = parse_instance(manifest)

    assert isinstance(parsed, BackupInstance)
    assert (parsed.namespace, parsed.name, parsed.uid, parsed.generation) == ("shop", "one", "u-1", 3)
    assert parsed.deleting
    assert parsed.labels == {"a": "b"}
    assert parsed.status["observedGeneration"] == 2


def test_problem_knows_who_it_is() -> None:
    parsed = parse(_object("BackupSchedule", {}, uid="u-2", generation=7))

    assert isinstance(parsed, SpecProblem)
    assert (parsed.of_kind, parsed.name, parsed.uid, parsed.generation) == ("BackupSchedule", "one", "u-2", 7)
    assert "spec.instanceRef: is required" in parsed.message
    assert "spec.schedule: is required" in parsed.message


@pytest.mark.parametrize("spec", [None, [], "text", 5], ids=repr)
def test_spec_that_is_no_mapping_is_a_problem(spec: object) -> None:
    assert isinstance(parse_instance(_object("BackupInstance", spec)), SpecProblem)


def test_stranger_is_a_problem() -> None:
    parsed = parse({"kind": "Backup", "metadata": {}})

    assert isinstance(parsed, SpecProblem)
    assert "none of BackupInstance, BackupSchedule, RestoreRequest" in parsed.message


def test_problem_never_quotes_a_value_that_may_be_a_secret() -> None:
    spec = {**INSTANCE, "credentials": {"secretRef": {"name": "s"}, "password": "hunter2"}}

    parsed = parse_instance(_object("BackupInstance", spec))

    assert isinstance(parsed, SpecProblem)
    assert "hunter2" not in parsed.message
    assert "spec.credentials.password: unknown key" in parsed.message


def test_defaults_written_out_leave_the_restore_the_same() -> None:
    short = _restore(RESTORE)
    written_out = _restore({**RESTORE, "target": {"database": "shop"}, "onExisting": "Fail"}, uid="another")

    assert short.claim == written_out.claim
    assert short.claim.startswith("shop.one.")


def test_identity_of_a_restore_holds_no_default_and_never_changes() -> None:
    """A field that a later version adds, with its default, must not make the requests of today run again."""
    request = _restore(RESTORE)

    assert restore_identity(request.spec) == {**RESTORE, "target": {"database": "shop"}}
    assert request.claim == "shop.one.1be697e7f6be"


@pytest.mark.parametrize(
    "change",
    [
        {"target": {"database": "shop2"}},
        {"source": {"instanceRef": {"name": "b"}, "database": "shop", "backup": "latest"}},
        {"source": {"instanceRef": {"name": "a"}, "database": "shop", "backup": "shop_20261122_023000_full"}},
        {"source": {"instanceRef": {"name": "a"}, "database": "shop", "before": "2026-11-22T02:30:00Z"}},
    ],
    ids=["target", "instance", "backup", "before"],
)
def test_another_meaning_is_another_restore(change: dict[str, Any]) -> None:
    assert _restore(RESTORE).claim != _restore({**RESTORE, **change}).claim


def test_restore_under_another_name_is_another_restore() -> None:
    assert _restore(RESTORE).claim != _restore(RESTORE, name="two").claim


def test_instance_names_its_place_in_the_tree() -> None:
    parsed = parse_instance(_object("BackupInstance", INSTANCE))
    moved = parse_instance(
        _object("BackupInstance", {**INSTANCE, "storage": {**INSTANCE["storage"], "hostname": "h", "databaseId": "i"}})
    )

    assert isinstance(parsed, BackupInstance)
    assert isinstance(moved, BackupInstance)
    assert (parsed.spec.tree_hostname, parsed.database_id) == ("mariadb", "one")
    assert (moved.spec.tree_hostname, moved.database_id) == ("h", "i")


def test_times_in_status_are_utc_and_whole_seconds() -> None:
    berlin = datetime(2026, 11, 22, 3, 30, 15, 999_999, tzinfo=timezone(timedelta(hours=1)))
    status = ScheduleStatus(
        observed_generation=1,
        conditions=(Condition(type="Ready", status="True", reason="Ready", last_transition_time=berlin),),
        last_run=LastRun(run="r", result="Succeeded", start_time=berlin),
    )

    dumped = json.loads(status.model_dump_json(by_alias=True, exclude_none=True))

    assert dumped["conditions"][0]["lastTransitionTime"] == "2026-11-22T02:30:15Z"
    assert dumped["lastRun"]["startTime"] == "2026-11-22T02:30:15Z"


def test_aware_time_before_a_restore_keeps_its_moment() -> None:
    parsed = _restore({"source": {**RESTORE["source"], "backup": None, "before": "2026-11-22T02:30:00-03:00"}})

    assert parsed.spec.source.before is not None
    assert parsed.spec.source.before.astimezone(UTC) == datetime(2026, 11, 22, 5, 30, tzinfo=UTC)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)


@given(JSON)
def test_whatever_stands_in_a_spec_is_an_answer_and_no_exception(spec: object) -> None:
    for reader in (parse_instance, parse_schedule, parse_restore):
        assert isinstance(reader(_object("X", spec)), SpecProblem)
