"""The volume of a claim as a person sees it: a shell in a pod that mounts it, with the tools of every Debian."""

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.e2e.support.space import Manifest, Space

_USER_ID: Final = 10001
_FINAL: Final = (".sql.gz", ".sql.gz.sha256", ".metadata.json")


@dataclass(frozen=True)
class Volume:
    """A claim that a pod of ours keeps mounted at /backups."""

    space: Space
    pod: str

    def run(self, script: str, *, input: str | None = None, check: bool = True) -> str:  # noqa: A002
        """Run a script of ``sh`` in /backups; return what it printed."""
        argv = ("exec", "-i", f"pod/{self.pod}", "--", "sh", "-c", f"cd /backups && {script}")
        return self.space.kubectl(*argv, input=input or "", check=check).stdout

    def files(self) -> list[str]:
        """Return every file below the volume's root, sorted; hidden ones, too."""
        return sorted(self.run("find . -type f -printf '%P\\n'").splitlines())

    def backups(self, database: str | None = None) -> list[dict[str, Any]]:
        """Return the metadata of every backup (of one database), oldest first."""
        listed = self.run("find . -name '*.metadata.json' ! -path '*/.*' -exec cat {} +")
        found, decoder = [], json.JSONDecoder()
        while listed.strip():
            one, end = decoder.raw_decode(listed.lstrip())
            listed = listed.lstrip()[end:]
            found.append(one)
        wanted = [one for one in found if database is None or one["backup_info"]["database_name"] == database]
        return sorted(wanted, key=lambda one: str(one["backup_info"]["timestamp"]))

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return the report of every run that the volume tells of, by the run's name."""
        names = [name for name in self.files() if "/.runs/" in name and name.endswith(".json") and name.count("/") == 3]
        return {name.rpartition("/")[2].removesuffix(".json"): json.loads(self.run(f"cat '{name}'")) for name in names}

    def check_sums(self) -> None:
        """Hold every data file to its own checksum file, with nothing of ours."""
        bad = self.run("find . -name '*.sql.gz.sha256' ! -execdir sha256sum --status -c {} ';' -print")
        assert not bad, f"sha256sum refuses {bad}"

    def assert_whole(self) -> None:
        """Hold the tree to its promise: no final name without the other two, and nothing half-written."""
        names = self.files()
        visible = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
        stems = {name.removesuffix(end) for name in visible for end in _FINAL if name.endswith(end)}
        missing = [f"{stem}{end}" for stem in stems for end in _FINAL if f"{stem}{end}" not in names]
        assert not missing, f"final names without their like: {missing}"
        leftovers = [name for name in names if ".partial-" in name or name.endswith(".tombstone")]
        assert not leftovers, f"left over: {leftovers}"

    def ids(self, database: str, schedule: str | None = None) -> set[str]:
        """Return the ids of a database's backups (that a schedule made)."""
        return {
            one["file_info"]["filename"].removesuffix(".sql.gz")
            for one in self.backups(database)
            if schedule is None or one["run"]["schedule"] == schedule
        }


def mount(space: Space, image: str, claim: str = "backups") -> Volume:
    """Start the pod for a claim and return when it runs."""
    name = f"look-at-{claim}"
    space.apply(_pod(name, image, claim))
    space.wait(f"pod/{name}", "Ready", seconds=90)
    return Volume(space, name)


def _pod(name: str, image: str, claim: str) -> Manifest:
    security = {
        "runAsNonRoot": True,
        "runAsUser": _USER_ID,
        "runAsGroup": _USER_ID,
        "fsGroup": _USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "shell",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "backups", "mountPath": "/backups"}],
    }
    spec = {
        "securityContext": security,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "backups", "persistentVolumeClaim": {"claimName": claim}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
