"""Running Python in namespaces of its own: network, mounts, processes and control groups, with its own /run and cache.

What is tried inside (an engine started, killed and stopped; a cluster taken down) neither disturbs an engine and a
cluster outside nor meets them, and what it leaves behind can be seen to the last rule and mount. Needs root.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.cluster import leftovers, paths
from tests.cluster.command import Result, run

_ME: Final = "tests.cluster.isolated"
_GROUP: Final = "vya-backupdb-isolated"
_NAMESPACES: Final = (
    "--cgroup",
    "--mount",
    "--net",
    "--pid",
    "--uts",
    "--ipc",
    "--fork",
    "--mount-proc",
    "--kill-child",
)


def run_isolated(module: str, images: Path) -> Result:
    """Run `python -m MODULE IMAGES` isolated, with our binaries and without any network; it may fail.

    `images` is an archive of `docker save`; everything is removed afterwards.
    """
    with tempfile.TemporaryDirectory(dir=paths.cache(), prefix="isolated-") as folder:
        shutil.copytree(paths.binaries(), Path(folder, "vya-backupdb", "bin"), symlinks=True, copy_function=os.link)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        environ |= {"XDG_CACHE_HOME": folder, "VYA_BACKUPDB_CLUSTER": "local"}
        argv = (sys.executable, "-m", _ME, "enter", module, str(images))
        try:
            return subprocess.run(argv, cwd=paths.CHECKOUT, env=environ, capture_output=True, text=True, check=False)
        finally:
            leftovers.remove_control_groups((), _GROUP)


def _enter(arguments: list[str]) -> None:
    """Join control groups of our own, and become `unshare`, which runs `prepare` inside."""
    for mount, _ in _control_groups():
        group = mount / _GROUP
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (mount / name).exists():
                (group / name).write_text((mount / name).read_text())
        (group / "cgroup.procs").write_text(str(os.getpid()))
    os.execvp("unshare", ["unshare", *_NAMESPACES, sys.executable, "-m", _ME, "prepare", *arguments])


def _prepare(arguments: list[str]) -> None:
    """Give the new namespaces a /run, a /sys and control groups of their own, and become the module."""
    groups = list(_control_groups())
    # the engine outside goes on: its mounts would come and go here, too
    leftovers.unmount_below((), paths.RUN, paths.cache().parents[1] / "docker")
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    if len(groups) > 1:
        run("mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup")
    for mount, (kind, options) in groups:
        mount.mkdir(exist_ok=True)
        run("mount", "-t", kind, *(("-o", options) if options else ()), "cgroup", str(mount))
    run("ip", "link", "set", "lo", "up")
    # dockerd forwards packets, and drops those of others, only where nothing was forwarded before
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0\n")
    os.execv(sys.executable, [sys.executable, "-m", *arguments])


def _control_groups() -> Iterator[tuple[Path, tuple[str, str]]]:
    """Yield where control groups are mounted, of which kind, and with which controllers."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, kind, options, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            controllers = [option for option in options.split(",") if option not in {"rw", "ro", "relatime", "noatime"}]
            controllers = [
                option for option in controllers if not option.startswith(("nosuid", "nodev", "noexec", "clone"))
            ]
            named = any(option.startswith("name=") for option in controllers)
            yield (
                Path(mount),
                (kind, "" if kind == "cgroup2" else ",".join(["none", *controllers] if named else controllers)),
            )


if __name__ == "__main__":
    {"enter": _enter, "prepare": _prepare}[sys.argv[1]](sys.argv[2:])
