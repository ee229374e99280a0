"""The private dockerd: started with places of its own, found by its pid, and stopped without a trace.

A pid file is believed only if that process is a dockerd with our pid file among its arguments: after a reboot, or in a
container that was copied, the number may be anybody's, and dockerd itself refuses to start when any process has it.
"""

import contextlib
import grp
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.cluster import leftovers, paths
from tests.cluster.command import Say, as_root, run

_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 60
_REASON: Final = 500
_KILL: Final = "import os, sys; os.kill(int(sys.argv[1]), int(sys.argv[2]))"
_BEFORE: Final = paths.RUN / "before.json"


class DaemonError(RuntimeError):
    """dockerd did not start, or did not end; the message holds its last words."""


def start(answers: Callable[[], bool]) -> None:
    """Start the daemon, unless it runs, and wait until it answers; on a busy machine it is tried twice.

    Raises DaemonError when it ends at once or does not answer, and NotRootError without root.
    """
    root = as_root()
    run(*root, "install", "-d", "-m", "0755", str(paths.RUN))
    for last in (False, True):
        if running() is None:
            _launch(root)
        try:
            _wait_until(answers)
        except DaemonError as error:
            if last or "timeout waiting for containerd" not in str(error):
                raise
        else:
            return


def _launch(root: tuple[str, ...]) -> None:
    _clear_stale(root)
    # an engine that was killed left its containers' networks, and bridges whose routes would hide ours; containers that
    # live on are ended by the engine that comes back, which makes its bridges anew
    leftovers.unmount_below(root, paths.EXEC_ROOT / "netns")
    leftovers.remove_links(root, paths.ADDRESSES)
    _remember(root)
    with (paths.cache() / "dockerd.log").open("w") as log:
        # detached at once: it outlives us, and is not our child to wait for
        argv = (*root, "setsid", "--fork", *_argv())
        subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)


def _argv() -> tuple[str, ...]:
    """Return dockerd's command line; a user who became root by sudo may use the socket by their group."""
    return (
        "dockerd", "--host", f"unix://{paths.SOCKET}", "--group", grp.getgrgid(os.getgid()).gr_name,
        "--data-root", str(paths.cache() / "docker"), "--exec-root", str(paths.EXEC_ROOT),
        # a proxy in front of each port copies every byte of a test's server once more
        "--userland-proxy=false", "--pidfile", str(paths.PID_FILE),
        "--bip", paths.ENGINE_BRIDGE, "--default-address-pool", paths.ADDRESS_POOL,
    )  # fmt: skip


def _wait_until(answers: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    seen = False
    while not answers():
        alive = running() is not None
        if time.monotonic() > deadline or (seen and not alive):
            raise DaemonError(f"dockerd {'does not answer' if alive else 'ended'}: {_last_words()}")
        seen = seen or alive or _last_words() != ""
        time.sleep(0.1)


def _last_words() -> str:
    """Return why dockerd ended: from the last error that it names to the end of its log, on one line."""
    log = paths.cache() / "dockerd.log"
    said = log.read_text(errors="replace").strip() if log.exists() else ""
    reason = said[said.rfind("failed to start daemon") :] if "failed to start daemon" in said else said[-_REASON:]
    return " ".join(reason.split())[:_REASON]


def running() -> int | None:
    """Return the pid of the private dockerd, or None; no pid file is trusted for it."""
    for pid, argv in _processes():
        if argv and Path(argv[0]).name == "dockerd" and str(paths.PID_FILE) in argv:
            return pid
    return None


def _processes() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            yield int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")


def _clear_stale(root: tuple[str, ...]) -> None:
    """Remove pid files and sockets that nobody holds: dockerd and its containerd take any living pid for a twin."""
    containerd = paths.EXEC_ROOT / "containerd"
    stale = [paths.PID_FILE, paths.SOCKET]
    if not any(str(containerd / "containerd.toml") in argv for _, argv in _processes()):
        stale += [containerd / "containerd.pid", containerd / "containerd.sock", containerd / "containerd.sock.ttrpc"]
    run(*root, "rm", "-f", *map(str, stale))


def _remember(root: tuple[str, ...]) -> None:
    """Write down what dockerd changes and does not put back: packet forwarding and the policy of its chain.

    After a killed daemon the record of its start is still the true one; after a reboot it is not.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if _recorded().get("boot") == boot:
        return
    state = {
        "boot": boot,
        "ip_forward": Path("/proc/sys/net/ipv4/ip_forward").read_text().strip(),
        "forward_policy": leftovers.forward_policy(root),
    }
    run(*root, "tee", str(_BEFORE), input=json.dumps(state))


def _recorded() -> dict[str, str]:
    return dict(json.loads(_BEFORE.read_text())) if _BEFORE.exists() else {}


def stop(say: Say, *, shared: bool) -> None:
    """Stop the daemon and remove its mounts, link, rules and control groups; nothing happens if there is none.

    `shared` tells that another engine runs on this machine, whose rules have the same names and stay.
    Raises DaemonError if it does not end.
    """
    pid = running()
    if pid is None and not paths.RUN.exists():
        return
    root = as_root()
    if pid is not None:
        say(f"stopping the private Docker engine (pid {pid})")
        _terminate(root, pid)
    before = _recorded()
    leftovers.unmount_below(root, paths.RUN, paths.cache() / "docker")
    if not shared:
        leftovers.remove_firewall(root, before.get("forward_policy", ""))
        leftovers.remove_links(root, paths.ADDRESSES)
        leftovers.remove_control_groups(root, "docker")
        if before.get("ip_forward") == "0":
            run(*root, "tee", "/proc/sys/net/ipv4/ip_forward", input="0\n")
    run(*root, "rm", "-rf", str(paths.RUN))


def _terminate(root: tuple[str, ...], pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for name in (signal.SIGTERM, signal.SIGKILL):
            # a bare Debian has no `kill` but the shell's
            run(*root, sys.executable, "-c", _KILL, str(pid), str(name.value), check=False)
            if await_end(handle):
                return
    finally:
        os.close(handle)
    raise DaemonError(f"dockerd (pid {pid}) does not end, not even by SIGKILL")


def await_end(handle: int) -> bool:
    """Tell whether the process of a pidfd ends in time; it need not be a child of ours."""
    return bool(select.select([handle], [], [], _STOP_SECONDS)[0])
