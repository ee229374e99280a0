"""The main job: three servers are backed up into one volume, a database is dropped, and comes back row for row."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pytest
from tests.e2e.support import data
from tests.e2e.support.manifests import instance, restore, schedule
from tests.e2e.support.space import Space, condition_of
from tests.e2e.support.stage import Stage
from tests.e2e.support.volume import Volume

SHOP: Final = "main_shop"
CHINOOK: Final = "main_chinook"
#: It does not come due while the story is told, whenever that is.
NIGHTLY: Final = f"30 {(datetime.now(UTC).hour + 12) % 24} * * *"
PRODUCTS: Final = ("mariadb", "postgres", "mysql")


@dataclass(frozen=True)
class Story:
    """What the first backup has left."""

    stage: Stage
    space: Space
    volume: Volume
    databases: tuple[str, ...]
    before: dict[str, dict[str, dict[str, list[str]]]]


@pytest.fixture(scope="module")
def story(stage: Stage) -> Iterator[Story]:
    """Fill the servers, apply what a user would, trigger each schedule, and wait as a user would."""
    space = stage.furnish("main")
    databases = [SHOP]
    for database in stage.databases.values():
        data.make_shop(database, SHOP)
        if data.make_chinook(database, CHINOOK) and CHINOOK not in databases:
            databases.append(CHINOOK)
    before = {
        product: {name: data.fingerprint(database, name) for name in databases}
        for product, database in stage.databases.items()
    }
    space.apply(
        *(instance(product, product, "main_*") for product in PRODUCTS),
        *(schedule(f"{product}-nightly", product, cron=NIGHTLY, timeZone="Europe/Berlin") for product in PRODUCTS),
    )
    space.wait("bki", "Ready", seconds=180)
    for product in PRODUCTS:
        space.trigger(f"{product}-nightly", "first")
    for product in PRODUCTS:
        space.wait_trigger(f"{product}-nightly", "first", seconds=180)
    yield Story(stage, space, stage.volume(space), tuple(databases), before)
    for database in stage.databases.values():
        for name in (*databases, "main_copy", "main_by_id", "main_damaged"):
            database.drop(name)


def test_every_database_was_backed_up_and_the_status_tells_of_each(story: Story) -> None:
    for product in PRODUCTS:
        found = story.space.wait(f"bks/{product}-nightly", "LastBackupSucceeded", seconds=10)
        status = found["status"]
        assert status["lastRun"]["trigger"] == "Manual"
        assert status["lastRun"]["succeeded"] == len(story.databases)
        rows = {row["name"]: row for row in status["databases"]}
        assert set(rows) == {*story.databases, "(users)"}
        for row in rows.values():
            assert (row["result"], row["sizeBytes"] > 0) == ("Succeeded", True)
            assert {"completionTime", "lastSuccessfulTime", "backup", "durationSeconds"} <= set(row)
        assert {"lastSuccessfulTime", "nextScheduleTime", "history"} <= set(status)
        assert status["observedGeneration"] == found["metadata"]["generation"]


def test_the_tree_on_the_volume_is_complete(story: Story) -> None:
    story.volume.assert_whole()
    story.volume.check_sums()

    for product in PRODUCTS:
        root = f"{story.stage.databases[product].engine.host}/{product}"
        names = [name for name in story.volume.files() if name.startswith(f"{root}/")]
        for database in story.databases:
            assert len([one for one in names if one.startswith(f"{root}/{database}/")]) == 3
        assert len([one for one in names if one.startswith(f"{root}/users_")]) == 3
        assert f"{root}/.owner.json" in names
    modes = story.volume.run("find . -type f ! -path '*/.*' -printf '%m\\n' | sort -u").split()
    assert modes == ["640"]


def test_the_metadata_tells_what_was_backed_up(story: Story) -> None:
    for backup in story.volume.backups(SHOP):
        assert backup["backup_info"]["status"] == "success"
        assert (backup["run"]["reason"], backup["run"]["schedule"].endswith("-nightly")) == ("manual", True)
        rows = {table["name"]: table["rows"] for table in backup["tables"]}
        assert rows["orders"] == {"PostgreSQL": 50_000, "MariaDB": 900, "MySQL": 900}[backup["tool"]["server_product"]]
        # names are local time, and the moment carries its offset
        assert backup["backup_info"]["timestamp"][-6:] in {"+01:00", "+02:00"}


def test_the_lists_read_like_a_dashboard(story: Story) -> None:
    listed = story.space.kubectl("get", "bki,bks").stdout
    tables = [table.splitlines() for table in listed.strip().split("\n\n")]
    headers = {line.split()[0] for table in tables for line in table[:1]}
    assert headers == {"NAME"}
    for product in PRODUCTS:
        line = next(line for line in listed.splitlines() if f"backupinstance.backupdb.vya.digital/{product} " in line)
        assert "True" in line
        assert story.stage.databases[product].engine.kind in line
        line = next(line for line in listed.splitlines() if f"/{product}-nightly " in line)
        assert NIGHTLY in line
    assert story.space.kubectl("get", "backupdb", "-o", "name").stdout.count("\n") >= 2 * len(PRODUCTS)


def test_the_fields_explain_themselves(story: Story) -> None:
    text = story.space.kubectl("explain", "backupschedule.spec.retention").stdout
    assert "keepDaily" in text
    assert "never" in text.lower()
    everything = story.space.kubectl("explain", "--recursive", "backupinstance.spec").stdout
    assert "namespace" not in everything.lower()


@pytest.fixture(scope="module")
def lost(story: Story) -> Story:
    """Drop every database on every server, and ask for each of them, all at once."""
    for database in story.stage.databases.values():
        for name in story.databases:
            database.drop(name)
    story.space.apply(*(restore(_request(one, name), one, name) for one in PRODUCTS for name in story.databases))
    return story


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_dropped_database_comes_back_row_for_row(lost: Story, product: str) -> None:
    story, database = lost, lost.stage.databases[product]
    for name in story.databases:
        found = story.space.wait(f"rr/{_request(product, name)}", "Succeeded", seconds=180)
        assert data.fingerprint(database, name) == story.before[product][name]
        status = found["status"]
        assert status["restored"]["tables"] == len(_tables(story.before[product][name]))
        assert (status["exitCode"], status["target"]) == (0, name)
        assert status["backup"] in story.volume.ids(name)


def test_a_request_applied_again_does_not_run_again_and_says_why(story: Story) -> None:
    name, database = _request("postgres", SHOP), story.stage.databases["postgres"]
    first = story.space.wait(f"rr/{name}", "Succeeded")
    story.space.delete(f"rr/{name}")
    database.drop(SHOP)

    story.space.apply(restore(name, "postgres", SHOP))
    again = story.space.wait(f"rr/{name}", "Succeeded=false")

    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    condition = condition_of(again, "Succeeded")
    assert condition["reason"] == "AlreadyExecuted"
    assert condition["message"]
    assert condition_of(again, "Stalled").get("status") != "True"
    assert again["status"]["exitCode"] == 44
    assert database.databases(SHOP) == set()


def test_a_restore_goes_to_another_name_or_takes_a_certain_backup(story: Story) -> None:
    database = story.stage.databases["mariadb"]
    identity = next(iter(story.volume.ids(SHOP) & _ids_of(story, "mariadb")))
    before = data.fingerprint(database, SHOP)
    story.space.apply(
        restore("copy", "mariadb", SHOP, to="main_copy"),
        restore("by-id", "mariadb", SHOP, backup=identity, to="main_by_id"),
    )

    for name, target in (("copy", "main_copy"), ("by-id", "main_by_id")):
        found = story.space.wait(f"rr/{name}", "Succeeded")
        assert found["status"]["backup"] == identity
        assert data.fingerprint(database, target) == before
    assert data.fingerprint(database, SHOP) == before


def test_a_target_that_exists_is_refused_untouched(story: Story) -> None:
    database = story.stage.databases["mysql"]
    before = data.fingerprint(database, SHOP)
    story.space.apply(restore("onto", "mysql", SHOP))

    found = story.space.wait("rr/onto", "Succeeded=false")

    assert condition_of(found, "Succeeded")["reason"] == "TargetExists"
    assert condition_of(found, "Stalled")["status"] == "True"
    assert data.fingerprint(database, SHOP) == before


def test_nothing_of_the_users_carries_a_mark_of_ours(story: Story) -> None:
    for item in story.space.items("secrets,persistentvolumeclaims,services,configmaps,serviceaccounts,bki,bks,rr"):
        assert not [one for one in item["metadata"].get("finalizers", []) if "kubernetes.io/" not in one]
        marks = [one for one in item["metadata"].get("annotations", {}) if "backupdb" in one or "kopf" in one]
        assert not marks, f"{item['kind']} {item['metadata']['name']} carries {marks}"


def test_nothing_is_written_while_nothing_happens(story: Story) -> None:
    """A watch of ten seconds that tells of no change of any object."""
    with ThreadPoolExecutor() as pool:
        kinds = ("backupinstances", "backupschedules", "restorerequests")
        assert list(pool.map(lambda kind: _changes(story.space, kind), kinds)) == ["", "", ""]


def test_a_damaged_backup_is_refused_before_the_target_is_touched(story: Story) -> None:
    """Last, because it damages what the others restore: one is cut, one has other bytes, one's metadata was edited."""
    damages = {
        "mariadb": "truncate -s -100 {stem}.sql.gz",
        "postgres": "printf 'AAAAAAAAAAAAAAAA' | dd of={stem}.sql.gz bs=1 seek=2000 conv=notrunc 2>/dev/null",
        "mysql": "sed -i s/main_shop/main_shed/ {stem}.metadata.json",
    }
    for product, damage in damages.items():
        identity = next(iter(story.volume.ids(SHOP) & _ids_of(story, product)))
        host = story.stage.databases[product].engine.host
        stem = story.volume.run(f"ls {host}/{product}/{SHOP}/*/{identity}.sql.gz").strip().removesuffix(".sql.gz")
        story.volume.run(damage.format(stem=stem))
        story.space.apply(restore(f"damaged-{product}", product, SHOP, backup=identity, to="main_damaged"))

    for product in damages:
        found = story.space.wait(f"rr/damaged-{product}", "Succeeded=false")
        assert condition_of(found, "Succeeded")["reason"] == "BackupCorrupt"
        assert found["status"]["exitCode"] == 33
        assert story.stage.databases[product].databases("main_damaged") == set()


def _changes(space: Space, kind: str) -> str:
    path = f"/apis/backupdb.vya.digital/v1alpha1/namespaces/{space.name}/{kind}"
    version = json.loads(space.kubectl("get", "--raw", path).stdout)["metadata"]["resourceVersion"]
    return space.kubectl("get", "--raw", f"{path}?watch=1&timeoutSeconds=10&resourceVersion={version}").stdout


def _request(product: str, name: str) -> str:
    return f"{product}-{name}".replace("_", "-")


def _ids_of(story: Story, product: str) -> set[str]:
    host = story.stage.databases[product].engine.host
    return {
        one["file_info"]["filename"].removesuffix(".sql.gz")
        for one in story.volume.backups(SHOP)
        if one["backup_info"]["hostname"] == host
    }


def _tables(fingerprint: dict[str, list[str]]) -> set[str]:
    return {row.replace("|", "\t").split("\t")[0] for row in fingerprint["rows"]}
