"""Reading the configuration: the file, the environment over it, and errors that name what to mend."""

from pathlib import Path

import pytest

from vya_backupdb.cli.overrides import Overrides
from vya_backupdb.cli.settings import load_config
from vya_backupdb.domain.config import AppConfig
from vya_backupdb.domain.errors import ConfigurationError

GOOD = """
databases:
  - {id: shop, type: postgresql, host: db.example}
storage: {base_path: /srv/backups, compression_level: 3}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as info:
        load_config(path)
    return f"{info.value.message} | {info.value.hint}"


def test_the_file_is_read(file: Path) -> None:
    config = load_config(file)
    assert (config.databases[0].host, config.storage.base_path) == ("db.example", "/srv/backups")


def test_the_environment_lies_over_the_file_and_the_env_file_between(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / ".env").write_text(
        "VYA_BACKUPDB_STORAGE__BASE_PATH=/from/env-file\nVYA_BACKUPDB_STORAGE__COMPRESSION_LEVEL=9\nOTHER=1\n"
    )
    monkeypatch.setenv("VYA_BACKUPDB_STORAGE__BASE_PATH", "/from/environment")
    monkeypatch.setenv("VYA_BACKUPDB_TIME_ZONE", "Europe/Berlin")
    monkeypatch.setenv("VYA_BACKUPDB_RUN__PARALLELISM", "5")
    monkeypatch.setenv("VYA_BACKUPDB_RUN_ID", "nightly-1")
    config = load_config(file)
    assert (config.storage.base_path, config.storage.compression_level) == ("/from/environment", 9)
    assert (config.time_zone, config.run.parallelism) == ("Europe/Berlin", 5)


def test_a_list_is_given_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VYA_BACKUPDB_DATABASES", '[{"id": "other", "type": "mysql", "host": "my.example"}]')
    assert [database.id for database in load_config(file).databases] == ["other"]


def test_a_wrong_value_of_the_environment_names_the_field_and_not_the_value(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VYA_BACKUPDB_STORAGE__COMPRESSION_LEVEL", "s3cret")
    said = refusal(file)
    assert f"{file} with VYA_BACKUPDB_STORAGE__COMPRESSION_LEVEL of the environment: storage.compression_level" in said
    assert "s3cret" not in said
    monkeypatch.setenv("VYA_BACKUPDB_DATABASES", "s3cret")
    said = refusal(file)
    assert "VYA_BACKUPDB_DATABASES" in said
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("databases: [", "line 1"),
        ("a: 1\na: 2\n", "line 2, column 1: the key 'a' stands twice"),
        ("databases:\n  - {id: a, id: b}\n", "stands twice"),
        ("- 1\n", "does not hold a mapping"),
        ("", "does not hold a mapping"),
        ("databases: []\n", "databases"),
        (GOOD + "retension: {}\n", "retension: unknown key"),
        (GOOD.replace("host: db.example", "hots: db.example"), "databases[0].host: is required"),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1"),
        ("\x00", "is not YAML"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    assert says in refusal(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "config.yaml")
    assert "--config" in refusal(tmp_path / "config.yaml")
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    assert "UTF-8" in refusal(tmp_path / "latin")


def test_json_is_yaml(file: Path) -> None:
    file.write_text('{"databases": [{"id": "shop", "type": "mysql", "host": "h"}]}')
    assert load_config(file).databases[0].effective_port == 3306


def test_every_key_can_be_given_by_the_environment_in_any_case(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(Overrides.model_fields) == set(AppConfig.model_fields)
    monkeypatch.setenv("vya_backupdb_time_zone", "Europe/Berlin")
    assert load_config(file).time_zone == "Europe/Berlin"
