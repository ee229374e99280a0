"""The whole of reconcile under a hostile scheduler: random events, crashes between any two calls, readings gone stale.

At most one Job for a slot, a trigger and a request; an end that stays; and when the world comes to rest, a status that
tells what happened. The operator's two halves (decide here, apply much later, as by a second leader that was paused)
are part of the play.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.unit.reconcile.stage import INSTANCE, NAMESPACE, RESTORE, SCHEDULE, START, TYPES, Stage, report

from vya_backupdb.domain.ids import manual_job_name
from vya_backupdb.domain.specs_base import Status
from vya_backupdb.domain.specs_instance import InstanceStatus
from vya_backupdb.domain.specs_restore import RestoreStatus
from vya_backupdb.domain.specs_schedule import ScheduleStatus
from vya_backupdb.kube.errors import KubernetesError
from vya_backupdb.kube.gateway import CRONJOBS, JOBS, Manifest
from vya_backupdb.reconcile.apply import apply
from vya_backupdb.reconcile.decide import decide
from vya_backupdb.reconcile.observe import Observed, observe
from vya_backupdb.reconcile.restore import is_terminal
from vya_backupdb.reconcile.world import Decision, Key, Kind

KEYS = st.sampled_from([INSTANCE, SCHEDULE, RESTORE])
MODELS: dict[Kind, type[Status]] = {
    Kind.INSTANCE: InstanceStatus,
    Kind.SCHEDULE: ScheduleStatus,
    Kind.RESTORE: RestoreStatus,
}
ENDS = st.sampled_from(
    [(0, "Succeeded"), (40, "PartiallyFailed"), (21, "AuthenticationFailed"), (44, "AlreadyExecuted")]
)


class Crash(Exception):
    """kill -9 of the operator."""


class Cluster(RuleBasedStateMachine):
    """Users, controllers, kubelets and one or two operators, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stage = Stage()
        self.stage.claim("ReadWriteOnce")
        self.slot = START
        self.number = 0
        self.held: list[tuple[Key, Observed, Decision]] = []
        self.ends: dict[str, Manifest] = {}
        self.ended_jobs: set[str] = set()
        self.stage.gateway.before = self.watch

    def teardown(self) -> None:
        """Let the world come to rest, and look at what was made of it."""
        try:
            self.rest()
        finally:
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run one coroutine to its end."""
        return self.loop.run_until_complete(work)

    def there(self, key: Key) -> Manifest | None:
        """Return the object, or None."""
        return self.stage.gateway.objects.get((TYPES[key.kind].kind, key.namespace, key.name))

    def watch(self, call: str) -> None:
        """Refuse, as a test does, what must not happen: a second Job of what is over."""
        verb, _, name = call.partition(" jobs/")
        if verb != "create":
            return
        request, schedule, instance = self.there(RESTORE), self.there(SCHEDULE), self.there(INSTANCE)
        if request and is_terminal(request.get("status") or {}):
            assert request["status"].get("job") != name, "a request that has ended runs again"
        if schedule:
            value = (schedule.get("status") or {}).get("lastManualTrigger")
            assert not value or name != manual_job_name(SCHEDULE.name, value), "a trigger that was answered runs again"
        if instance:
            assert (instance.get("status") or {}).get("lastCheckJob") != name, "a check that was read runs again"

    @rule(key=KEYS)
    def user_applies(self, key: Key) -> None:
        """kubectl apply."""
        if self.there(key) is None:
            self.stage.user(key)

    @rule(key=KEYS)
    def user_deletes(self, key: Key) -> None:
        """kubectl delete, and the garbage collector."""
        self.stage.gateway.remove(TYPES[key.kind], key.namespace, key.name)
        self.ends.pop(str(key), None)

    @precondition(lambda self: self.there(INSTANCE))
    @rule()
    def user_changes_the_instance(self) -> None:
        """Another spec."""
        self.number += 1
        self.stage.user(INSTANCE, host=f"db{self.number}.team.svc")

    @precondition(lambda self: self.there(SCHEDULE))
    @rule(suspend=st.booleans())
    def user_triggers(self, suspend: bool) -> None:
        """A new value of manualTrigger."""
        self.number += 1
        self.stage.user(SCHEDULE, manualTrigger=f"value-{self.number}", suspend=suspend)

    @rule(minutes=st.sampled_from([1, 11, 1500]))
    def time_passes(self, minutes: int) -> None:
        """The clock moves."""
        self.stage.later(minutes=minutes)

    @precondition(lambda self: self.stage.names(CRONJOBS))
    @rule()
    def a_slot_comes(self) -> None:
        """The CronJob controller makes a Job."""
        self.slot = max(self.slot + timedelta(minutes=1), self.stage.now.replace(second=0))
        name = self.stage.names(CRONJOBS)[0]
        if not self.stage.gateway.objects[CRONJOBS.kind, NAMESPACE, name]["spec"].get("suspend"):
            self.stage.cron(name, self.slot)

    @precondition(lambda self: self.active())
    @rule(end=ENDS, data=st.data(), told=st.booleans())
    def a_job_ends(self, end: tuple[int, str], data: st.DataObject, told: bool) -> None:
        """Pod and Job controller."""
        job = data.draw(st.sampled_from(self.active()))
        code, reason = end
        self.stage.end(job, report(job, reason=reason, exit_code=code) if told else None, code=code)
        self.ended_jobs.add(job)

    @precondition(lambda self: self.stage.names(JOBS))
    @rule(data=st.data())
    def a_job_is_deleted(self, data: st.DataObject) -> None:
        """A history limit, a time to live, or somebody."""
        job = data.draw(st.sampled_from(self.stage.names(JOBS)))
        self.stage.gateway.remove(JOBS, NAMESPACE, job)
        self.ended_jobs.discard(job)

    @rule()
    def garbage_is_collected(self) -> None:
        """Children of objects that are gone, also those that a late leader made."""
        self.stage.gateway.collect()

    @rule(key=KEYS)
    def operator_works(self, key: Key) -> None:
        """One pass."""
        self.run(self.stage.reconcile(key))

    @rule(key=KEYS, survives=st.integers(min_value=0, max_value=14))
    def operator_is_killed(self, key: Key, survives: int) -> None:
        """One pass that dies before its n-th call."""
        left = survives

        def killer(call: str) -> None:
            nonlocal left
            if left == 0:
                raise Crash(call)
            left -= 1
            self.watch(call)

        self.stage.gateway.before = killer
        try:
            self.run(self.stage.reconcile(key))
        except Crash:
            pass
        finally:
            self.stage.gateway.before = self.watch

    @rule(key=KEYS)
    def another_leader_reads_and_is_paused(self, key: Key) -> None:
        """observe and decide, and no more."""
        observed: Observed = self.run(observe(self.stage.gateway, key, now=self.stage.now))
        decision = decide(observed.world, now=self.stage.now, settings=self.stage.reconciler.settings)
        self.held = [*self.held[-3:], (key, observed, decision)]

    @precondition(lambda self: self.held)
    @rule()
    def the_paused_leader_goes_on(self) -> None:
        """apply, on a reading that may be hours old."""
        key, observed, decision = self.held.pop(0)
        with contextlib.suppress(KubernetesError):
            self.run(apply(self.stage.gateway, key, observed.manifest, decision, now=self.stage.now))

    @invariant()
    def statuses_fit_their_schema(self) -> None:
        """What is written would not be pruned or refused."""
        for key in (INSTANCE, SCHEDULE, RESTORE):
            one = self.there(key)
            if one and one.get("status"):
                MODELS[key.kind].model_validate(one["status"])

    @invariant()
    def users_objects_are_theirs(self) -> None:
        """No finalizer, no annotation, no spec of ours."""
        for key in (INSTANCE, SCHEDULE, RESTORE):
            one = self.there(key)
            assert not one or not {"finalizers", "annotations", "labels", "ownerReferences"} & one["metadata"].keys()

    @invariant()
    def an_end_is_final(self) -> None:
        """A terminal status of one object never changes."""
        request = self.there(RESTORE)
        if request and is_terminal(request.get("status") or {}):
            uid = request["metadata"]["uid"]
            assert self.ends.setdefault(uid, request["status"]) == request["status"]

    @invariant()
    def no_run_is_counted_twice(self) -> None:
        """Each run has one line of history; only a Job of a name that another had before has a line of its own."""
        schedule = self.there(SCHEDULE)
        runs = [(one["run"], one["completionTime"]) for one in (schedule or {}).get("status", {}).get("history", ())]
        assert len(runs) == len(set(runs)) <= 10

    def active(self) -> list[str]:
        """Return the Jobs that run."""
        jobs = {name: one for (kind, _, name), one in self.stage.gateway.objects.items() if kind == JOBS.kind}
        return sorted(name for name, one in jobs.items() if not one.get("status", {}).get("conditions"))

    def settle(self) -> None:
        """Work until nothing is written any more; it must come to that."""
        for _ in range(8):
            writes = len(self.stage.gateway.writes)
            for key in (INSTANCE, SCHEDULE, RESTORE):
                self.run(self.stage.reconcile(key))
            if len(self.stage.gateway.writes) == writes:
                return
        raise AssertionError(f"the operator does not come to rest: {self.stage.gateway.writes[-12:]}")

    def rest(self) -> None:
        """Everything is there, every Job ends: the statuses must say so."""
        for key in (INSTANCE, SCHEDULE, RESTORE):
            self.user_applies(key)
        self.stage.gateway.collect()
        self.settle()
        for job in self.active():
            self.stage.end(job, report(job))
        self.settle()
        value = self.there(SCHEDULE)["spec"].get("manualTrigger")  # type: ignore[index]
        assert self.stage.status(SCHEDULE).get("lastManualTrigger") == value
        assert self.stage.condition(SCHEDULE, "Ready") == ("True", "CronJobsCurrent")
        assert is_terminal(self.stage.status(RESTORE))
        assert self.stage.condition(INSTANCE, "Ready") is not None
        assert self.stage.condition(INSTANCE, "Ready")[0] in ("True", "False")  # type: ignore[index]
        self.every_backup_that_is_there_was_counted()

    def every_backup_that_is_there_was_counted(self) -> None:
        """Of the Jobs on the server the newest ten are in the history."""
        uid = self.there(SCHEDULE)["metadata"]["uid"]  # type: ignore[index]
        crons = {
            one["metadata"]["uid"]
            for (kind, *_), one in self.stage.gateway.objects.items()
            if kind == CRONJOBS.kind and one["metadata"]["ownerReferences"][0]["uid"] == uid
        }
        jobs = [one for (kind, *_), one in self.stage.gateway.objects.items() if kind == JOBS.kind]
        mine = {
            one["metadata"]["name"]
            for one in jobs
            if one["metadata"]["ownerReferences"][0]["uid"] in {uid, *crons}
            and one["metadata"]["labels"]["backupdb.vya.digital/role"] == "backup"
        }
        history = {one["run"] for one in self.stage.status(SCHEDULE).get("history", ())}
        assert mine <= history or len(history) == 10


TestCluster = pytest.mark.filterwarnings("default")(Cluster.TestCase)
TestCluster.settings = settings(
    # shrinking forty steps takes longer than reading them
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
