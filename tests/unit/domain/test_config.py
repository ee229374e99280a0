"""The configuration: bad input names the field and the remedy, and never quotes a value that may be a secret."""

import json
from typing import Any

import pytest

from vya_backupdb.domain.config import AppConfig, SSLMode, parse_config
from vya_backupdb.domain.errors import ConfigurationError

SERVER = {"id": "shop", "type": "postgresql", "host": "db.example"}


def config(**changes: Any) -> AppConfig:
    return parse_config({"databases": [SERVER], **changes}, source="config.yaml")


def server(**changes: Any) -> AppConfig:
    return config(databases=[{**SERVER, **changes}])


def test_defaults_are_the_documented_ones() -> None:
    parsed = config()
    one = parsed.databases[0]
    assert (parsed.storage.compression_level, parsed.storage.checksum_algorithm) == (6, "sha256")
    keep = parsed.retention
    assert (keep.daily_keep, keep.weekly_keep, keep.monthly_keep, keep.minimum) == (7, 4, 12, 1)
    assert (one.effective_port, one.tree_hostname, one.effective_ssl_mode) == (5432, "db.example", SSLMode.DISABLE)


@pytest.mark.parametrize(
    ("changes", "field", "remedy"),
    [
        ({"databases": []}, "databases", "at least 1"),
        ({"databases": [{**SERVER, "id": "a/b"}]}, "databases[0].id", "letters, digits and '-'"),
        ({"databases": [{**SERVER, "host": "x y"}]}, "databases[0].host", "host name"),
        ({"databases": [{**SERVER, "port": 70000}]}, "databases[0].port", "65535"),
        ({"databases": [{**SERVER, "flavor": "mariadb"}]}, "databases[0]", "flavor is for type mysql"),
        ({"databases": [{**SERVER, "ssl_mode": "verify-full"}]}, "databases[0]", "needs ssl_ca_cert"),
        ({"databases": [{**SERVER, "ssl_client_cert": "/c"}]}, "databases[0]", "go together"),
        ({"databases": [{**SERVER, "passwrod": "geheim"}]}, "databases[0].passwrod", "unknown key"),
        ({"databases": [SERVER, {**SERVER, "id": "SHOP"}]}, "databases", "shop stand twice"),
        ({"databases": [{"id": "x", "type": "postgresql"}]}, "databases[0].host", "is required"),
        ({"time_zone": "Local"}, "time_zone", "IANA"),
        ({"storage": {"base_path": "backups"}}, "storage.base_path", "absolute path"),
        ({"storage": {"base_path": "/a/../b"}}, "storage.base_path", "without '..'"),
        ({"storage": {"compression_level": 10}}, "storage.compression_level", "9"),
        ({"retention": {"minimum": 0}}, "retention.minimum", "1"),
        ({"retention": {"strategy": "simple", "daily_keep": 0}}, "retention", "daily_keep"),
        ({"logging": {"output": "file"}}, "logging", "needs file_path"),
        ({"credentials": {"key_derivation": "hostname-based"}}, "credentials", "legacy_hostname"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(changes: dict[str, Any], field: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(**changes)
    assert f"{field}: " in caught.value.message
    assert remedy in caught.value.message
    assert "geheim" not in str(caught.value)


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"time_zone: .*; storage\.compression_level: "):
        config(time_zone="Mars/Olympus", storage={"compression_level": 0})


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_a_file_that_is_no_mapping_is_refused(data: object) -> None:
    with pytest.raises(ConfigurationError, match="does not hold a mapping"):
        parse_config(data, source="config.yaml")


def test_globs_select_and_exclude_wins() -> None:
    one = server(include_databases=["app_*", "crm"], exclude_databases=["*_test"]).databases[0]
    wanted = [name for name in ("app_a", "app_test", "crm", "other", "APP_A") if one.wants(name)]
    assert wanted == ["app_a", "crm"]


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, SSLMode.DISABLE),
        ({"ssl_enabled": True}, SSLMode.REQUIRE),
        ({"ssl_enabled": True, "ssl_ca_cert": "/ca"}, SSLMode.VERIFY_FULL),
        ({"ssl_mode": "verify-ca", "ssl_ca_cert": "/ca"}, SSLMode.VERIFY_CA),
    ],
)
def test_tls_is_as_strict_as_what_was_given_allows(changes: dict[str, Any], mode: SSLMode) -> None:
    assert server(**changes).databases[0].effective_ssl_mode is mode


def test_a_configuration_survives_json() -> None:
    parsed = server(allowed_stderr=["^warning: .*$"], include_databases=["a"])
    assert parse_config(json.loads(parsed.model_dump_json()), source="x") == parsed


def test_an_unknown_instance_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="shop"):
        config().database("nope")
