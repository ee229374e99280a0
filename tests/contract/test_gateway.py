"""What `decide` and `apply` rely on, asked of the fake and of the real API server in the same words."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.contract.conftest import Bench
from vya_backupdb.kube.errors import AlreadyExists, Conflict, KubernetesError, NotFound, Rejected
from vya_backupdb.kube.gateway import CLAIMS, CRONJOBS, EVENTS, INSTANCES, JOBS, PODS, RESTORES, SCHEDULES, Manifest

POD: dict[str, Any] = {
    "spec": {"restartPolicy": "Never", "containers": [{"name": "dumper", "image": "nothing.invalid/none:1"}]}
}
INSTANCE_SPEC: dict[str, Any] = {
    "engine": "PostgreSQL",
    "host": "db.example",
    "credentials": {"secretRef": {"name": "db"}, "encoding": "Plain"},
    "storage": {"persistentVolumeClaim": {"claimName": "backups"}},
}


@pytest.fixture
def name() -> str:
    """Give a name that no other test uses."""
    return f"t-{uuid4().hex[:8]}"


def job(bench: Bench, name: str, **meta: Any) -> Manifest:
    """Return a Job that never runs."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": bench.namespace, "name": name, **meta},
        "spec": {"suspend": True, "template": POD},
    }


def cronjob(bench: Bench, name: str, **spec: Any) -> Manifest:
    """Return a CronJob that never comes due."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"namespace": bench.namespace, "name": name},
        "spec": {"schedule": "0 0 30 1 *", "suspend": False, "jobTemplate": {"spec": {"template": POD}}, **spec},
    }


def instance(bench: Bench, name: str) -> Manifest:
    """Play a user: apply a BackupInstance."""
    meta = {"namespace": bench.namespace, "name": name}
    return bench.put(INSTANCES, {"metadata": meta, "spec": INSTANCE_SPEC})


def version(manifest: Manifest) -> str:
    """Return the resourceVersion."""
    return str(manifest["metadata"]["resourceVersion"])


async def test_what_is_not_there_is_not_found(bench: Bench, name: str) -> None:
    for type_ in (INSTANCES, SCHEDULES, RESTORES, JOBS, CRONJOBS, CLAIMS):
        with pytest.raises(NotFound):
            await bench.gateway.get(type_, bench.namespace, name)


async def test_a_created_object_has_a_uid_and_its_name_is_taken(bench: Bench, name: str) -> None:
    made = await bench.gateway.create(JOBS, job(bench, name))
    assert made["metadata"]["uid"]
    assert made["metadata"]["creationTimestamp"]
    with pytest.raises(AlreadyExists):
        await bench.gateway.create(JOBS, job(bench, name))
    read = await bench.gateway.get(JOBS, bench.namespace, name)
    assert read["metadata"]["uid"] == made["metadata"]["uid"]
    assert read["kind"] == "Job"


async def test_what_is_not_valid_is_rejected(bench: Bench, name: str) -> None:
    broken = job(bench, name)
    del broken["spec"]["template"]
    with pytest.raises(Rejected):
        await bench.gateway.create(JOBS, broken)


async def test_objects_are_found_by_all_of_their_labels(bench: Bench, name: str) -> None:
    await bench.gateway.create(JOBS, job(bench, name, labels={"a": name, "b": "1"}))
    await bench.gateway.create(JOBS, job(bench, f"{name}-x", labels={"a": name, "b": "2"}))
    both = await bench.gateway.find(JOBS, bench.namespace, {"a": name})
    one = await bench.gateway.find(JOBS, bench.namespace, {"a": name, "b": "2"})
    assert [found["metadata"]["name"] for found in both] == [name, f"{name}-x"]
    assert [found["metadata"]["name"] for found in one] == [f"{name}-x"]
    assert {found["kind"] for found in both} == {"Job"}
    assert await bench.gateway.find(PODS, bench.namespace, {"a": name}) == []
    assert await bench.gateway.find(SCHEDULES, bench.namespace, {}) == []


async def test_what_is_applied_may_hold_every_character(bench: Bench, name: str) -> None:
    """A database may be called by any of them, and the dumper's configuration stands in the CronJob."""
    text = "\U0001f600 \u00e9 \u2028 \x7f \x85 \ufeff \uffff \\ \" ' # : - {} [] & * ! | > % @ ` \t \n end"
    odd = cronjob(bench, name)
    odd["metadata"]["annotations"] = {"note": text}
    made = await bench.gateway.apply(CRONJOBS, odd, uid=None)
    assert made["metadata"]["annotations"] == {"note": text}


async def test_applying_the_same_again_changes_nothing(bench: Bench, name: str) -> None:
    made = await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=None)
    again = await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=made["metadata"]["uid"])
    assert version(again) == version(made)


async def test_what_is_no_longer_applied_goes_and_what_others_set_stays(bench: Bench, name: str) -> None:
    made = await bench.gateway.apply(CRONJOBS, cronjob(bench, name, timeZone="Etc/UTC"), uid=None)
    meta = {"namespace": bench.namespace, "name": name, "labels": {"theirs": "yes"}}
    bench.put(CRONJOBS, {"metadata": meta})
    after = await bench.gateway.apply(
        CRONJOBS, cronjob(bench, name, schedule="1 0 30 1 *"), uid=made["metadata"]["uid"]
    )
    assert "timeZone" not in after["spec"]
    assert after["spec"]["schedule"] == "1 0 30 1 *"
    assert after["metadata"]["labels"] == {"theirs": "yes"}


