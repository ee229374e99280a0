"""The faults of the healing stories: how each is set, what must be said of it, and how it is mended.

All are set at once and mended at once, so that they wait together: an instance that is not Ready is checked again after
one minute, because the operator cannot see Secrets and servers come. Nobody deletes or changes any of our objects
meanwhile; only what was at fault is mended.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from cryptography.fernet import Fernet
from tests.e2e.support import data, databases
from tests.e2e.support.databases import Database
from tests.e2e.support.manifests import claim, instance, schedule, secret
from tests.e2e.support.space import Manifest, Space
from tests.e2e.support.stage import Stage
from tests.e2e.support.volume import Volume

DATABASE: Final = "heal_db"
SLOW: Final = "heal_slow"
SMALL: Final = "64Mi"


@dataclass(frozen=True)
class Fault:
    """A fault, by the name of its instance: what the conditions say, and with which exit code the dumper ended."""

    name: str
    reason: str
    area: str
    exit_code: int | None
    remedy: str


FAULTS: Final = (
    Fault("wrong-password", "AuthenticationFailed", "Connected", 21, "password"),
    Fault("unreachable", "ConnectionFailed", "Connected", 20, "late"),
    Fault("missing-secret", "CredentialsMissing", "CredentialsCurrent", 11, "username"),
    Fault("wrong-key", "CredentialsUnreadable", "CredentialsCurrent", 12, "key"),
    Fault("full-volume", "NoSpace", "StorageReady", 31, "space"),
    Fault("missing-claim", "ClaimNotFound", "StorageReady", None, "later-claim"),
)


@dataclass(frozen=True)
class Faults:
    """The faulty instances, and how to mend them."""

    stage: Stage
    space: Space
    volume: Volume
    full: Volume
    keys: tuple[str, str]

    def mend(self) -> None:
        """Do what each message asks for; touch none of our objects. Doing it twice is as doing it once."""
        account = databases.account("postgres")
        self.space.apply(
            secret("wrong-password", **account),
            secret("missing-secret", **account),
            secret("wrong-keyring", keyring=self.keys[0]),
            _late(),
            claim("later-claim"),
        )
        self.full.run("rm -f filler")

    def locked(self) -> AbstractContextManager[None]:
        """Hold the last table of the slow database, so that its dump stops half-way."""
        return self.stage.databases["mariadb"].session("LOCK TABLES z WRITE", SLOW)


@contextmanager
def set_faults(stage: Stage) -> Iterator[Faults]:
    """Apply an instance and a triggered schedule for each fault, and sound ones for the kills."""
    postgres, mariadb = stage.databases["postgres"], stage.databases["mariadb"]
    data.make_small(postgres, DATABASE)
    _make_slow(mariadb)
    space = stage.furnish("heal")
    right, wrong = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    space.apply(*_secrets(right, wrong), claim("full-claim", SMALL, "small"))
    volume, full = stage.volume(space), stage.volume(space, "full-claim")
    full.run("dd if=/dev/zero of=filler bs=1M 2>/dev/null || true")
    space.apply(*(_faulty(fault) for fault in FAULTS))
    space.apply(*(schedule(fault.name, fault.name, manualTrigger="faulty") for fault in FAULTS if fault.exit_code))
    space.apply(instance("sound", "mariadb", SLOW, users={"enabled": False}, job={"backoffLimit": 0}))
    space.apply(schedule("sound", "sound"))
    try:
        yield Faults(stage, space, volume, full, (right, wrong))
    finally:
        postgres.drop(DATABASE)
        mariadb.drop(SLOW)


def _faulty(fault: Fault) -> Manifest:
    """Return an instance with this fault; one try a run, so that the run ends with its cause."""
    more: dict[str, Any] = {"job": {"backoffLimit": 0}, "users": {"enabled": False}}
    if fault.name == "unreachable":
        more["host"] = "late.vya-e2e-heal.svc"
    if fault.name in {"wrong-password", "missing-secret"}:
        more["credentials"] = {"secretRef": {"name": fault.name}}
    if fault.name == "wrong-key":
        more["credentials"] = {
            "secretRef": {"name": "tokens"},
            "encoding": "Fernet",
            "keyringSecretRef": {"name": "wrong-keyring"},
        }
    if fault.name in {"full-volume", "missing-claim"}:
        name = "full-claim" if fault.name == "full-volume" else "later-claim"
        more["storage"] = {"persistentVolumeClaim": {"claimName": name}}
    return instance(fault.name, "postgres", DATABASE, **more)


def _secrets(right: str, wrong: str) -> tuple[Manifest, ...]:
    account = databases.account("postgres")
    tokens = {key: Fernet(right).encrypt(value.encode()).decode() for key, value in account.items()}
    return (
        secret("wrong-password", **{**account, "password": "not-" + account["password"]}),
        secret("tokens", **tokens),
        secret("wrong-keyring", keyring=wrong),
    )


def _late() -> Manifest:
    """Return the Service whose name did not exist."""
    target = f"postgres.{databases.NAMESPACE}.svc.cluster.local"
    spec = {"type": "ExternalName", "externalName": target}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"}, "spec": spec}


def _make_slow(mariadb: Database) -> None:
    """Make a database whose first table is large enough to flow, and whose last can be locked."""
    mariadb.create(
        SLOW,
        "CREATE TABLE a (id int PRIMARY KEY, b text); CREATE TABLE z (id int PRIMARY KEY);"
        " INSERT INTO a SELECT seq, REPEAT(SHA2(seq, 512), 8) FROM seq_1_to_4000; INSERT INTO z VALUES (1);",
    )
