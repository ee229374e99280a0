"""Compiling a Go program once: into the cache, under a name that holds all it was made of.

A binary appears under its final name only when it is whole (written aside, then renamed), so an interrupted build
leaves nothing that looks finished; what it has compiled stays in Go's own cache, and the next attempt goes on there.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.cluster import paths
from tests.cluster.command import CommandError, Say, explain
from tests.cluster.toolchain import Go, find_go

_SAY_EVERY: Final = 15.0
_LINK_SHARE: Final = 0.03  # of the time of a cold build, linking takes about this much


def compiled(program: str, say: Say) -> Path:
    """Return the path of a program of `tests/cluster/<program>`, compiled if the cache does not hold it."""
    source = paths.HERE / program
    go = find_go(say)
    target = paths.binaries() / f"{program}-{_key(source, go)}"
    if not target.exists():
        _build(go, source, target, say)
    return target


def _key(source: Path, go: Go) -> str:
    digest = hashlib.sha256(go.version.encode())
    for file in (source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _build(go: Go, source: Path, target: Path, say: Say) -> None:
    begun = time.monotonic()
    packages = _stale_packages(go, source, say)
    progress = _Progress(f"compiling {source.name}", packages, say)
    say(f"compiling {source.name}: {packages} packages, with {go.version}")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as folder:
        aside = Path(folder, target.name)
        argv = (str(go.binary), "build", "-v", "-trimpath", "-o", str(aside), f"-ldflags={_flags(source)}", ".")
        _watch(argv, source, go, progress.package)
        aside.rename(target)
    say(f"compiled {source.name} in {_duration(time.monotonic() - begun)}")


def _flags(source: Path) -> str:
    """Return the linker's flags: no symbols, and the version that the components report."""
    version = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.\S+", (source / "go.mod").read_text())
    if version is None:
        return "-s -w"
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version[0].split()[1], "gitMajor": version[1], "gitMinor": version[2]}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in values.items())])


def _stale_packages(go: Go, source: Path, say: Say) -> int:
    """Return how many packages are not in Go's cache; fetches the modules on the way."""
    modules = len(re.findall(r"^\t\S+ v\S+", (source / "go.mod").read_text(), re.MULTILINE))
    fetched = _Progress(f"fetching modules of {source.name}", 0, say)
    stale = 0

    def count(line: str) -> None:
        nonlocal stale
        if line.startswith("go: downloading"):
            fetched.item(f"of at most {modules}")
        stale += line == "true"

    _watch((str(go.binary), "list", "-deps", "-trimpath", "-f", "{{.Stale}}", "."), source, go, count)
    return stale


def _watch(argv: tuple[str, ...], source: Path, go: Go, each_line: Callable[[str], None]) -> None:
    """Run a Go command in the folder of the source, and hand on each line that it prints."""
    tail: list[str] = []
    with subprocess.Popen(
        argv,
        cwd=source,
        env=go.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                tail = [*tail[-20:], line.rstrip()]
                each_line(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise CommandError(explain(argv, process.returncode, "\n".join(tail)))


@dataclass
class _Progress:
    """How far it is, said now and then: rewritten in place on a terminal, else a line each quarter of a minute."""

    what: str
    total: int
    say: Say
    done: int = 0
    begun: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def package(self, _line: str) -> None:
        """Count a compiled package, and estimate the rest by the pace so far."""
        share = min(self.done / max(self.total, 1), 1.0) * (1 - _LINK_SHARE)
        elapsed = time.monotonic() - self.begun
        left = _duration(elapsed / share - elapsed) if share > 0.02 else "unknown"
        self.item(f"of {self.total}, {share:.0%}, about {left} left")

    def item(self, text: str) -> None:
        """Count one, and say so if it is time."""
        self.done += 1
        terminal = sys.stderr.isatty()
        if time.monotonic() - self.said > (0.2 if terminal else _SAY_EVERY):
            self.said = time.monotonic()
            line = f"{self.what}: {self.done} {text}"
            if terminal:
                print(f"\r\033[K  {line}", end="\r", file=sys.stderr, flush=True)
            else:
                self.say(line)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
