"""Debian packages that host-side scripts need: only what is missing is installed, and it is said.

The lists of packages are fetched anew only when an installation fails without that, because on a machine that was just
set up they are either fresh or absent.
"""

import shutil

from tests.cluster.command import CommandError, Say, as_root, run


class PackagesError(RuntimeError):
    """Packages are missing and cannot be installed here; the message names them."""


def ensure_packages(*names: str, say: Say) -> None:
    """Install those of the Debian packages that are missing.

    Raises PackagesError when apt is not here or fails.
    """
    missing = [name for name in names if not is_installed(name)]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise PackagesError(f"missing packages: {', '.join(missing)}; this is no Debian: install them by hand")
    say(f"installing Debian packages: {' '.join(missing)}")
    try:
        _install(missing)
    except CommandError as error:
        raise PackagesError(f"cannot install {', '.join(missing)}: {error}") from error


def is_installed(name: str) -> bool:
    """Tell whether a Debian package is installed."""
    return run("dpkg-query", "-W", "-f", "${db:Status-Status}", name, check=False).stdout == "installed"


def is_known(name: str) -> bool:
    """Tell whether apt offers a package."""
    return bool(run("apt-cache", "show", "--no-all-versions", name, check=False).stdout)


def _install(names: list[str]) -> None:
    apt = (*as_root(), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y")
    install = (*apt, "install", "--no-install-recommends", *names)
    if run(*install, check=False).returncode != 0:
        run(*apt, "update")
        run(*install)
