"""A namespace as a story uses it: apply, look, wait. A wait that fails shows what a person would look at next."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml
from tests.cluster import Cluster
from tests.cluster.command import Result

Manifest = dict[str, Any]

API: Final = "backupdb.vya.digital/v1alpha1"
PREFIX: Final = "backupdb.vya.digital/"
KINDS: Final = {"bki": "BackupInstance", "bks": "BackupSchedule", "rr": "RestoreRequest"}


@dataclass(frozen=True)
class Space:
    """One namespace of the cluster."""

    cluster: Cluster
    name: str

    def kubectl(self, *argv: str, input: str | None = None, check: bool = True) -> Result:  # noqa: A002
        """Run kubectl in this namespace."""
        return self.cluster.kubectl("--namespace", self.name, *argv, input=input, check=check)

    def create(self) -> None:
        """Make the namespace, with the strictest Pod Security level."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})

    def apply(self, *documents: Manifest) -> None:
        """Apply manifests as a user of GitOps does: server-side, without knowing what is there."""
        manifest = yaml.safe_dump_all(documents, allow_unicode=True)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=manifest)

    def refusal(self, *documents: Manifest) -> str:
        """Return what the API server says to manifests that it must refuse."""
        result = self.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(documents), check=False)
        assert result.returncode != 0, "these manifests were accepted"
        return result.stderr

    def patch(self, what: str, patch: Mapping[str, Any]) -> None:
        """Merge a patch into an object."""
        self.kubectl("patch", *what.split("/"), "--type=merge", "--patch", json.dumps(patch))

    def trigger(self, schedule: str, value: str) -> None:
        """Ask for a backup now, by a new value of ``spec.manualTrigger``."""
        self.patch(f"bks/{schedule}", {"spec": {"manualTrigger": value}})

    def get(self, what: str) -> Manifest:
        """Return one object (``kind/name``)."""
        found: Manifest = json.loads(self.kubectl("get", *what.split("/"), "-o", "json").stdout)
        return found

    def items(self, kinds: str, selector: str = "") -> list[Manifest]:
        """Return all objects of these kinds (``pods``, ``jobs,cronjobs``) that carry the labels."""
        found = self.kubectl("get", kinds, "--selector", selector, "-o", "json").stdout
        items: list[Manifest] = json.loads(found)["items"]
        return items

    def delete(self, *what: str) -> None:
        """Delete objects (``kind/name``) and wait until they are gone; it is well if they are not there."""
        self.kubectl("delete", *what, "--ignore-not-found", "--timeout=60s")

    def wait(self, what: str, goal: str, *, seconds: int = 120) -> Manifest:
        """Wait for a condition (``Ready``, ``Succeeded=false``) or a ``jsonpath=…``; return the object."""
        goal = goal if goal.startswith(("jsonpath=", "delete", "create")) else f"condition={goal}"
        kind, _, name = what.partition("/")
        target = (what,) if name else (kind, "--all")
        result = self.kubectl("wait", *target, f"--for={goal}", f"--timeout={seconds}s", check=False)
        if result.returncode != 0:
            raise AssertionError(
                f"{what} in {self.name} is not {goal} after {seconds} s\n{result.stderr}{self.story()}"
            )
        return self.get(what) if name and goal != "delete" else {}

    def wait_reason(self, what: str, condition: str, reason: str, *, seconds: int = 120) -> Manifest:
        """Wait until a condition has this reason; return the condition."""
        path = f'jsonpath={{.status.conditions[?(@.type=="{condition}")].reason}}={reason}'
        return condition_of(self.wait(what, path, seconds=seconds), condition)

    def wait_run(self, schedule: str, run: str, *, seconds: int = 120) -> Manifest:
        """Wait until the schedule's newest run is this Job; return the schedule."""
        return self.wait(f"bks/{schedule}", f"jsonpath={{.status.lastRun.run}}={run}", seconds=seconds)

    def wait_trigger(self, schedule: str, value: str, *, seconds: int = 120) -> Manifest:
        """Wait until the run that answers this value of ``manualTrigger`` has ended; return the schedule."""
        run = self.trigger_job(schedule, value)
        path = f'jsonpath={{.status.history[?(@.run=="{run}")].run}}={run}'
        return self.wait(f"bks/{schedule}", path, seconds=seconds)

    def trigger_job(self, schedule: str, value: str, *, seconds: int = 60) -> str:
        """Return the name of the Job that answers this value, once the operator has said so."""
        self.wait(f"bks/{schedule}", f"jsonpath={{.status.lastManualTrigger}}={value}", seconds=seconds)
        jobs = self.items("jobs", f"{PREFIX}schedule={schedule}")
        names = [
            job["metadata"]["name"]
            for job in jobs
            if job["metadata"].get("annotations", {}).get(f"{PREFIX}manual-trigger") == value
        ]
        assert len(names) == 1, f"{value} of {schedule} is answered by {names}"
        return str(names[0])

    def logs(self, what: str, *options: str) -> str:
        """Return what a pod (or the pod of a Job, a Deployment) has printed."""
        return self.kubectl("logs", what, "--all-containers", *options, check=False).stdout

    def exit_codes(self, selector: str) -> set[int]:
        """Return the exit codes of the dumper in the ended pods that carry the labels."""
        ends = (
            pod["status"].get("containerStatuses", [{}])[0].get("state", {}) for pod in self.items("pods", selector)
        )
        return {end["terminated"]["exitCode"] for end in ends if "terminated" in end}

    def story(self) -> str:
        """Return what a person looks at when something does not come: objects, their conditions, Events and logs."""
        kinds = "bki,bks,rr,cronjobs,jobs,pods,pvc"
        shown = [self.kubectl("get", kinds, "-o", "wide", check=False).stdout]
        for item in self.items("bki,bks,rr"):
            conditions = item.get("status", {}).get("conditions", [])
            lines = (f"  {one['type']}={one['status']} {one['reason']}: {one.get('message', '')}" for one in conditions)
            shown.append(f"{item['kind']} {item['metadata']['name']}\n" + "\n".join(lines))
        shown.append(self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False).stdout[-4000:])
        for pod in self.items("pods", "app.kubernetes.io/name=vya-backupdb")[-4:]:
            name = pod["metadata"]["name"]
            shown.append(f"--- {name}\n{self.logs(f'pod/{name}', '--tail=30')[-3000:]}")
        return "\n".join(shown)


def condition_of(obj: Manifest, type_: str) -> Manifest:
    """Return a condition of an object; an empty one where it does not stand."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == type_), {})
