"""``vya-backupdb users``, as a person runs it: what it says, how it ends, and that no hash is seen but in the file."""

import gzip
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.demo.embedded import EmbeddedServer
from tests.fixtures.accounts import execute
from tests.fixtures.engine_rig import rig
from tests.fixtures.restoring import restoring
from tests.fixtures.workspace import Connect, Done, Workspace
from tests.servers import Server

from vya_backupdb.domain.errors import PrivilegeMissing, RestoreFailed, TargetExists
from vya_backupdb.domain.users_file import MARKER, parse
from vya_backupdb.domain.users_plan import Action, OnExisting
from vya_backupdb.dumper.restore_request import WithUsers
from vya_backupdb.dumper.settling import clean_up

HOSTILE = "c_new\n-- @account {}\"'`$vya$"


@pytest.fixture
def roles(connect: Connect) -> Iterator[None]:
    """Three roles, one of them in another, and a name that attacks."""
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    names = f"c_app, c_readers, {quoted}"
    with connect("postgres") as connection:
        connection.execute("CREATE ROLE c_readers")
        connection.execute("CREATE ROLE c_app LOGIN PASSWORD 'c-secret' IN ROLE c_readers")
        connection.execute(f"CREATE ROLE {quoted} LOGIN PASSWORD 'c-secret'".encode())
    yield
    with connect("postgres") as connection:
        there = {str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles")}
        for name in {"c_app", "c_readers", HOSTILE, "c_admin"} & there:
            mine = '"' + name.replace('"', '""') + '"'
            connection.execute(f"DROP OWNED BY {mine} CASCADE".encode())
        for name in {"c_app", "c_readers", HOSTILE, "c_admin"} & there:
            connection.execute(('DROP ROLE "' + name.replace('"', '""') + '"').encode())
    del names


def run(workspace: Workspace, *arguments: str) -> Done:
    """Run it; whatever it prints holds no hash."""
    done = workspace.run("users", *arguments, "--verbose")
    assert "SCRAM" not in done.out + done.err
    return done


def document(done: Done) -> Any:
    """Return the JSON that a good run printed."""
    assert done.code == 0, done.err
    return json.loads(done.out)


def of(done: Any, name: str) -> dict[str, Any]:
    """Return one account of a result."""
    (found,) = (one for one in done["accounts"] if one["name"] == name)
    return dict(found)


def drop(connect: Connect, *names: str) -> None:
    """Drop roles."""
    with connect("postgres") as connection:
        for name in names:
            connection.execute(f"DROP ROLE {name}".encode())


@pytest.mark.usefixtures("roles")
def test_backup_list_and_restore_from_the_tree(workspace: Workspace, connect: Connect, database: str) -> None:
    assert run(workspace, "backup").code == 0
    (metadata,) = (path for path in workspace.files() if path.name.endswith(".metadata.json"))
    saved = json.loads(metadata.read_bytes())["users"]
    assert {"name": "c_app", "host": None, "role": False, "password": True} in saved["names"]
    assert {"name": HOSTILE, "host": None, "role": False, "password": True} in saved["names"]
    assert (saved["passwords"], saved["fallback"]) == (True, None)
    workspace.assert_tidy()
    listed = document(run(workspace, "list", "--backup", "latest", "--format", "json"))
    assert of(listed, "c_app")["member_of"] == ["c_readers"]
    assert of(document(run(workspace, "list")), HOSTILE)["password"]
    drop(connect, "c_app")
    planned = document(run(workspace, "restore", "--user", "c_*", "--dry-run"))
    assert (of(planned, "c_app")["action"], of(planned, "c_readers")["action"]) == ("create", "skip")
    assert len(document(run(workspace, "list", "--user", "c_app"))["accounts"]) == 0
    done = document(run(workspace, "restore", "--exclude-user", "c_n*"))
    assert of(done, "c_app")["done"] == 3
    assert of(done, "postgres")["action"] == "protected"
    assert HOSTILE not in {one["name"] for one in done["accounts"]}
    with connect("postgres") as connection:
        connection.execute("ALTER ROLE c_app PASSWORD 'other' CREATEDB")
    fail = run(workspace, "restore", "--user", "c_app", "--on-existing", "fail")
    assert (fail.code, "nothing was changed" in fail.err) == (42, True)
    assert of(document(run(workspace, "restore", "--user", "c_app")), "c_app")["action"] == "skip"
    done = document(run(workspace, "restore", "--user", "c_app", "--on-existing", "replace", "--format", "json"))
    assert of(done, "c_app")["action"] == "replace"
    workspace.set_credentials("c_app", "c-secret")
    granted = document(run(workspace, "show-grants", "--database", database))
    assert {"account": "PUBLIC", "privileges": "USAGE", "on": "SCHEMA public", "grantable": False} in granted
    assert run(workspace, "restore", "--user", "nobody").code == 14


@pytest.fixture
def peopled(roles: None, database: str, connect: Connect) -> str:
    """``shop``, in which ``c_app``, of ``c_readers``, owns and may do things."""
    del roles
    with connect(database) as connection:
        connection.execute("ALTER TABLE item OWNER TO c_app; GRANT SELECT ON item TO c_readers")
        connection.execute(
            "GRANT CREATE ON DATABASE shop TO c_app; ALTER ROLE c_app IN DATABASE shop SET work_mem = '5MB'"
        )
        hostile = _quoted(HOSTILE)
        connection.execute(f"GRANT SELECT ON item TO {hostile}; GRANT CONNECT ON DATABASE shop TO {hostile}".encode())
    return database


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _leave(connect: Connect, database: str) -> None:
    """Drop the database, and whom it needs."""
    with connect("postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
        connection.execute(f"DROP ROLE IF EXISTS c_app, c_readers, {_quoted(HOSTILE)}".encode())


def _is_whole(connect: Connect) -> bool:
    """Whether ``c_app`` has all that it had in ``shop``."""
    sql = (
        "SELECT rolpassword ^@ 'SCRAM' AND pg_has_role('c_app', 'c_readers', 'MEMBER')"
        " AND has_database_privilege('c_app', 'shop', 'CREATE') AND EXISTS (SELECT FROM pg_db_role_setting"
        " WHERE setrole = 'c_app'::regrole AND setconfig = '{work_mem=5MB}')"
        " AND has_database_privilege(%s, 'shop', 'CONNECT') FROM pg_authid WHERE rolname = 'c_app'"
    )
    with connect("postgres") as connection:
        return connection.execute(sql, [HOSTILE]).fetchone() == (True,)


def test_a_database_comes_back_with_its_accounts(workspace: Workspace, connect: Connect, peopled: str) -> None:
    assert workspace.run("backup").code == 0
    _leave(connect, peopled)
    arguments = ("restore", "--database", peopled, "--users")
    shown = workspace.run(*arguments, "--dry-run", "--format", "table")
    assert r"make c_app, c_new\n-- @account" in shown.out
    workspace.config["audit"] = {"database_url": f"sqlite:///{workspace.root}/audit.db"}
    done = workspace.run(*arguments, "--format", "json")
    assert "SCRAM" not in shown.out + done.out + done.err
    accounts = document(done)["restored"]["users"]
    assert {one["account"]: one["action"] for one in accounts if one["done"]} == {
        "c_app": "create",
        "c_readers": "create",
        HOSTILE: "create",
    }
    assert _is_whole(connect)
    rows = json.loads(workspace.run("audit", "list", "--format", "json").out)
    assert {(one["operation"], one["status"]) for one in rows} == {
        ("restore", "success"),
        ("users-restore", "success"),
    }


def test_accounts_that_exist_are_left_made_equal_or_forbid_the_restore(
    embedded: EmbeddedServer, connect: Connect, peopled: str, tmp_path: Path
) -> None:
    one = restoring(tmp_path, "postgresql", [str(embedded.programs)], users=True, demo=embedded)
    one.back_up(peopled)
    with connect("postgres") as connection:
        connection.execute("ALTER ROLE c_app CONNECTION LIMIT 3")

    def limit() -> int:
        with connect("postgres") as connection:
            found = connection.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'c_app'").fetchone()
        return int(found[0]) if found else 0

    with pytest.raises(TargetExists, match=r"'c_app', .*, 'c_readers'.*nothing was changed") as caught:
        one.restore("copy", database=peopled, users=WithUsers(OnExisting.FAIL))
    assert "--users-on-existing skip" in caught.value.hint
    report = one.restore("copy", database=peopled, users=WithUsers())
    assert (limit(), "its accounts were left as they are" in report.message) == (3, True)
    one.restore("copy2", database=peopled, users=WithUsers(OnExisting.REPLACE, ("c_a*",)))
    assert limit() == 3
    report = one.restore("copy3", database=peopled, users=WithUsers(OnExisting.REPLACE))
    assert (limit(), report.exit_code) == (-1, 0)


def test_killed_between_accounts_and_data_the_next_restore_finishes_both(
    embedded: EmbeddedServer, connect: Connect, peopled: str, tmp_path: Path
) -> None:
    one = restoring(tmp_path, "postgresql", [str(embedded.programs)], users=True, demo=embedded)
    one.back_up(peopled)
    for number in range(1, 20):
        _leave(connect, peopled)
        killed = one.killed(number, lambda: one.restore(peopled, users=WithUsers()), words=("ALTER ROLE",))
        report = one.restore(peopled, users=WithUsers()) if killed else None
        assert _is_whole(connect), number
        assert one.session().tree.undertakings().all() == []
        if report is None:
            assert number > 2
            break
        assert report.restored is not None
        assert {each.account for each in report.restored.users} >= {"c_app"}
        assert report.exit_code == 0, report
    else:
        raise AssertionError("the story never ended")


def test_a_failed_restore_leaves_a_note_of_its_accounts(
    embedded: EmbeddedServer, connect: Connect, peopled: str, tmp_path: Path
) -> None:
    one = restoring(tmp_path, "postgresql", [str(embedded.programs)], users=True, demo=embedded)
    with connect(peopled) as connection:
        connection.execute(
            "CREATE FUNCTION found() RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF NOT EXISTS (SELECT FROM pg_database"
            " WHERE datname = 'shop') THEN RAISE 'no shop'; END IF; RETURN 1; END $$"
        )
        connection.execute("CREATE DOMAIN believed AS int CHECK (found() = VALUE)")
        connection.execute("CREATE TABLE seen (a believed); INSERT INTO seen VALUES (1)")
    one.back_up(peopled)
    _leave(connect, peopled)
    with pytest.raises(RestoreFailed, match="no shop"):
        one.restore(peopled, users=WithUsers())
    (finding,) = (each for each in one.check().findings if each.reason == "RestoreLeftover")
    assert f"'c_app', {HOSTILE!r}, 'c_readers'" in finding.message
    planned = one.plan(one.request(peopled, users=WithUsers())).planned_users
    assert planned is not None
    actions = {str(each.account): each.action for each in planned.plan.accounts}
    assert (actions["c_app"], actions["postgres"]) == (Action.REPLACE, Action.PROTECTED)
    journals = one.session().tree.undertakings()
    (note,) = journals.all()
    journals.save(note.model_copy(update={"server_identity": "another"}))  # what the instance was once
    planned = one.plan(one.request(peopled, users=WithUsers())).planned_users
    assert planned is not None
    assert {str(each.account): each.action for each in planned.plan.accounts}["c_app"] is Action.SKIP
    (said,) = clean_up(one.session())
    assert f"'c_app', {HOSTILE!r}, 'c_readers'" in said
    _leave(connect, peopled)
    left_out = one.plan(one.request(peopled, users=WithUsers(without=("c_app",))))
    assert any("'c_app'" in refusal.message for refusal in left_out.refusals)
    assert not any("'c_readers'" in refusal.message for refusal in left_out.refusals)
    assert one.session().tree.undertakings().all() == []


@pytest.mark.usefixtures("roles")
def test_a_file_of_ones_own_is_private_and_never_replaced(workspace: Workspace, connect: Connect) -> None:
    for name in ("mine.sql", "mine.sql.gz"):
        path = workspace.root / name
        written = document(run(workspace, "backup", "--output", str(path)))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        data = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
        assert (len(data), data.endswith(MARKER.encode() + b"\n")) == (written["bytes"], True)
        again = run(workspace, "backup", "--output", str(path))
        assert (again.code, "exists already" in again.err) == (10, True)
    drop(connect, "c_app", "c_readers")
    workspace.config["audit"] = {"database_url": f"sqlite:///{workspace.root}/audit.db"}
    # the role of the membership is left out: that statement fails, the account is there all the same
    done = run(workspace, "restore", "--file", str(workspace.root / "mine.sql"), "--user", "c_app")
    assert done.code == 49
    (refused,) = of(json.loads(done.out), "c_app")["refused"]
    assert "c_readers" in refused["error"]
    (entry,) = json.loads(workspace.run("audit", "list", "--format", "json").out)
    assert (entry["operation"], entry["status"]) == ("users-restore", "failed")
    assert "c_readers" in entry["error_message"]
    table = run(workspace, "restore", "--file", str(workspace.root / "mine.sql.gz"), "--format", "table")
    assert table.code == 0
    assert "c_readers" in table.out
    (workspace.root / "cut.sql").write_bytes((workspace.root / "mine.sql").read_bytes()[:-40])
    assert run(workspace, "restore", "--file", str(workspace.root / "cut.sql")).code == 33
    edited = (
        (workspace.root / "mine.sql").read_bytes().replace(b'ALTER ROLE "c_app" WITH', b'ALTER ROLE "postgres" WITH')
    )
    (workspace.root / "edited.sql").write_bytes(edited)
    smuggled = run(workspace, "restore", "--file", str(workspace.root / "edited.sql"), "--user", "c_readers")
    assert (smuggled.code, "was edited" in smuggled.err, "'c_app'" in smuggled.err) == (33, True, True)
    assert run(workspace, "list", "--file", str(workspace.root / "none.sql")).code == 14
    assert run(workspace, "list", "--file", "x", "--backup", "latest").code == 10


@pytest.mark.usefixtures("roles")
def test_a_managed_server_saves_without_hashes_and_takes_what_it_can(workspace: Workspace, connect: Connect) -> None:
    with connect("postgres") as connection:
        connection.execute("CREATE ROLE c_admin LOGIN CREATEROLE CREATEDB PASSWORD 'c-secret'")
    path = workspace.root / "full.sql"
    document(run(workspace, "backup", "--output", str(path)))
    drop(connect, "c_app", "c_readers")
    workspace.set_credentials("c_admin", "c-secret")
    assert run(workspace, "backup").code == 0
    (metadata,) = (path for path in workspace.files() if path.name.endswith(".metadata.json"))
    found = json.loads(metadata.read_bytes())
    assert (found["users"]["passwords"], found["users"]["fallback"]) == (False, "pg_roles")
    assert not any(one["password"] for one in found["users"]["names"])
    assert "without their passwords" in found["warnings"][0]
    done = document(run(workspace, "restore", "--file", str(path), "--user", "c_app", "--user", "c_readers"))
    assert [of(done, name)["refused"] for name in ("c_app", "c_readers")] == [[], []]
    with connect("postgres") as connection:
        sql = "SELECT rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname = 'c_app'"
        assert connection.execute(sql).fetchone() == (True,)
    workspace.set_credentials("c_app", "c-secret")
    assert document(run(workspace, "list"))["accounts"]


def test_tablespaces_are_recorded_and_made_only_where_that_is_asked(
    servers: Callable[[str], Server], tmp_path: Path
) -> None:
    server = servers("postgres:17")
    server.exec("mkdir", "-p", "/tmp/t_space")
    server.exec("chown", "postgres", "/tmp/t_space")
    execute(server, "CREATE ROLE t_owner", "CREATE TABLESPACE t_space OWNER t_owner LOCATION '/tmp/t_space'")
    execute(server, "COMMENT ON TABLESPACE t_space IS 'it''s'", "GRANT CREATE ON TABLESPACE t_space TO PUBLIC")
    accounts = rig(server, ()).engine.accounts()
    file = accounts.read().file
    assert [one["location"] for one in file.tablespaces] == ["/tmp/t_space"]
    assert [one.action.value for one in accounts.tablespaces(file)] == ["skip"]
    execute(server, "DROP TABLESPACE t_space")
    (plan,) = accounts.tablespaces(file)
    assert [one.error for one in accounts.apply(plan.steps)] == [""] * len(plan.steps)
    assert accounts.read().file.tablespaces == file.tablespaces
    execute(server, "DROP TABLESPACE t_space", "DROP ROLE t_owner")


def test_without_the_schema_mysql_there_are_locked_names_or_a_refusal(servers: Callable[[str], Server]) -> None:
    server = servers("mysql:9.7")
    execute(
        server, "CREATE USER w_weak IDENTIFIED BY 'pw'", "CREATE USER w_other IDENTIFIED BY 'pw'",
        "CREATE USER w_maker IDENTIFIED BY 'pw'", "GRANT CREATE USER ON *.* TO w_maker",
    )  # fmt: skip
    try:
        with pytest.raises(PrivilegeMissing) as caught:
            rig(server, (), user="w_weak", password="pw").engine.users()
        dump = rig(server, (), user="w_maker", password="pw").engine.users()
        text = b"".join(dump.chunks).decode()
    finally:
        execute(server, "DROP USER w_weak, w_other, w_maker")
    assert "SELECT ON mysql.*" in caught.value.hint
    assert (dump.info.passwords, dump.info.fallback) == (False, "information_schema.USER_ATTRIBUTES")
    assert "without passwords" in dump.warnings[0]
    other = [one.sql for one in parse(text, source="t").statements if one.header.account.name == "w_other"]
    assert other == ["CREATE USER IF NOT EXISTS `w_other`@`%` ACCOUNT LOCK"]