async def test_applying_to_another_uid_or_to_nothing_is_a_conflict(bench: Bench, name: str) -> None:
    uid = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(Conflict):
        await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=uid)
    with pytest.raises(NotFound):
        await bench.gateway.get(CRONJOBS, bench.namespace, name)
    await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=None)
    with pytest.raises(Conflict):
        await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=uid)


async def test_suspending_touches_nothing_else_and_applying_takes_it_back(bench: Bench, name: str) -> None:
    made = await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=None)
    uid = made["metadata"]["uid"]
    await bench.gateway.suspend(bench.namespace, name, uid=uid)
    there = await bench.gateway.get(CRONJOBS, bench.namespace, name)
    assert there["spec"]["suspend"] is True
    assert there["spec"]["schedule"] == made["spec"]["schedule"]
    back = await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=uid)
    assert back["spec"]["suspend"] is False
    with pytest.raises(Conflict):
        await bench.gateway.suspend(bench.namespace, name, uid="00000000-0000-4000-8000-000000000000")
    with pytest.raises(NotFound):
        await bench.gateway.suspend(bench.namespace, f"{name}-none", uid=uid)


async def test_a_status_is_replaced_whole_and_the_spec_left_alone(bench: Bench, name: str) -> None:
    made = instance(bench, name)
    first = await bench.gateway.replace_status(INSTANCES, made, {"observedGeneration": 1, "failedChecks": 3})
    assert first["status"] == {"observedGeneration": 1, "failedChecks": 3}
    hostile = {**first, "spec": {**first["spec"], "host": "elsewhere.example"}}
    second = await bench.gateway.replace_status(INSTANCES, hostile, {"observedGeneration": 1})
    assert "failedChecks" not in second["status"]
    assert second["spec"]["host"] == "db.example"
    assert second["metadata"]["generation"] == made["metadata"]["generation"]


async def test_an_equal_status_is_no_write_but_is_checked(bench: Bench, name: str) -> None:
    made = instance(bench, name)
    first = await bench.gateway.replace_status(INSTANCES, made, {"observedGeneration": 1})
    same = await bench.gateway.replace_status(INSTANCES, first, {"observedGeneration": 1})
    assert version(same) == version(first) != version(made)
    with pytest.raises(Conflict):
        await bench.gateway.replace_status(INSTANCES, made, {"observedGeneration": 1})


async def test_a_status_for_an_object_that_was_made_anew_is_a_conflict(bench: Bench, name: str) -> None:
    old = await bench.gateway.create(JOBS, job(bench, name))
    await bench.gateway.delete(JOBS, bench.namespace, name, uid=old["metadata"]["uid"])
    bench.wait_gone(JOBS, name)
    await bench.gateway.create(JOBS, job(bench, name))
    made = instance(bench, name)
    stale = {**made, "metadata": {**made["metadata"], "resourceVersion": "1"}}
    with pytest.raises(Conflict):
        await bench.gateway.replace_status(INSTANCES, stale, {"observedGeneration": 1})


async def test_deleting_names_a_uid_and_takes_the_children_along(bench: Bench, name: str) -> None:
    parent = await bench.gateway.apply(CRONJOBS, cronjob(bench, name), uid=None)
    uid = parent["metadata"]["uid"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": uid, "controller": True}
    await bench.gateway.create(JOBS, job(bench, name, ownerReferences=[owner]))
    await bench.gateway.delete(CRONJOBS, bench.namespace, name, uid="00000000-0000-4000-8000-000000000000")
    assert (await bench.gateway.get(CRONJOBS, bench.namespace, name))["metadata"]["uid"] == uid
    await bench.gateway.delete(CRONJOBS, bench.namespace, name, uid=uid)
    await asyncio.to_thread(bench.wait_gone, JOBS, name)
    await bench.gateway.delete(CRONJOBS, bench.namespace, name, uid=uid)


async def test_events_are_made_once_and_found_by_what_they_are_about(bench: Bench, name: str) -> None:
    made = instance(bench, name)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": bench.namespace, "name": f"{name}.1"},
        "involvedObject": {
            "apiVersion": INSTANCES.api_version,
            "kind": INSTANCES.kind,
            "namespace": bench.namespace,
            "name": name,
            "uid": made["metadata"]["uid"],
        },
        "reason": "Ready",
        "message": "hello",
        "type": "Normal",
        "reportingComponent": "backupdb.vya.digital/operator",
        "reportingInstance": "vya-backupdb",
        "action": "Reconcile",
        "firstTimestamp": "2026-11-22T12:00:00Z",
        "lastTimestamp": "2026-11-22T12:00:00Z",
    }
    await bench.gateway.create(EVENTS, event)
    with pytest.raises(AlreadyExists):
        await bench.gateway.create(EVENTS, event)
    (found,) = await bench.gateway.events_about(bench.namespace, made["metadata"]["uid"])
    assert found["message"] == "hello"
    assert await bench.gateway.events_about(bench.namespace, "00000000-0000-4000-8000-000000000000") == []


async def test_every_refusal_is_one_of_ours(bench: Bench) -> None:
    with pytest.raises(KubernetesError):
        await bench.gateway.get(JOBS, bench.namespace, "NOT A NAME/../..")
