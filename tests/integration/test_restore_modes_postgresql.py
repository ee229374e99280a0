"""PostgreSQL: a restore into a living database, in each mode, killed at every statement, and what forbids one."""

import shutil
from pathlib import Path

import psycopg
import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.restoring import Restoring, new_run, restoring
from tests.fixtures.workspace import Connect

from vya_backupdb.domain.errors import (
    AlreadyExecuted,
    BackupCorrupt,
    ConfigurationError,
    RestoreFailed,
    RestoreRefused,
    TargetExists,
)
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.series import PRE_RESTORE
from vya_backupdb.domain.undertaking import OWN_NAME, OnExisting, Phase
from vya_backupdb.dumper.events import Event, Noted
from vya_backupdb.dumper.restore_request import Claim, require_confirmed
from vya_backupdb.dumper.settling import clean_up

LONGEST = "é" * 30 + "abc"  # 63 bytes: a name derived from it would be cut, and be the name itself
#: What changes something on the server; a crash after a question changes nothing.
DEEDS = ("CREATE", "ALTER", "DROP", "COMMENT", "REVOKE", "GRANT", "SELECT PG_CATALOG.PG_TERMINATE", "BEGIN", "COMMIT")


@pytest.fixture
def one(embedded: EmbeddedServer, tmp_path: Path) -> Restoring:
    """The embedded server, with its clients."""
    return restoring(tmp_path, "postgresql", [str(embedded.programs)], demo=embedded)


