"""Encrypted connections: each mode is kept by the driver and by the client programs, and a stranger is refused."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients import shipped_clients
from tests.fixtures.certificates import Authority, authority
from tests.fixtures.engine_rig import Rig, check, refusal, rig
from tests.servers import Server

from vya_backupdb.domain.errors import (
    AuthenticationFailed,
    ConfigurationError,
    TLSFailed,
)
from vya_backupdb.dumper import process
from vya_backupdb.dumper.stop import Stop
from vya_backupdb.engines.base import Command, Option, SecretFile


@pytest.fixture(scope="module")
def ca() -> Authority:
    """A certificate authority for the servers of this module, and another one that signed nothing."""
    return authority()


DATABASE = "guarded"
ENCRYPT = b"""
install -m 0600 /tls/server.key "$PGDATA/server.key"
printf "ssl = on\\nssl_cert_file = '/tls/server.pem'\\nssl_ca_file = '/tls/ca.pem'\\n" >> "$PGDATA/postgresql.conf"
"""


@pytest.fixture(scope="module", params=["postgres:17", "mariadb:10.11", "mariadb:11.8", "mysql:9.7"])
def encrypted(request: pytest.FixtureRequest, ca: Authority, servers: Any) -> Iterator[Server]:
    """A server with a certificate for 127.0.0.1."""
    certificate, key = ca.issue("127.0.0.1")
    files = {"/tls/ca.pem": ca.certificate, "/tls/server.pem": certificate, "/tls/server.key": key}
    arguments: tuple[str, ...] = ("--ssl-ca=/tls/ca.pem", "--ssl-cert=/tls/server.pem", "--ssl-key=/tls/server.key")
    if request.param.startswith("postgres"):
        # the server wants a key of its own; the script runs as its user, before the real start
        files["/docker-entrypoint-initdb.d/tls.sh"] = ENCRYPT
        arguments = ()
    with servers.own(request.param, files=files, arguments=arguments) as server:
        server.sql(f"CREATE DATABASE {DATABASE}")
        yield server


@pytest.fixture
def pem(tmp_path: Path, ca: Authority) -> dict[str, str]:
    """The right authority and a wrong one, as files."""
    paths = {"right": tmp_path / "right.pem", "wrong": tmp_path / "wrong.pem", "broken": tmp_path / "broken.pem"}
    paths["right"].write_bytes(ca.certificate)
    paths["wrong"].write_bytes(authority().certificate)
    paths["broken"].write_bytes(b"no certificate\n")
    return {name: str(path) for name, path in paths.items()}


def both(one: Rig) -> None:
    """Connect by the driver, for a look and for a load, and by a client program."""
    one.engine.connect_check()
    one.load(b"SELECT 1;\n", DATABASE)
    one.dump(DATABASE)


def dump_command(one: Rig) -> Command:
    """Return how the client is started."""
    with one.engine.snapshot(DATABASE) as snapshot:
        return one.engine.dump(DATABASE, snapshot).command


def test_each_mode_is_kept_by_driver_and_client(encrypted: Server, pem: dict[str, str]) -> None:
    clients = shipped_clients()
    both(rig(encrypted, clients, ssl_mode="disable"))
    both(rig(encrypted, clients, ssl_mode="require"))
    # a mode that does not verify takes no notice of an authority
    both(rig(encrypted, clients, ssl_mode="require", ssl_ca_cert=pem["wrong"]))
    both(rig(encrypted, clients, ssl_mode="verify-full", ssl_ca_cert=pem["right"]))
    assert type(refusal(encrypted, ssl_mode="verify-full", ssl_ca_cert=pem["wrong"])) is TLSFailed
    assert type(refusal(encrypted, host="localhost", ssl_mode="verify-full", ssl_ca_cert=pem["right"])) is TLSFailed
    check(encrypted, host="localhost", ssl_mode="verify-ca", ssl_ca_cert=pem["right"])


def test_a_load_verifies(encrypted: Server, pem: dict[str, str]) -> None:
    """Whatever an earlier session did: rows must not go to a stranger."""
    one = rig(encrypted, shipped_clients(), ssl_mode="verify-full", ssl_ca_cert=pem["right"])
    one.load(b"SELECT 1;\n", DATABASE)
    Path(pem["right"]).write_bytes(Path(pem["wrong"]).read_bytes())
    with pytest.raises(TLSFailed), one.engine.loader(DATABASE):
        pass


def test_the_client_itself_verifies(encrypted: Server, pem: dict[str, str]) -> None:
    """Whatever the driver did: a dump must not come from a stranger."""
    one = rig(encrypted, shipped_clients(), ssl_mode="verify-full", ssl_ca_cert=pem["right"])
    command = dump_command(one)
    # from here on the authority is another one, and only the client reads it again
    Path(pem["right"]).write_bytes(Path(pem["wrong"]).read_bytes())
    ended = process.run(command, stop=Stop())
    assert not ended.ok
    assert re.search(r"(?i)ssl|tls|certificate", ended.stderr), ended.stderr


def test_the_client_itself_verifies_the_name(encrypted: Server, pem: dict[str, str]) -> None:
    """The certificate is for 127.0.0.1: asked by another name, the client must refuse it."""
    one = rig(encrypted, shipped_clients(), ssl_mode="verify-full", ssl_ca_cert=pem["right"])
    ended = process.run(renamed(dump_command(one)), stop=Stop())
    assert not ended.ok
    assert re.search(r"(?i)ssl|tls|certificate", ended.stderr), ended.stderr


def renamed(command: Command) -> Command:
    """Return the command with the server's other name in the place of its address."""

    def other(part: str | SecretFile | Option) -> str | SecretFile | Option:
        if isinstance(part, Option):
            content = part.file.content.replace(b'"127.0.0.1"', b'"localhost"')
            return Option(part.prefix, SecretFile(part.file.name, content))
        return part.replace("host=127.0.0.1", "host=localhost") if isinstance(part, str) else part

    return Command(tuple(map(other, command.argv)), command.environ)


