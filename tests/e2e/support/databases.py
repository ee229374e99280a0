"""MariaDB, PostgreSQL and MySQL in a namespace of their own, shared by the stories, each with databases of its own.

SQL goes to the server's client in the server's pod, on its stdin: no password and no statement stands in any argv.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests import images
from tests.cluster.cluster import environ
from tests.cluster.paths import binaries
from tests.e2e.support.space import Manifest, Space
from tests.servers import PRODUCTS

NAMESPACE: Final = "vya-e2e-db"
PASSWORD: Final = "root-of-the-tests"
_USER_ID: Final = 999
_FOLDER: Final = "/var/lib/server"


@dataclass(frozen=True)
class Engine:
    """What differs between the products: kind, image, port, superuser, and how its client reads SQL in the pod."""

    product: str
    kind: str
    image: str
    client: tuple[str, ...]
    environment: dict[str, str]

    @property
    def host(self) -> str:
        """Return the name under which every namespace reaches the server."""
        return f"{self.product}.{NAMESPACE}.svc"

    @property
    def user(self) -> str:
        """Return the superuser."""
        return PRODUCTS[self.product].user

    @property
    def port(self) -> int:
        """Return the port of the server."""
        return PRODUCTS[self.product].port


_ROOT: Final = ("--defaults-extra-file=/etc/root/client.cnf", "--batch", "--skip-column-names", "--raw", "--unbuffered")
_PSQL: Final = ("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres")
ENGINES: Final = {
    "mariadb": Engine(
        "mariadb", "MariaDB", "mariadb:11.8", ("mariadb", *_ROOT), {"MARIADB_ROOT_PASSWORD_FILE": "/etc/root/password"}
    ),
    "postgres": Engine(
        "postgres",
        "PostgreSQL",
        "postgres:17",
        _PSQL,
        {"POSTGRES_PASSWORD_FILE": "/etc/root/password", "PGDATA": f"{_FOLDER}/data"},
    ),
    "mysql": Engine(
        "mysql", "MySQL", "mysql:9.7", ("mysql", *_ROOT), {"MYSQL_ROOT_PASSWORD_FILE": "/etc/root/password"}
    ),
}


@dataclass(frozen=True)
class Database:
    """A server that is up."""

    space: Space
    engine: Engine

    def sql(self, statements: str, database: str | None = None) -> list[str]:
        """Run statements as the superuser; return the lines that came back."""
        argv = ("exec", "-i", self._target, "-c", "server", "--", *self._client(database))
        return self.space.kubectl(*argv, input=statements).stdout.splitlines()

    def value(self, statement: str, database: str | None = None) -> str:
        """Return the first line that a statement brings back."""
        return next(iter(self.sql(statement, database)), "")

    @contextmanager
    def session(self, statements: str, database: str) -> Iterator[None]:
        """Keep a session open that has run `statements`, such as one that holds a lock; it ends with the block."""
        kubectl = (
            str(binaries() / "kubectl"),
            "--namespace",
            self.space.name,
            "exec",
            "-i",
            self._target,
            "-c",
            "server",
        )
        argv = (*kubectl, "--", *self._client(database))
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ()) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{statements};\nSELECT 'held';\n")
            process.stdin.flush()
            said = process.stdout.readline()
            while said not in {"held\n", ""}:
                said = process.stdout.readline()
            assert said == "held\n", f"the session on {database} ended before it held anything"
            try:
                yield
            finally:
                process.stdin.close()
                process.wait(timeout=30)

    def databases(self, pattern: str) -> set[str]:
        """Return the names of the databases that are LIKE `pattern`."""
        if self.engine.product == "postgres":
            return set(self.sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{pattern}'"))
        return set(self.sql(f"SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{pattern}'"))

    def create(self, database: str, statements: str = "") -> None:
        """Make a database anew and fill it."""
        self.drop(database)
        self.sql(f"CREATE DATABASE {database}")
        if statements:
            self.sql(statements, database)

    def drop(self, database: str) -> None:
        """Drop a database if it is there, whoever is connected."""
        force = " WITH (FORCE)" if self.engine.product == "postgres" else ""
        self.sql(f"DROP DATABASE IF EXISTS {database}{force}")

    @property
    def _target(self) -> str:
        return f"deployment/{self.engine.product}"

    def _client(self, database: str | None) -> tuple[str, ...]:
        if self.engine.product == "postgres":
            return (*self.engine.client, "-d", database or "postgres")
        return (*self.engine.client, *([database] if database else []))


def start(space: Space) -> dict[str, Database]:
    """Apply all servers; `await_all` returns when they answer."""
    references = {product: images.ensure(engine.image) for product, engine in ENGINES.items()}
    space.cluster.load(*references.values())
    for product, engine in ENGINES.items():
        space.apply(*_manifests(engine, references[product]))
    return find(space)


def find(space: Space) -> dict[str, Database]:
    """Return the servers that were applied."""
    return {product: Database(space, engine) for product, engine in ENGINES.items()}


def await_all(space: Space) -> None:
    """Return when every server answers."""
    space.kubectl("wait", "deployment", "--all", "--for=condition=Available", "--timeout=180s")


def account(product: str) -> dict[str, str]:
    """Return the superuser's name and password, as a Secret holds them."""
    return {"username": ENGINES[product].user, "password": PASSWORD}


def _manifests(engine: Engine, image: str) -> tuple[Manifest, ...]:
    labels = {"app": engine.product}
    cnf = f"[client]\nuser={engine.user}\npassword={PASSWORD}\n"
    meta = {"name": engine.product, "labels": labels}
    spec = {
        "selector": {"matchLabels": labels},
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": labels}, "spec": _pod(engine, image)},
    }
    ports = [{"port": engine.port}]
    root = {"password": PASSWORD, "client.cnf": cnf}
    return (
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": root},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
    )


def _pod(engine: Engine, image: str) -> dict[str, Any]:
    data = _FOLDER if engine.product == "postgres" else "/var/lib/mysql"
    # not through the socket: the entry points start a temporary server first, which listens on that only
    ask = [*engine.client, "-h", "127.0.0.1", "-e", "SELECT 1"]
    probe = ["pg_isready", "-h", "127.0.0.1"] if engine.product == "postgres" else ask
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER_ID,
            "runAsGroup": _USER_ID,
            "fsGroup": _USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 5,
        "containers": [
            {
                "name": "server",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "args": list(PRODUCTS[engine.product].fast),
                "env": [{"name": name, "value": value} for name, value in engine.environment.items()],
                "startupProbe": {"exec": {"command": probe}, "periodSeconds": 2, "failureThreshold": 90},
                "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "data", "mountPath": data},
                    {"name": "root", "mountPath": "/etc/root", "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "root", "secret": {"secretName": engine.product, "defaultMode": 0o440}},
        ],
    }
