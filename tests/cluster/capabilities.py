"""What a node may do: `--privileged` where the machine has every capability, else each one that it has, by name.

A virtual machine may lack one (CAP_SYS_RESOURCE, say); then `--privileged` and `--cap-add ALL` fail in runc with
"unable to apply caps", while naming those that are there works.
"""

import re
from pathlib import Path
from typing import Final

# by bit, as in linux/capability.h
_NAMES: Final = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ",
)  # fmt: skip
# PERFMON, BPF and CHECKPOINT_RESTORE are not named: Debian 12's docker.io does not know them, and no node needs them


def bounding_set() -> frozenset[str]:
    """Return the names of the capabilities that processes of this machine can have."""
    return decode(int(_status_line(), 16))


def decode(bits: int) -> frozenset[str]:
    """Return the names of the capabilities in a bit mask."""
    return frozenset(name for bit, name in enumerate(_NAMES) if bits >> bit & 1)


def missing() -> tuple[str, ...]:
    """Return the capabilities that a privileged container would need and this machine has not."""
    return tuple(sorted(set(_NAMES) - bounding_set()))


def arguments() -> tuple[str, ...]:
    """Return the arguments of `docker run` that let a container be a node."""
    if not missing():
        return ("--privileged",)
    named = [argument for name in sorted(bounding_set()) for argument in ("--cap-add", name)]
    unconfined = [
        argument
        for option in ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
        for argument in ("--security-opt", option)
    ]
    return (*named, *unconfined, "--device-cgroup-rule", "a *:* rwm")


def _status_line() -> str:
    # of process 1, because this user's own set may be smaller than the engine's
    for status in (Path("/proc/1/status"), Path("/proc/self/status")):
        found = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return "0"
