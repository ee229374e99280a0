"""Base images from Debian's archive, for machines that no registry answers: mmdebstrap, then `docker import`.

They are made to look like the official slim images: no documentation, no package lists, services are not started, and
`/etc/apt/sources.list.d/debian.sources` in the same form, so that a Dockerfile that edits it works with either. Which
mirror and which certificates stand in it is taken from this machine when it is made, and stands nowhere else.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster.command import CommandError, Result, run
from tests.cluster.packages import PackagesError, ensure_packages
from tests.images import ImageUnavailableError, Say

SECONDS: Final = 25
_SUITES: Final = {"bookworm", "trixie", "forky", "sid", "stable", "oldstable", "testing", "unstable", "bullseye"}
_BUNDLES: Final = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_APT: Final = Path("/etc/apt")

# what the official slim images leave out, and how they keep apt and services quiet
_WITHOUT_DOCUMENTATION: Final = (
    "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*", "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright", "path-exclude=/usr/share/lintian/*",
)  # fmt: skip
_CLEAN: Final = """\
Acquire::Languages "none";
APT::AutoRemove::SuggestsImportant "false";
APT::Keep-Downloaded-Packages "false";
"""
_NO_SERVICES: Final = "#!/bin/sh\nexit 101\n"


@dataclass(frozen=True)
class Archive:
    """Where this machine's own apt gets Debian from; empty strings where it does not say."""

    main: str
    security: str


def archive(apt: Path = _APT) -> Archive:
    """Read the machine's apt sources, of both forms."""
    entries = list(_entries(apt))
    main = next((uri for uri, suite in entries if suite in _SUITES), "")
    security = next((uri for uri, suite in entries if suite.endswith("-security")), "")
    return Archive(main, security)


def _entries(apt: Path) -> Iterator[tuple[str, str]]:
    """Yield (URI, suite) of each enabled source of binary packages with a `main` component."""
    for file in sorted(apt.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            fields = dict(re.findall(r"^(\S+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE))
            if "main" in fields.get("Components", "").split() and fields.get("Enabled", "yes") != "no":
                yield from ((uri, suite) for uri in fields["URIs"].split()[:1] for suite in fields["Suites"].split())
    for file in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if file.exists():
            found = re.findall(r"^deb\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s.*\bmain\b", file.read_text(), re.MULTILINE)
            yield from found


def sources(suite: str, where: Archive) -> str:
    """Return the text of debian.sources for a suite."""
    suites = suite if suite == "sid" else f"{suite} {suite}-updates"
    stanza = "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\nSigned-By: " + _KEYRING + "\n"
    text = stanza.format(where.main, suites)
    if where.security and suite != "sid":
        text += "\n" + stanza.format(where.security, f"{suite}-security")
    return text


def host_bundle() -> Path | None:
    """Return this machine's bundle of CA certificates, or None."""
    named = os.environ.get("SSL_CERT_FILE", "")
    candidates = ([Path(named)] if named else []) + list(_BUNDLES)
    return next((path for path in candidates if path.is_file()), None)


def make_tar(suite: str, target: Path, say: Say) -> None:
    """Write the root file system of a suite as a tar file.

    Raises ImageUnavailableError where this machine cannot.
    """
    where = archive()
    if not where.main:
        raise ImageUnavailableError("this machine's apt has no source of Debian packages to build images from")
    try:
        ensure_packages("mmdebstrap", "debian-archive-keyring", say=say)
        with tempfile.TemporaryDirectory(prefix="vya-backupdb-base-") as folder:
            _write_inputs(Path(folder), suite, where)
            run(*_argv(suite, Path(folder), target))
    except (PackagesError, CommandError) as error:
        raise ImageUnavailableError(f"cannot make a Debian {suite} file system: {error}") from error


def _write_inputs(folder: Path, suite: str, where: Archive) -> None:
    (folder / "debian.sources").write_text(sources(suite, where))
    (folder / "docker-clean").write_text(_CLEAN + _proxy())
    (folder / "policy-rc.d").write_text(_NO_SERVICES)
    (folder / "policy-rc.d").chmod(0o755)
    bundle = host_bundle()
    if bundle:
        shutil.copyfile(bundle, folder / "ca-certificates.crt")


def _proxy() -> str:
    """Return the lines of apt's own configuration that name a proxy: without it the base could reach nothing."""
    result: Result = run("apt-config", "dump", "--format", '%f "%v";%n', "Acquire::http::Proxy", check=False)
    return "".join(f"{line}\n" for line in result.stdout.splitlines() if 'Proxy "' in line)


def _argv(suite: str, folder: Path, target: Path) -> tuple[str, ...]:
    # a mirror may lag behind sid's short validity; the signature is checked all the same
    lagging = ('--aptopt=Acquire::Check-Valid-Until "false"',) if suite == "sid" else ()
    into = "--customize-hook=copy-in {} {}"
    hooks = [
        '--customize-hook=rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*',
        into.format(folder / "debian.sources", "/etc/apt/sources.list.d"),
        into.format(folder / "docker-clean", "/etc/apt/apt.conf.d"),
        into.format(folder / "policy-rc.d", "/usr/sbin"),
    ]
    if (folder / "ca-certificates.crt").exists():
        hooks.append(into.format(folder / "ca-certificates.crt", "/etc/ssl/certs"))
    return (
        "mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", *lagging,
        *(f"--dpkgopt={option}" for option in _WITHOUT_DOCUMENTATION),
        *hooks, suite, str(target), str(folder / "debian.sources"),
    )  # fmt: skip
