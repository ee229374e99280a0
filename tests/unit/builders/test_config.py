"""The dumper's configuration as the operator fills it, read back with the dumper's own reader."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.builders.samples import FULL_INSTANCE, FULL_SCHEDULE, PLAIN_INSTANCE, instance, schedule

from vya_backupdb.builders.config import MOUNT, app_config, config_text
from vya_backupdb.domain.config import AppConfig, CredentialsConfig, SSLMode, parse_config
from vya_backupdb.storage.credentials import load


def _read(config: AppConfig) -> AppConfig:
    return parse_config(yaml.safe_load(config_text(config)), source="config.yaml")


def test_plain_instance_becomes_a_plain_configuration() -> None:
    config = _read(app_config(instance(), schedule=schedule(), deadline_seconds=3600))
    (database,) = config.databases

    assert (config.owner, config.schedule, config.time_zone) == ("shop/one", "nightly", "UTC")
    assert (database.id, database.type, database.flavor) == ("one", "mysql", "mariadb")
    assert (database.host, database.effective_port, database.tree_hostname) == ("mariadb", 3306, "mariadb")
    assert database.effective_ssl_mode is SSLMode.DISABLE
    assert config.storage.base_path == "/backups"
    assert config.storage.file_mode == 0o640
    assert config.credentials == CredentialsConfig(encoding="plain")
    assert (config.run.parallelism, config.run.deadline_seconds) == (2, 3480)
    assert (config.retention.daily_keep, config.retention.weekly_keep, config.retention.monthly_keep) == (7, 4, 12)
    assert config.retention.cleanup_enabled


def test_everything_that_is_set_arrives() -> None:
    config = _read(app_config(instance(FULL_INSTANCE), schedule=schedule(FULL_SCHEDULE), deadline_seconds=7200))
    (database,) = config.databases

    assert (database.id, database.type, database.flavor) == ("Shop-1", "postgresql", None)
    assert (database.effective_port, database.tree_hostname, database.users) == (5433, "pg1", False)
    assert database.include_databases == ("shop_*",)
    assert database.exclude_databases == ("*_test", "tmp")
    assert database.effective_ssl_mode is SSLMode.VERIFY_FULL
    assert database.ssl_ca_cert == f"{MOUNT}/tls/ca/bundle.pem"
    assert database.ssl_client_cert == f"{MOUNT}/tls/client/tls.crt"
    assert database.ssl_client_key == f"{MOUNT}/tls/client/tls.key"
    assert config.credentials.username_key == "user"
    assert (config.credentials.encoding, config.credentials.keyring) == ("fernet", f"{MOUNT}/keyring/keys")
    assert config.storage.base_path == "/backups/team/databases"
    assert (config.storage.compression_level, config.storage.checksum_algorithm) == (1, "md5")
    assert config.storage.min_free_bytes == 1 << 30
    assert config.time_zone == "Europe/Berlin"
    assert config.run.parallelism == 8
    assert (config.retention.strategy, config.retention.daily_keep, config.retention.minimum) == ("simple", 30, 2)
    assert not config.retention.cleanup_enabled


def test_check_and_restore_belong_to_no_schedule() -> None:
    config = _read(app_config(instance(), deadline_seconds=600))

    assert config.schedule is None
    assert config.databases[0].include_databases == ("*",)


@pytest.mark.parametrize(
    ("tls", "mode"),
    [
        ({}, SSLMode.REQUIRE),
        ({"caSecretRef": {"name": "a"}}, SSLMode.VERIFY_FULL),
        ({"mode": "Require", "caSecretRef": {"name": "a"}}, SSLMode.REQUIRE),
        ({"mode": "VerifyCA", "caSecretRef": {"name": "a"}}, SSLMode.VERIFY_CA),
        ({"mode": "Disable"}, SSLMode.DISABLE),
        ({"mode": "Require"}, SSLMode.REQUIRE),
    ],
    ids=str,
)
def test_tls_modes(tls: dict[str, Any], mode: SSLMode) -> None:
    config = _read(app_config(instance({**PLAIN_INSTANCE, "tls": tls}), deadline_seconds=600))

    assert config.databases[0].effective_ssl_mode is mode


def test_key_of_an_old_host_name() -> None:
    given = {"secretRef": {"name": "a"}, "keyDerivation": "HostnameBased", "legacyHostname": "vya-01"}
    config = _read(app_config(instance({**PLAIN_INSTANCE, "credentials": given}), deadline_seconds=600))

    assert config.credentials.key_derivation == "hostname-based"
    assert config.credentials.legacy_hostname == "vya-01"
    assert config.credentials.keyring is None


# what a PostgreSQL or MySQL server takes for a name: any character but NUL
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=64))
def test_any_name_survives_json_in_an_annotation_read_as_yaml(name: str) -> None:
    spec = {**PLAIN_INSTANCE, "databases": {"include": [name], "exclude": []}}

    assert _read(app_config(instance(spec), deadline_seconds=600)).databases[0].include_databases == (name,)


def test_credentials_are_read_from_the_volume_as_kubelet_lays_it_out(tmp_path: Path) -> None:
    """A projected volume: one directory behind ``..data``, a symbolic link for each first part of a path."""
    data = tmp_path / "..2026_11_22"
    (data / "credentials").mkdir(parents=True)
    for key, value in (("username", b"backup\n"), ("password", b"pa$$ word")):
        (data / "credentials" / key).write_bytes(value)
        (data / "credentials" / key).chmod(0o440)
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "credentials").symlink_to("..data/credentials")

    found = load(CredentialsConfig(path=os.fspath(tmp_path / "credentials"), encoding="plain"), "one")

    assert (found.username, found.password) == ("backup", "pa$$ word")