def test_verify_ca_is_refused_where_the_client_lacks_it(encrypted: Server, pem: dict[str, str]) -> None:
    one = rig(encrypted, shipped_clients(), host="localhost", ssl_mode="verify-ca", ssl_ca_cert=pem["right"])
    if encrypted.product == "mariadb":
        with pytest.raises(ConfigurationError, match="verify-ca"):
            dump_command(one)
    else:
        both(one)


@pytest.fixture
def certified(encrypted: Server) -> Iterator[str]:
    """An account that the server lets in only with a certificate."""
    if encrypted.product == "postgres":
        encrypted.sql("CREATE ROLE certified SUPERUSER LOGIN PASSWORD 'pw'")
        rule = "hostssl all certified all scram-sha-256 clientcert=verify-ca"
        encrypted.exec("sh", "-c", f"sed -i '1i {rule}\\nhost all certified all reject' \"$PGDATA/pg_hba.conf\"")
        encrypted.sql("SELECT pg_reload_conf()")
    else:
        encrypted.sql("CREATE USER certified IDENTIFIED BY 'pw' REQUIRE X509; GRANT ALL ON *.* TO certified")
    yield "certified"
    encrypted.sql(f"DROP {'ROLE' if encrypted.product == 'postgres' else 'USER'} certified")


def test_a_client_certificate_is_shown_by_driver_and_client(
    encrypted: Server, ca: Authority, pem: dict[str, str], tmp_path: Path, certified: str
) -> None:
    certificate, key = ca.issue("127.0.0.1")
    files = {"ssl_client_cert": certificate, "ssl_client_key": key}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    shown = {name: str(tmp_path / name) for name in files}
    account: dict[str, Any] = {"user": certified, "password": "pw"}
    both(rig(encrypted, shipped_clients(), ssl_mode="require", **shown, **account))
    full = {"ssl_mode": "verify-full", "ssl_ca_cert": pem["right"]}
    both(rig(encrypted, shipped_clients(), **full, **shown, **account))
    error = refusal(encrypted, **full, **account)
    assert isinstance(error, TLSFailed | AuthenticationFailed)
    assert "ssl_mode" in error.hint or "pg_hba.conf" in error.hint


def test_files_that_are_no_certificates(encrypted: Server, pem: dict[str, str]) -> None:
    for path in (pem["broken"], "/nonexistent/ca.pem"):
        with pytest.raises((TLSFailed, ConfigurationError)):
            check(encrypted, ssl_mode="verify-full", ssl_ca_cert=path)


@pytest.mark.parametrize("name", ["postgres:17"])
def test_a_server_without_tls(servers: Callable[[str], Server], name: str) -> None:
    error = refusal(servers(name), ssl_mode="require")
    assert type(error) is TLSFailed
    assert "ssl_mode" in error.hint


def test_a_server_that_insists_on_tls(encrypted: Server) -> None:
    if encrypted.product == "postgres":
        encrypted.exec("sh", "-c", 'sed -i "s/^host all all all/hostssl all all all/" "$PGDATA/pg_hba.conf"')
        encrypted.sql("SELECT pg_reload_conf()")
    else:
        encrypted.sql("SET GLOBAL require_secure_transport = ON")
    check(encrypted, ssl_mode="require")
    error = refusal(encrypted, ssl_mode="disable")
    # MariaDB 10.11 says no more than that the account is refused
    refused = AuthenticationFailed if encrypted.version == "10.11" else TLSFailed
    assert type(error) is refused
    assert "ssl_mode" in error.hint
