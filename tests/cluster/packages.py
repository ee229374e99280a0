"""Debian packages that host-side scripts need: only what is missing is installed, and it is said.

The lists of packages are fetched anew only when an installation fails without that, because on a machine that was just
set up they are either fresh or absent. One installation at a time: two test workers on a fresh machine ask for packages
in the same second, and apt refuses the second one; another program's apt is waited for.
"""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from typing import Final

from tests.cluster import paths
from tests.cluster.command import CommandError, Say, as_root, run

_WAIT: Final = ("-o", "DPkg::Lock::Timeout=600")


class PackagesError(RuntimeError):
    """Packages are missing and cannot be installed here; the message names them."""


def ensure_packages(*names: str, say: Say) -> None:
    """Install those of the Debian packages that are missing.

    Raises PackagesError when apt is not here or fails.
    """
    if not _missing(names):
        return
    if shutil.which("apt-get") is None:
        raise PackagesError(f"missing packages: {', '.join(_missing(names))}; this is no Debian: install them by hand")
    with _alone():
        missing = _missing(names)  # whoever was waited for may have installed them
        if not missing:
            return
        say(f"installing Debian packages: {' '.join(missing)}")
        try:
            _install(missing)
        except CommandError as error:
            raise PackagesError(f"cannot install {', '.join(missing)}: {error}") from error


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if not is_installed(name)]


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with (paths.cache() / "apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_installed(name: str) -> bool:
    """Tell whether a Debian package is installed."""
    return run("dpkg-query", "-W", "-f", "${db:Status-Status}", name, check=False).stdout == "installed"


def is_known(name: str) -> bool:
    """Tell whether apt offers a package."""
    return bool(run("apt-cache", "show", "--no-all-versions", name, check=False).stdout)


def _install(names: list[str]) -> None:
    apt = (*as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *_WAIT)
    install = (*apt, "install", "--no-install-recommends", *names)
    if run(*install, check=False).returncode != 0:
        run(*apt, "update")
        run(*install)
