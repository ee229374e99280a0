"""The node below the pods: who runs there, and the end of a process as the kernel's own killer makes it."""

from dataclasses import dataclass

from tests.cluster import Cluster
from tests.e2e.support.space import Manifest, Space
from tests.e2e.support.waiting import until

# the pod's uid stands in the control group of each of its processes, with - or _
_OF_POD = """
uid=$1; other=$(echo "$uid" | tr - _)
for process in /proc/[0-9]*; do
  grep -q -e "$uid" -e "$other" "$process/cgroup" 2>/dev/null || continue
  printf '%s %s\\n' "${process#/proc/}" "$(cat "$process/comm" 2>/dev/null)"
done
"""


@dataclass(frozen=True)
class Process:
    """A process on a node."""

    cluster: Cluster
    node: str
    pid: int
    name: str

    def kill(self) -> None:
        """End it at once; it cannot say a last word. One that has ended already is no error."""
        self.cluster.exec(self.node, "kill", "-9", str(self.pid), check=False)


def processes(cluster: Cluster, pod: Manifest) -> list[Process]:
    """Return the processes of a pod (without the pause container's)."""
    node, uid = pod["spec"].get("nodeName"), pod["metadata"]["uid"]
    if not node:
        return []
    listed = cluster.exec(node, "sh", "-c", _OF_POD, "sh", uid).stdout.splitlines()
    split = [line.partition(" ") for line in listed]
    return [Process(cluster, node, int(pid), name) for pid, _, name in split if name not in {"pause", ""}]


def await_process(space: Space, selector: str, name: str, *, seconds: int = 60) -> Process:
    """Return the process called `name` of a pod that carries the labels, once it runs.

    It is seen twice: a client that only tells its version bears the same name for a moment.
    """
    seen: set[int] = set()

    def ask() -> Process | None:
        pods = [pod for pod in space.items("pods", selector) if pod["status"]["phase"] == "Running"]
        found = [one for pod in pods for one in processes(space.cluster, pod) if one.name == name]
        again = next((one for one in found if one.pid in seen), None)
        seen.update(one.pid for one in found)
        return again

    return until(f"{name} runs in a pod with {selector} of {space.name}", ask, seconds=seconds)


def who_holds(cluster: Cluster, secrets: list[str]) -> list[str]:
    """Return each process of any node in whose arguments or environment one of `secrets` stands."""
    found: list[str] = []
    for node in cluster.nodes:
        # on stdin, or the search would find itself; a line break in a secret would make two patterns
        listed = cluster.exec(
            node, "sh", "-c", "grep -laF -f - /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null",
            input="\n".join(secrets) + "\n", check=False,
        )  # fmt: skip
        found += [f"{node}:{path}" for path in listed.stdout.splitlines()]
    return found