@pytest.fixture
def alive(database: str, connect: Connect, one: Restoring) -> str:
    """``shop``, backed up with 1,000 rows, and changed since: a view, a trigger, settings, and 5 rows."""
    with connect("postgres") as connection:
        connection.execute("COMMENT ON DATABASE shop IS 'as it was'")
        connection.execute("ALTER DATABASE shop SET work_mem = '7MB'")
    one.back_up(database)
    with connect("shop") as connection:
        connection.execute("DELETE FROM item WHERE id > 5")
        connection.execute("CREATE VIEW cheap AS SELECT name FROM item")
        connection.execute("CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
        connection.execute("CREATE TRIGGER touched BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION touch()")
    return database


def rows(connect: Connect, database: str) -> int:
    with connect(database) as connection:
        found = connection.execute("SELECT count(*) FROM item").fetchone()
    assert found is not None
    return int(found[0])


def others(connect: Connect) -> dict[str, tuple[object, ...]]:
    """Every database with what a restore of another one must not change."""
    with connect("postgres") as connection:
        found = connection.execute(
            "SELECT datname, oid, datallowconn, datconnlimit, datacl::text, (SELECT setconfig::text FROM"
            " pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0) FROM pg_database d"
        ).fetchall()
    return {str(row[0]): tuple(row) for row in found}


def own(connect: Connect) -> set[str]:
    return {name for name in others(connect) if OWN_NAME.fullmatch(name)}


def test_replace_puts_the_backup_in_the_place_of_a_living_database(
    one: Restoring, alive: str, connect: Connect
) -> None:
    before = others(connect)
    session = connect("shop")
    session.execute("PREPARE q AS SELECT count(*) FROM item")
    session.execute("BEGIN")
    session.execute("LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
    session.execute("ROLLBACK")
    report = one.restore("shop", "replace")
    assert rows(connect, "shop") == 1000
    with pytest.raises(psycopg.OperationalError):
        session.execute("EXECUTE q")
    session.close()
    after = others(connect)
    assert {name: value for name, value in after.items() if name != "shop"} == {
        name: value for name, value in before.items() if name != "shop"
    }
    assert after["shop"][1] != before["shop"][1]
    assert after["shop"][2:] == before["shop"][2:]
    assert one.session().tree.undertakings().all() == []
    # what went is a backup of its own, which is never the latest
    assert report.restored is not None
    saved = one.session().tree.backups("shop")[-1]
    assert saved.id == report.restored.safety_backup_id
    assert saved.metadata is not None
    assert saved.metadata.run is not None
    assert saved.metadata.run.reason == PRE_RESTORE
    assert one.restore("shop", database="shop", on_existing="replace").restored is not None
    assert rows(connect, "shop") == 1000
    assert one.restore("five", database="shop", backup=saved.id).restored is not None
    assert rows(connect, "five") == 5


def test_rename_keeps_the_former_database_and_says_how_it_is_called(
    one: Restoring, alive: str, connect: Connect
) -> None:
    report = one.restore("shop", "rename")
    (kept,) = own(connect)
    assert report.restored is not None
    assert report.restored.kept_database == kept
    assert kept in report.message
    assert (rows(connect, "shop"), rows(connect, kept)) == (1000, 5)
    (note,) = one.session().tree.undertakings().all()
    assert (note.phase, note.swap and note.swap.kept) == (Phase.KEPT, kept)
    # the note hinders no later restore, and the kept one stays
    one.restore("shop", "rename")
    assert len(own(connect)) == 2
    assert [stored.id for stored in one.session().tree.backups("shop")] == [report.restored.backup_id]


def test_the_longest_name_is_replaced_and_keeps_its_neighbours(one: Restoring, alive: str, connect: Connect) -> None:
    for mode in ("fail", "replace", "rename"):
        one.restore(LONGEST, mode, database="shop")
        assert rows(connect, LONGEST) == 1000
    assert rows(connect, "shop") == 5
    assert len(own(connect)) == 1


def test_an_existing_target_is_not_touched_unasked(one: Restoring, alive: str, connect: Connect) -> None:
    before = others(connect)
    with pytest.raises(TargetExists, match="on-existing"):
        one.restore("shop")
    assert (others(connect), rows(connect, "shop")) == (before, 5)
    for given in (None, "sHop"):
        with pytest.raises(ConfigurationError, match="drops the database 'shop'"):
            require_confirmed(OnExisting.REPLACE, "shop", given)
    require_confirmed(OnExisting.REPLACE, "shop", "shop")
    with pytest.raises(ConfigurationError, match="goes with"):
        require_confirmed(OnExisting.RENAME, "shop", "shop")


def test_everything_that_forbids_a_replacement_is_in_the_plan(one: Restoring, alive: str, connect: Connect) -> None:
    with connect("postgres") as connection:
        connection.execute("ALTER DATABASE shop IS_TEMPLATE true")
    with connect("shop") as connection:
        connection.execute(
            "CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)"
        )
    before = others(connect)
    try:
        plan = one.plan(one.request("shop", "replace"))
        said = [refusal.message for refusal in plan.refusals]
        assert any("is a template" in one for one in said)
        assert any("subscriptions: sub" in one for one in said)
        assert all(refusal.hint for refusal in plan.refusals)
        with pytest.raises(RestoreRefused, match=r"is a template; .*subscriptions: sub") as caught:
            one.restore("shop", "replace")
        assert caught.value.exit_code is ExitCode.RESTORE_REFUSED
        assert (others(connect), rows(connect, "shop")) == (before, 5)
        assert len(one.session().tree.backups("shop")) == 1
        maintenance = one.plan(one.request("postgres", "rename", database="shop"))
        assert "maintenance database" in maintenance.refusals[0].message
    finally:
        with connect("shop") as connection:
            connection.execute("DROP SUBSCRIPTION sub")
        with connect("postgres") as connection:
            connection.execute("ALTER DATABASE shop IS_TEMPLATE false")


def test_a_failed_load_leaves_the_living_database_and_its_sessions(
    one: Restoring, alive: str, connect: Connect
) -> None:
    with connect("shop") as connection:
        connection.execute("CREATE ROLE lost")
        connection.execute(
            "CREATE FUNCTION found() RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles"
            " WHERE rolname = 'lost') THEN RAISE 'nobody is called lost'; END IF; RETURN 1; END $$"
        )
        # a domain's check stays where it is
        connection.execute("CREATE DOMAIN believed AS int CHECK (found() = VALUE)")
        connection.execute("CREATE TABLE seen (a believed); INSERT INTO seen VALUES (1)")
    one.back_up("shop")
    with connect("shop") as connection:
        connection.execute("DROP ROLE lost")
    before = others(connect)
    with connect("shop") as session:
        with pytest.raises(RestoreFailed, match="nobody is called lost"):
            one.restore("shop", "rename")
        assert session.execute("SELECT count(*) FROM item").fetchone() == (5,)
    assert (others(connect), one.session().tree.undertakings().all()) == (before, [])


def test_owners_that_the_server_lacks_are_left_out_as_it_was_told(
    one: Restoring, database: str, connect: Connect
) -> None:
    with connect(database) as connection:
        connection.execute("CREATE ROLE gone")
        connection.execute("ALTER TABLE item OWNER TO gone")
        connection.execute("ALTER TABLE item ENABLE ROW LEVEL SECURITY")
        connection.execute("CREATE POLICY theirs ON item TO gone USING (true); COMMENT ON POLICY theirs ON item IS 'x'")
        connection.execute("CREATE POLICY bound ON item AS RESTRICTIVE TO gone, pg_monitor USING (false)")
        connection.execute("CREATE POLICY everybodys ON item USING (id < 9)")
        connection.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO gone")
        connection.execute("ALTER DATABASE shop OWNER TO gone")
        connection.execute("REVOKE ALL ON DATABASE shop FROM PUBLIC")
        connection.execute("ALTER ROLE gone IN DATABASE shop SET work_mem = '5MB'")
    one.back_up(database)
    with connect("shop") as connection:
        connection.execute("REASSIGN OWNED BY gone TO CURRENT_USER; DROP OWNED BY gone; DROP ROLE gone")
    refusals = [refusal.message for refusal in one.plan(one.request("back", database=database)).refusals]
    assert any("lacks roles" in message and "'gone'" in message for message in refusals)
    assert any("names the role" in message for message in refusals)
    plan = one.plan(one.request("back", database=database, owners="skip"))
    assert (plan.refusals, plan.settings.owner, plan.settings.role_settings) == ((), None, {})
    assert {transform.name for transform in plan.transforms} >= {"owner", "grant", "database-role"}
    report = one.restore("back", database=database, owners="skip")
    assert report.restored is not None
    # the plan declares what the result records
    assert {each.name for each in report.restored.transforms} == {each.name for each in plan.transforms}
    assert all('"gone"' in each.sentence for each in report.restored.transforms if each.name != "restrict")
    with connect("back") as connection:
        found = connection.execute(
            "SELECT tableowner = current_user, has_database_privilege('pg_monitor', 'back', 'CONNECT'),"
            " (SELECT string_agg(polname, ',' ORDER BY polname) FROM pg_policy) FROM pg_tables WHERE tablename = 'item'"
        ).fetchone()
    assert found == (True, False, "bound,everybodys")


@pytest.mark.parametrize("mode", ["fail", "replace", "rename"])
def test_killed_after_every_statement_the_next_restore_heals(
    one: Restoring, alive: str, connect: Connect, mode: str
) -> None:
    target = "other" if mode == "fail" else "shop"
    with connect("shop") as connection:
        connection.execute("DELETE FROM item WHERE id > 4")
    base = others(connect)
    # making and loading the scratch database is the same in all modes
    for number in range(1 if mode == "fail" else 6, 40):
        killed = one.killed(number, lambda: one.restore(target, mode, database="shop"), words=DEEDS)
        if not killed:
            assert number > 8
            break
        # the same command, under another run id
        heard: list[Event] = []
        one.restore(target, mode, database="shop", heard=heard)
        assert rows(connect, target) == 1000
        kept = own(connect)
        assert len(kept) == (1 if mode == "rename" else 0), number
        assert [rows(connect, name) for name in kept] == [4] * len(kept)
        now = others(connect)
        assert all(found[2] for name, found in now.items() if name != "template0"), "a database stayed closed"
        assert {name: value for name, value in now.items() if name not in {target, *kept}} == {
            name: value for name, value in base.items() if name not in {target}
        }
        _again(connect, target, mode, kept)
    else:
        raise AssertionError("the story never ended")


def _again(connect: Connect, target: str, mode: str, kept: set[str]) -> None:
    """Bring the scene back: the target as it was, nothing of ours beside it."""
    with connect("postgres") as connection:
        if mode == "rename":
            connection.execute(f'DROP DATABASE "{target}" WITH (FORCE)')
            connection.execute(f'ALTER DATABASE "{kept.pop()}" RENAME TO "{target}"')
        elif mode == "fail":
            connection.execute(f'DROP DATABASE "{target}" WITH (FORCE)')
    if mode == "replace":
        with connect(target) as connection:
            connection.execute("DELETE FROM item WHERE id > 4")


def test_a_killed_claim_goes_on_after_its_point_of_no_return(one: Restoring, alive: str, connect: Connect) -> None:
    """Killed in the swap, the same Job starts again and ends well; somebody else's does not."""
    heard: list[Event] = []
    for number in range(1, 10):
        run, claim = new_run(), Claim(f"ns.back-{number}", "uid")
        killed = one.killed(
            number,
            lambda run=run, claim=claim: one.restore("other", database="shop", run=run, claim=claim),  # type: ignore[misc]
            words=("BEGIN", 'ALTER DATABASE "VYA_', "COMMIT"),
        )
        entry = one.session().tree.ledger().look_up(claim.name)
        assert entry is not None
        with pytest.raises(AlreadyExecuted):
            one.restore("other", database="shop", run=new_run(), claim=Claim(claim.name, "other"))
        report = one.restore("other", database="shop", run=run, claim=claim, heard=heard)
        assert report.restored is not None
        assert rows(connect, "other") == 1000
        assert one.session().tree.ledger().look_up(claim.name).result == report  # type: ignore[union-attr]
        with connect("postgres") as connection:
            connection.execute("DROP DATABASE other WITH (FORCE)")
        if not killed:
            assert number > 2
            break
    assert any(isinstance(event, Noted) and "was finished" in event.message for event in heard)
    assert any(isinstance(event, Noted) and "was undone" in event.message for event in heard)
    assert own(connect) == set()


def test_what_died_is_named_by_check_and_taken_away_when_asked(one: Restoring, alive: str, connect: Connect) -> None:
    assert one.killed(3, lambda: one.restore("new", database="shop"), words=DEEDS)
    (left,) = own(connect)
    one.restore("shop", "rename")
    (kept,) = own(connect) - {left}
    findings = {finding.reason: finding.message for finding in one.check().findings}
    assert left in findings["RestoreLeftover"]
    assert "--clean-up" in findings["RestoreLeftover"]
    assert kept in findings["FormerDatabaseKept"]
    (said,) = clean_up(one.session())
    assert "was undone" in said
    assert own(connect) == {kept}
    with connect("postgres") as connection:
        connection.execute(f"DROP DATABASE {kept}")
    (said,) = clean_up(one.session())
    assert kept in said
    assert (clean_up(one.session()), one.session().tree.undertakings().all()) == ([], [])


def test_another_server_and_a_backup_by_its_path(
    embedded: EmbeddedServer, alive: str, connect: Connect, tmp_path: Path
) -> None:
    one = restoring(tmp_path / "two", "postgresql", [str(embedded.programs)], demo=embedded, other=embedded)
    made = one.back_up("shop")
    one.restore("beside", database="shop", instance="other")
    assert rows(connect, "beside") == 5
    # the journal and the report are those of the server that was changed
    assert one.session("other").tree.runs() != []
    assert [run.operation for run in one.session().tree.runs()] == ["backup"]
    (data,) = (tmp_path / "two").rglob(f"{made}.sql.gz")  # `alive` made one, too
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for part in data.parent.iterdir():
        shutil.copy(part, elsewhere)
    report = one.restore("by_path", database="shop", path=elsewhere / data.name)
    assert rows(connect, "by_path") == 5
    assert report.restored is not None
    assert report.restored.backup_id == made
    (elsewhere / data.name).write_bytes(data.read_bytes()[:-9])
    with pytest.raises(BackupCorrupt, match="bytes"):
        one.restore("by_path_too", database="shop", path=elsewhere / data.name)
    assert "by_path_too" not in others(connect)
