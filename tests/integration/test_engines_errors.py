"""A server that refuses: each cause has an error of its own, which names it and the remedy, and holds no secret."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
from tests.clients import shipped_clients
from tests.containers import free_port
from tests.fixtures.engine_rig import check, refusal, rig
from tests.servers import Server

from vya_backupdb.domain.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CredentialsUnreadable,
    DumpFailed,
    NotFound,
    PrivilegeMissing,
    WrongServer,
)
from vya_backupdb.dumper import process
from vya_backupdb.dumper.stop import Stop

ALL = ("postgres:17", "mariadb:10.11", "mariadb:11.8", "mysql:9.7")
HOSTILE = "p'a\"s\\s%w#o:r;d`$HOME {x} \u00fc\u20ac  "


@pytest.mark.parametrize("name", ALL)
def test_what_the_server_is(servers: Callable[[str], Server], name: str) -> None:
    server = servers(name)
    info = rig(server, ()).engine.connect_check()
    product, _, version = name.partition(":")
    assert info.product.lower().startswith(product)
    assert ".".join(map(str, info.version_tuple)).startswith(version)
    assert info.identity
    assert info.now.utcoffset() is not None


@pytest.mark.parametrize("name", ALL)
def test_each_refusal_has_its_error(servers: Callable[[str], Server], name: str) -> None:
    server = servers(name)
    assert type(refusal(server, password="wr0ng-secret")) is AuthenticationFailed
    assert type(refusal(server, user="nobody", password="wr0ng-secret")) is AuthenticationFailed
    assert type(refusal(server, port=free_port())) is ConnectionFailed
    unknown = refusal(server, host="no-such-host.invalid")
    assert type(unknown) is ConnectionFailed
    assert "no-such-host.invalid" in unknown.message


def test_another_product_is_the_wrong_server(servers: Callable[[str], Server]) -> None:
    postgres, maria, mysql = (servers(name) for name in ("postgres:17", "mariadb:11.8", "mysql:9.7"))
    for other in (maria, mysql):
        for mode in ("disable", "require"):
            assert type(refusal(other, type="postgresql", ssl_mode=mode)) is WrongServer
    assert type(refusal(postgres, type="mysql", connect_timeout_seconds=2)) is WrongServer
    flavor = refusal(maria, flavor="mysql")
    assert type(flavor) is WrongServer
    assert "MariaDB" in flavor.message
    assert type(refusal(mysql, flavor="mariadb")) is WrongServer
    check(mysql, flavor="mysql")


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_port_that_says_nothing_ends_in_time(servers: Callable[[str], Server], kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = refusal(servers("postgres:17"), type=kind, port=port, connect_timeout_seconds=2)
    assert type(error) is ConnectionFailed


def test_a_missing_maintenance_database(servers: Callable[[str], Server]) -> None:
    error = refusal(servers("postgres:17"), maintenance_database="nowhere")
    assert type(error) is NotFound
    assert "maintenance_database" in error.hint


def test_missing_rights_are_named(servers: Callable[[str], Server]) -> None:
    server = servers("mariadb:11.8")
    server.sql("CREATE USER blind IDENTIFIED BY 'pw'")
    try:
        with pytest.raises(PrivilegeMissing, match="reading the accounts") as caught:
            rig(server, (), user="blind", password="pw").engine.users()
        assert "GRANT" in caught.value.hint.upper()
    finally:
        server.sql("DROP USER blind")


def test_a_dump_that_may_not_read_a_table_names_it(servers: Callable[[str], Server]) -> None:
    server = servers("postgres:17")
    server.sql("CREATE ROLE blind LOGIN PASSWORD 'pw'")
    server.sql("CREATE DATABASE sealed")
    try:
        server.sql("CREATE TABLE hidden (a int)", database="sealed")
        with pytest.raises(DumpFailed, match="hidden") as caught:
            rig(server, shipped_clients(), user="blind", password="pw").dump("sealed")
        assert "Grant" in caught.value.hint
    finally:
        server.sql("DROP DATABASE sealed")
        server.sql("DROP ROLE blind")


#: What a backup's account needs, and no more.
LEAST = {
    "postgres": "GRANT pg_read_all_data, pg_monitor TO saver",
    "mariadb": "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS ON *.* TO saver",
    "mysql": "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, SHOW_ROUTINE ON *.* TO saver",
}


@pytest.mark.parametrize("name", ALL)
def test_the_least_rights_are_enough(servers: Callable[[str], Server], name: str) -> None:
    server = servers(name)
    quote = '"' if server.product == "postgres" else "`"
    server.sql("CREATE ROLE saver LOGIN PASSWORD 'pw'" if quote == '"' else "CREATE USER saver IDENTIFIED BY 'pw'")
    server.sql(LEAST[server.product])
    server.sql("CREATE DATABASE least")
    try:
        server.sql("CREATE TABLE t AS SELECT 1 AS a", database="least")
        server.sql("CREATE VIEW v AS SELECT a FROM t", database="least")
        body = "RETURNS int LANGUAGE sql RETURN 2" if quote == '"' else "RETURNS int DETERMINISTIC RETURN 2"
        server.sql(f"CREATE FUNCTION two() {body}", database="least")
        one = rig(server, shipped_clients(), user="saver", password="pw")
        dumped = one.dump("least")
        assert dumped.snapshot.warnings == ()
        assert f"{quote}two{quote}".encode() in dumped.sql
        assert b"VIEW" in dumped.sql
        assert [info.covered for info in one.engine.databases() if info.name == "least"] == [True]
    finally:
        server.sql("DROP DATABASE least")
        server.sql("DROP ROLE saver" if quote == '"' else "DROP USER saver")


def test_a_server_that_goes_away_is_a_lost_connection(servers: Any) -> None:
    with servers.own("postgres:17") as own:
        engine = rig(own, ()).engine
        with engine.lock("any", wait_seconds=0) as held:
            own.kill()
            with pytest.raises(DumpFailed, match="was lost"):
                held.verify()
        assert type(refusal(own)) is ConnectionFailed


# secrets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_hostile_passwords_and_users_work_and_are_seen_nowhere(servers: Callable[[str], Server], name: str) -> None:
    """The driver and the client read the same bytes; neither argv nor environment hold them."""
    server = servers(name)
    password = HOSTILE if server.product == "postgres" else f"{HOSTILE}\n\t\r\b# end"
    user = 'us\'er "x"\\ %\n#=:@/`'
    with existing(server, user, password):
        one = rig(server, shipped_clients(), user=user, password=password)
        one.engine.connect_check()
        with one.engine.snapshot(DATABASE) as snapshot:
            plan = one.engine.dump(DATABASE, snapshot)
            seen = [part for part in (*plan.command.argv, *plan.command.environ.values()) if isinstance(part, str)]
            assert not any(HOSTILE[:12] in part for part in seen)
            assert HOSTILE[:12] not in repr(plan)
        assert one.dump(DATABASE).rows == {"public.t": 1} or server.product != "postgres"
        one.load(b"SELECT 1;\n", DATABASE)
        assert type(refusal(server, user=user, password=password + "x")) is AuthenticationFailed


@pytest.mark.parametrize(("password", "fault"), [("a\nb", "newline"), ("a\0b", "NUL"), ("a\r", "carriage return")])
def test_a_password_that_no_passfile_can_carry_is_refused(
    servers: Callable[[str], Server], password: str, fault: str
) -> None:
    with pytest.raises(CredentialsUnreadable, match=f"the password holds .*{fault}") as caught:
        rig(servers("postgres:17"), (), password=password)
    assert "'password'" in caught.value.hint


def test_a_cold_authentication_cache_over_plain_tcp(servers: Callable[[str], Server]) -> None:
    """caching_sha2_password needs the server's RSA key as long as nobody has logged in over TLS."""
    server = servers("mysql:9.7")
    for step in ("driver", "client"):
        with existing(server, "cold", "pw"):
            server.sql("FLUSH PRIVILEGES")
            one = rig(server, shipped_clients(), user="cold", password="pw", ssl_mode="disable")
            if step == "driver":
                one.load(b"SELECT 1;\n", DATABASE)
            else:
                with rig(server, shipped_clients()).engine.snapshot(DATABASE) as snapshot:
                    plan = one.engine.dump(DATABASE, snapshot)
                    server.sql("FLUSH PRIVILEGES")
                    assert process.run(plan.command, stop=Stop()).ok


DATABASE = "secretive"


class existing:  # noqa: N801 - reads as a phrase
    """An account that may read one database, both dropped at the end."""

    def __init__(self, server: Server, user: str, password: str) -> None:
        self.server = server
        self.values = (user, password)

    def __enter__(self) -> None:
        server, (user, password) = self.server, self.values
        server.sql(f"CREATE DATABASE {DATABASE}")
        server.sql("CREATE TABLE t AS SELECT 1 AS a", database=DATABASE)
        if server.product == "postgres":
            quoted = user.replace('"', '""')
            literal = password.replace("'", "''")
            server.sql(f"CREATE ROLE \"{quoted}\" SUPERUSER LOGIN PASSWORD '{literal}'")
        else:
            server.sql("CREATE USER %s@'%%' IDENTIFIED BY %s", (user, password))
            server.sql("GRANT ALL ON *.* TO %s@'%%'", (user,))

    def __exit__(self, *_: object) -> None:
        server, (user, _password) = self.server, self.values
        server.sql(f"DROP DATABASE {DATABASE}")
        if server.product == "postgres":
            server.sql('DROP ROLE "{}"'.format(user.replace('"', '""')))
        else:
            server.sql("DROP USER %s@'%%'", (user,))
