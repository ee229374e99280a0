"""Client programs of every product and major, made to run on this machine: taken out of the servers' images.

A host has other clients, or none, and `docker exec` hands on no open file, which is how a password reaches a client.
So each program is copied out of an image together with its libraries and its loader into the cache, and a wrapper
starts it with them. The official images hold the same programs as the local ones.
"""

import fcntl
import functools
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Final

from tests.cluster.engine import Engine, ensure_engine
from tests.cluster.paths import cache
from tests.servers import skip_without_image

PROGRAMS: Final = {
    "postgres": ("pg_dump", "psql"),
    "mariadb": ("mariadb-dump", "mariadb"),
    "mysql": ("mysqldump", "mysql"),
}
#: What the dumper image carries: the majors that a Job has, for every server.
SHIPPED: Final = ("postgres:15", "postgres:17", "postgres:18", "mariadb:11.8", "mysql:9.7")

_COPY: Final = r"""
set -e
mkdir /tmp/root
for name in "$@"; do
  program=$(readlink -f "$(command -v "$name")")
  { echo "$program"; ldd "$program" | sed -n 's|.*=> \(/[^ ]*\) .*|\1|p; s|^[[:space:]]*\(/[^ ]*\) .*|\1|p'; } |
    while read -r file; do cp --parents --dereference "$file" /tmp/root; done
done
"""
_WRAPPER: Final = """#!/bin/sh
exec '{root}/{loader}' --library-path '{libraries}' '{root}/{program}' "$@"
"""


def clients_of(*servers: str) -> tuple[str, ...]:
    """Return a directory of client programs for each server image named; skip the test where one cannot be had."""
    return tuple(_clients_of(name) for name in servers)


def shipped_clients() -> tuple[str, ...]:
    """Return directories with programs of the products and majors that the dumper image carries."""
    return clients_of(*SHIPPED)


@functools.cache
def _clients_of(server: str) -> str:
    image = skip_without_image(server)
    engine = ensure_engine()
    identity = engine.run("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
    name = server.replace(":", "-")
    folder = cache() / "clients" / f"{name}-{identity.removeprefix('sha256:')[:12]}"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            for outdated in folder.parent.glob(f"{name}-*"):
                shutil.rmtree(outdated)
            _unpack(engine, image, PROGRAMS[server.partition(":")[0]], folder)
    return str(folder / "bin")


def _unpack(engine: Engine, image: str, programs: tuple[str, ...], folder: Path) -> None:
    container = f"vya-backupdb-clients-{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name) / "made"
        made.mkdir()
        try:
            engine.run(
                "run", "--name", container, "--network", "none", "--user", "0", "--entrypoint", "sh",
                image, "-c", _COPY, "sh", *programs,
            )  # fmt: skip
            engine.run("cp", f"{container}:/tmp/root", str(made / "root"))
        finally:
            engine.run("rm", "--force", "--volumes", container, check=False)
        _wrap(made, programs, folder)
        made.rename(folder)


def _wrap(made: Path, programs: tuple[str, ...], final: Path) -> None:
    """Write the wrappers into `made`, for the time when it is called `final`."""
    root = made / "root"
    files = {path.name: path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    libraries = {path.parent for name, path in files.items() if ".so" in name}
    (made / "bin").mkdir()
    for program in programs:
        wrapper = made / "bin" / program
        text = _WRAPPER.format(
            root=final / "root",
            loader=next(path for name, path in files.items() if name.startswith("ld-linux")),
            libraries=":".join(sorted(str(final / "root" / path) for path in libraries)),
            program=files[program],
        )
        wrapper.write_text(text)
        wrapper.chmod(0o755)
