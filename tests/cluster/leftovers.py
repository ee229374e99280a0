"""Taking away what an engine or a node leaves in the system: rules, links, mounts, control groups.

Everything here removes only what carries our names or lies in our folders, and does nothing when there is nothing.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final

from tests.cluster.command import run

_TABLES: Final = ("filter", "nat", "raw")
_OURS: Final = re.compile(r"\bDOCKER\b|\bDOCKER-|\bdocker0\b|\bbr-[0-9a-f]{12}\b")
_BRIDGE: Final = re.compile(r"docker0|br-[0-9a-f]{12}")
_LINK: Final = re.compile(r"^\d+: ([^@:]+)", re.MULTILINE)
_CGROUPS: Final = Path("/sys/fs/cgroup")


def forward_policy(root: tuple[str, ...]) -> str:
    """Return the policy of the FORWARD chain, or nothing where it cannot be read."""
    found = re.search(r"^-P FORWARD (\S+)", run(*root, "iptables", "-S", "FORWARD", check=False).stdout, re.MULTILINE)
    return found[1] if found else ""


def remove_firewall(root: tuple[str, ...], policy: str) -> None:
    """Delete Docker's rules and chains from both firewalls, and put back the policy of FORWARD if it is known."""
    for program in ("iptables", "ip6tables"):
        for table in _TABLES:
            saved = run(*root, f"{program}-save", "-t", table, check=False).stdout
            for arguments in _deletions(saved):
                run(*root, program, "-t", table, *arguments, check=False)
    if policy:
        run(*root, "iptables", "-P", "FORWARD", policy, check=False)


def _deletions(saved: str) -> Iterator[list[str]]:
    chains = re.findall(r"^:(DOCKER\S*)", saved, re.MULTILINE)
    for line in saved.splitlines():
        if line.startswith("-A ") and _OURS.search(line):
            yield ["-D", *line.split()[1:]]
    for flag in ("-F", "-X"):
        yield from ([flag, chain] for chain in chains)


def remove_links(root: tuple[str, ...], addresses: IPv4Network) -> None:
    """Delete Docker's bridges whose address is one of `addresses`, and what is joined to them.

    An engine that is killed leaves them, and routes by them.
    """
    for line in run("ip", "-o", "-4", "address", "show", check=False).stdout.splitlines():
        _, name, _, found, *_ = line.split()
        if _BRIDGE.fullmatch(name) and IPv4Interface(found).ip in addresses:
            joined = run("ip", "-o", "link", "show", "master", name, check=False).stdout
            for link in [*_LINK.findall(joined), name]:
                run(*root, "ip", "link", "delete", link, check=False)


def unmount_below(root: tuple[str, ...], *folders: Path) -> None:
    """Unmount everything that is mounted below the folders, the innermost first."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    ours = [path for path in mounted if any(Path(path).is_relative_to(folder) for folder in folders)]
    for path in sorted(ours, key=len, reverse=True):
        run(*root, "umount", path, check=False)


def remove_control_groups(root: tuple[str, ...], *names: str) -> None:
    """Remove the control groups of these names from every hierarchy; one that still holds a process stays."""
    tops = [path for name in names for path in (_CGROUPS / name, *_CGROUPS.glob(f"*/{name}")) if path.is_dir()]
    if tops:
        folders = [str(top) for top in tops if not top.is_symlink()]
        run(*root, "find", *folders, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+", check=False)
