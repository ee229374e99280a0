"""The life of a cluster and its engine from nothing to nothing, told as JSON: what each step did, and what remained.

Run by `isolated`, because it kills the engine and takes everything down. Argument: an archive of the node images.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster import dockerd, paths, settings
from tests.cluster.api import ensure_cluster, take_down
from tests.cluster.command import run, say_to_stderr
from tests.cluster.engine import ensure_engine, find_engine, stop_engine
from tests.cluster.node_images import BUSYBOX

Traces = dict[str, list[str]]
_SECONDS_FOR_THE_KERNEL = 15


def traces() -> Traces:
    """Return everything of the system that an engine and its containers change."""
    return {
        "links": run("ip", "-o", "-brief", "link").stdout.splitlines(),
        "addresses": run("ip", "-o", "-brief", "address").stdout.splitlines(),
        "routes": run("ip", "route", "show", "table", "all").stdout.splitlines(),
        "rules": [*_rules("iptables"), *_rules("ip6tables")],
        "forwarding": [Path("/proc/sys/net/ipv4/ip_forward").read_text()],
        "mounts": Path("/proc/self/mounts").read_text().splitlines(),
        "control groups": sorted(str(path) for path in _control_groups()),
        "processes": sorted(_processes()),
        "files": sorted(str(path) for path in paths.RUN.parent.glob(f"{paths.RUN.name}*")),
    }


def _rules(program: str) -> Iterator[str]:
    """Yield each rule, each chain and each policy; an empty table that was looked at counts as none."""
    for line in run(f"{program}-save").stdout.splitlines():
        if not line.startswith(("#", "*", "COMMIT")) and not re.match(r":[A-Z]+ ACCEPT ", line):
            yield f"{program} {line.partition(' [')[0]}"


def _control_groups() -> Iterator[Path]:
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        yield from (Path(folder, name) for name in names)


def _processes() -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if argv:  # neither a kernel thread nor a process that ended and that nobody has waited for
                yield argv


def _difference(before: Traces, after: Traces) -> Traces:
    """Return what came or went between two looks, with a plus or a minus before it."""
    changed: Traces = {}
    for name, old in before.items():
        came = [f"+ {line}" for line in after[name] if line not in old]
        went = [f"- {line}" for line in old if line not in after[name]]
        if came or went:
            changed[name] = came + went
    return changed


def _settled(before: Traces) -> Traces:
    """Return the difference once the kernel has done: it takes the links of an ended network away in its own time."""
    deadline = time.monotonic() + _SECONDS_FOR_THE_KERNEL
    changed = _difference(before, traces())
    while changed and time.monotonic() < deadline:
        time.sleep(0.2)
        changed = _difference(before, traces())
    return changed


def _leave_bridge() -> None:
    """Leave what an engine leaves that was killed with all else: a bridge of the nodes' addresses, joined by a node.

    No process is left, but the node's network lives on in the mount of it.
    """
    bridge, network = "br-0123456789ab", paths.EXEC_ROOT / "netns" / "0123456789ab"
    network.parent.mkdir(parents=True)
    network.touch()
    run("unshare", f"--net={network}", "true")
    run("ip", "link", "add", bridge, "type", "bridge")
    run("ip", "address", "add", f"{settings.address(0)}/24", "dev", bridge)
    run(
        "ip",
        "link",
        "add",
        "veth0123456",
        "master",
        bridge,
        "up",
        "type",
        "veth",
        "peer",
        "eth0",
        "netns",
        str(network),
    )
    run("nsenter", f"--net={network}", "ip", "link", "set", "eth0", "up")
    run("ip", "link", "set", bridge, "up")


def _kill_engine() -> None:
    pid = dockerd.running()
    assert pid is not None
    handle = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert dockerd.await_end(handle)
    os.close(handle)


def main(images: str) -> dict[str, Any]:
    """Live through it, and return what was seen."""
    told: dict[str, Any] = {}
    before = traces()
    _leave_bridge()
    engine = ensure_engine()
    engine.run("load", "--input", images)
    ensure_cluster(nodes=2)
    told["up"] = _difference(before, traces())
    told["pods meet"] = _meet()

    _kill_engine()
    stale = (paths.PID_FILE.exists(), find_engine() is None)
    ensure_cluster(nodes=2)
    told["mended"] = {"pid file was stale": stale[0], "no engine answered": stale[1], "pods meet": _meet()}

    take_down()
    told["cluster down"] = _difference(before, traces())
    stop_engine()
    told["engine down"] = _settled(before)
    return told


def _meet() -> str:
    """Return what a pod on one node hears from a pod on the other."""
    cluster = ensure_cluster(nodes=2, say=lambda _: None)
    first, second = cluster.nodes
    cluster.kubectl("delete", "pod", "server", "client", "--ignore-not-found", "--force")
    serve = "mkdir /www; echo hello from the other node > /www/index.html; exec httpd -f -p 8080 -h /www"
    cluster.kubectl("create", "-f", "-", input=_pod("server", first, serve))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
    address = cluster.kubectl("get", "pod/server", "-o", "jsonpath={.status.podIP}").stdout
    cluster.kubectl("create", "-f", "-", input=_pod("client", second, f"wget -q -O - http://{address}:8080/"))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "--timeout=60s")
    return cluster.kubectl("logs", "client").stdout


def _pod(name: str, node: str, script: str) -> str:
    container: dict[str, Any] = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]}
    container |= {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}} if name == "server" else {}
    spec = {"nodeName": node, "restartPolicy": "Never", "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


if __name__ == "__main__":
    say_to_stderr("isolated: nothing outside is touched")
    print(json.dumps(main(sys.argv[1]), indent=1))
