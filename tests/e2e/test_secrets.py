"""Passwords that no quoting survives by luck: they work, and afterwards they are nowhere.

The search goes for a mark within each password, which no escaping changes, and for the base64 of the whole. It runs
while a dump of each product is held up by a locked table, so that every process that ever holds a password is there.
"""

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pytest
from cryptography.fernet import Fernet
from tests.e2e.support import data
from tests.e2e.support.databases import Database
from tests.e2e.support.manifests import instance, restore, schedule, secret
from tests.e2e.support.node import await_process, who_holds
from tests.e2e.support.space import PREFIX, Space
from tests.e2e.support.stage import Stage
from tests.e2e.support.volume import Volume

DATABASE: Final = "secret_db"
ACCOUNT: Final = "hostile"
UGLY: Final = "'\"`\\ %s%d # : ; $(HOME) ${x} & < > | * ? ! ~ {} [] =@ \t ü€ \\n \\' --"
MARKS: Final = {"mariadb": "Mq7vMariaZx", "postgres": "Pq7vPostgZx", "mysql": "Yq7vMysqlZx"}
#: A line break is what MySQL and MariaDB can have besides; PostgreSQL's password file cannot hold one.
PASSWORDS: Final = {
    "mariadb": f"{UGLY}\n{MARKS['mariadb']}{UGLY}",
    "postgres": f"{UGLY}{MARKS['postgres']}{UGLY}",
    "mysql": f"{UGLY}\n{MARKS['mysql']}{UGLY}",
}
CLIENTS: Final = {"mariadb": "mariadb-dump", "postgres": "pg_dump", "mysql": "mysqldump"}
NEEDLES: Final = [*MARKS.values(), *(base64.b64encode(one.encode()).decode()[:-4] for one in PASSWORDS.values())]


@dataclass(frozen=True)
class Story:
    """Three instances whose accounts have such passwords, one of them in Fernet tokens."""

    stage: Stage
    space: Space
    volume: Volume


@pytest.fixture(scope="module")
def story(stage: Stage) -> Iterator[Story]:
    """Make the accounts, the Secrets and the instances."""
    space = stage.furnish("secrets")
    for product, database in stage.databases.items():
        data.make_small(database, DATABASE)
        _make_account(database, PASSWORDS[product])
    key = Fernet.generate_key().decode()
    tokens = {name: Fernet(key).encrypt(text.encode()).decode() for name, text in _account("mysql").items()}
    space.apply(
        *(secret(f"hostile-{product}", **_account(product)) for product in ("mariadb", "postgres")),
        secret("hostile-mysql", **tokens),
        secret("keyring", keyring=key),
    )
    fernet = {"encoding": "Fernet", "keyringSecretRef": {"name": "keyring"}}
    for product in PASSWORDS:
        given = {"secretRef": {"name": f"hostile-{product}"}, **(fernet if product == "mysql" else {})}
        space.apply(instance(product, product, DATABASE, credentials=given), schedule(product, product))
    yield Story(stage, space, stage.volume(space))
    for database in stage.databases.values():
        database.drop(DATABASE)
        database.drop("secret_copy")
        _drop_account(database)


def test_such_passwords_connect(story: Story) -> None:
    story.space.wait("bki", "Ready", seconds=120)


def test_no_process_shows_a_password_while_it_dumps(story: Story) -> None:
    with ExitStack() as held:
        for product, database in story.stage.databases.items():
            lock = "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE" if product == "postgres" else "LOCK TABLES t WRITE"
            held.enter_context(database.session(lock, DATABASE))
            story.space.trigger(product, "held up")
        for product, client in CLIENTS.items():
            await_process(story.space, f"{PREFIX}schedule={product},{PREFIX}role=backup", client)

        assert who_holds(story.stage.cluster, NEEDLES) == []
        # the same search sees arguments and environments, where there is something to see
        assert who_holds(story.stage.cluster, ["infinity"])
        assert who_holds(story.stage.cluster, ["PGDATA=/var/lib/server"])

    for product in PASSWORDS:
        found = story.space.wait_trigger(product, "held up")
        assert found["status"]["lastRun"]["result"] == "Succeeded"


def test_a_restore_with_such_a_password_works(story: Story) -> None:
    story.space.apply(*(restore(product, product, DATABASE, to="secret_copy") for product in PASSWORDS))
    for product in PASSWORDS:
        story.space.wait(f"rr/{product}", "Succeeded", seconds=120)


def test_a_password_that_a_passfile_cannot_hold_is_refused_by_name(story: Story) -> None:
    story.space.apply(secret("broken", username=ACCOUNT, password=f"a\nb{MARKS['postgres']}"))
    story.space.apply(instance("broken", "postgres", DATABASE, credentials={"secretRef": {"name": "broken"}}))

    found = story.space.wait_reason("bki/broken", "Ready", "CredentialsUnreadable")

    assert "password" in found["message"]


def test_no_password_is_left_anywhere(story: Story) -> None:
    """In logs at debug, Events, objects (but the Secrets), termination messages, and each byte of the volume."""
    space = story.space
    kinds = "bki,bks,rr,jobs,cronjobs,pods,events,configmaps,pvc,serviceaccounts,controllerrevisions,endpointslices"
    texts = {"the objects": space.kubectl("get", kinds, "-o", "yaml").stdout}
    for pod in space.items("pods"):
        name = pod["metadata"]["name"]
        texts[f"the log of {name}"] = space.logs(f"pod/{name}")
    texts["the operator's log"] = story.stage.operator_logs()
    assert "backup" in texts["the objects"]
    assert any("dump" in text or "debug" in text.lower() for text in texts.values())

    for where, text in texts.items():
        assert not [one for one in NEEDLES if one in text], f"a password stands in {where}"
    patterns = "\n".join(NEEDLES) + "\n"
    assert story.volume.run("grep -rlaF -f - . || true", input=patterns) == ""
    assert story.volume.run("grep -rlaF -f - .", input="duration_seconds\n")
    search = "cat > /tmp/needles; find . -name '*.sql.gz' -exec zcat {} + | grep -caF -f /tmp/needles; rm /tmp/needles"
    assert story.volume.run(search, input=patterns).strip() == "0"
    assert int(story.volume.run(search, input="CREATE TABLE\n")) >= len(PASSWORDS)


def _account(product: str) -> dict[str, str]:
    return {"username": ACCOUNT, "password": PASSWORDS[product]}


def _make_account(database: Database, password: str) -> None:
    """Make an account that may do everything: what it is about is its password."""
    _drop_account(database)
    if database.engine.product == "postgres":
        escaped = password.replace("'", "''")
        database.sql(f"CREATE ROLE {ACCOUNT} SUPERUSER LOGIN PASSWORD '{escaped}'")
        return
    # as hex: the client would see a delimiter or a comment in some of it
    hexed = password.encode().hex()
    statement = (
        f"CONCAT('CREATE USER {ACCOUNT}@\\'%\\' IDENTIFIED BY ', QUOTE(CONVERT(UNHEX('{hexed}') USING utf8mb4)))"
    )
    database.sql(f"SET NAMES utf8mb4; SET @sql = {statement}; PREPARE made FROM @sql; EXECUTE made;")
    database.sql(f"GRANT ALL ON *.* TO {ACCOUNT}@'%' WITH GRANT OPTION")


def _drop_account(database: Database) -> None:
    if database.engine.product == "postgres":
        database.sql(f"DROP ROLE IF EXISTS {ACCOUNT}")
    else:
        database.sql(f"DROP USER IF EXISTS {ACCOUNT}@'%'")
