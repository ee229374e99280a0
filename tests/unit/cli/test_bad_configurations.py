"""Bad configurations, through the program itself: each error names the field, what is wrong, and what to write.

Exit code 10 each time, nothing done, and no value of the file in what is said: one may be a secret in a wrong place.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from vya_backupdb.cli.app import run
from vya_backupdb.domain.exitcodes import ExitCode

SECRET = "s3cret-in-the-wrong-place"
GOOD = """\
databases:
  - id: shop
    type: postgresql
    host: db.example
storage:
  base_path: /srv/backups
"""
INSTANCE = "    host: db.example\n"


@dataclass(frozen=True)
class Bad:
    """A file, where the error must point, what it must say is wrong, what it must say to write."""

    text: str
    field: str
    wrong: str
    write: str


def instance(line: str) -> str:
    """The good file with one more line, or several, in its instance."""
    return GOOD.replace(INSTANCE, INSTANCE + line)


def top(lines: str) -> str:
    """The good file with more lines at its end."""
    return GOOD + lines


BAD = {
    "unknown key": Bad(top(f"retension: {SECRET}\n"), "retension:", "unknown key", "correct its spelling"),
    "unknown nested key": Bad(instance(f"    passwrod: {SECRET}\n"), "databases[0].passwrod:", "unknown key", "remove"),
    "duplicate key": Bad(instance("    host: other\n"), "line 5", "the key 'host' stands twice", "Correct the YAML"),
    "duplicate id": Bad(
        GOOD.replace("storage:", "  - {id: SHOP, type: mysql, host: h}\nstorage:"),
        "databases:",
        "the ids shop stand twice",
        "needs its own id",
    ),
    "no such date": Bad(instance("    port: 2026-13-45\n"), "line 5", "no such date or number", "in quotes"),
    "endless number": Bad(instance(f"    port: {'9' * 5000}\n"), "line 5", "no such date or number", "in quotes"),
    "list as a key": Bad(top("? [a, b]\n: 1\n"), "line 7", "a key must be a text", "Correct the YAML"),
    "too deep": Bad(top(f"x: {'[' * 5000}\n"), "", "nests lists and mappings too deeply", "correct it"),
    "NUL in a host": Bad(
        GOOD.replace("db.example", '"db\\0.example"'), "databases[0].host:", "no host name", "such as db.example"
    ),
    "missing host": Bad(GOOD.replace(INSTANCE, ""), "databases[0].host:", "is required", "add it"),
    "wrong type": Bad(instance(f"    port: {SECRET}\n"), "databases[0].port:", "no whole number", "write one without"),
    "text for a list": Bad(instance("    include_databases: shop\n"), "include_databases:", "is no list", "'- '"),
    "text for a mapping": Bad(top(f"logging: {SECRET}\n"), "logging:", "is no mapping", "'name: value'"),
    "number for a text": Bad(top("application_name: 7\n"), "application_name:", "is no text", "in quotes"),
    "neither true nor false": Bad(instance("    enabled: maybe\n"), "enabled:", "neither true nor false", "one of the"),
    "unknown product": Bad(
        GOOD.replace("postgresql", "oracle"), "databases[0].type:", "must be", "'mysql' or 'postgresql'"
    ),
    "characters of an id": Bad(GOOD.replace("id: shop", "id: a/b"), "databases[0].id:", "'-' only", "letters, digits"),
    "no id": Bad(GOOD.replace("id: shop", "id: ''"), "databases[0].id:", "at least 1 character", "write one"),
    "port": Bad(instance("    port: 70000\n"), "databases[0].port:", "too large", "65535 or less"),
    "host with a user": Bad(
        GOOD.replace("db.example", f"bob:{SECRET}@db"), "databases[0].host:", "no host name", "db.example"
    ),
    "no databases": Bad("databases: []\n", "databases:", "at least 1 entry", "add one"),
    "no file at all": Bad("", "config.yaml", "does not hold a mapping", "databases:"),
    "relative base path": Bad(
        GOOD.replace("/srv/backups", "backups"), "storage.base_path:", "must be an absolute path", "/backups"
    ),
    "path upwards": Bad(GOOD.replace("/srv/backups", "/srv/../etc"), "storage.base_path:", "without '..'", "/backups"),
    "unknown placeholder": Bad(
        top('  structure: "{db_id}/{db_name}/{dbname}"\n'), "storage.structure:", "{dbname}", "{hostname}"
    ),
    "no placeholder": Bad(top("  structure: all\n"), "storage.structure:", "{db_id}", "{db_name}"),
    "compression": Bad(top("  compression_level: 0\n"), "storage.compression_level:", "too small", "1 or more"),
    "checksum": Bad(top("  checksum_algorithm: sha1\n"), "checksum_algorithm:", "must be", "'md5' or 'sha256'"),
    "negative space": Bad(top("  min_free_bytes: -1\n"), "storage.min_free_bytes:", "too small", "0 or more"),
    "verify without a CA": Bad(
        instance("    ssl_mode: verify-full\n"), "databases[0]:", "needs ssl_ca_cert", "add the path"
    ),
    "half a certificate": Bad(
        instance("    ssl_client_cert: /c.pem\n"), "databases[0]:", "go together", "give both or none"
    ),
    "TLS on and off": Bad(
        instance("    ssl_enabled: true\n    ssl_mode: disable\n"), "databases[0]:", "ssl_mode is disable", "choose one"
    ),
    "time zone": Bad(top("time_zone: Mars/Olympus\n"), "time_zone:", "not a time zone", "Europe/Berlin"),
    "bad expression": Bad(
        instance(f"    allowed_stderr: ['{SECRET}(']\n"),
        "databases[0].allowed_stderr:",
        "no regular expression",
        "as \\(",
    ),
    "keeps nothing": Bad(
        top("retention: {strategy: simple, daily_keep: 0}\n"), "retention:", "daily_keep", "at least 1"
    ),
    "no floor": Bad(top("retention: {minimum: 0}\n"), "retention.minimum:", "too small", "1 or more"),
    "log file without a path": Bad(top("logging: {output: file}\n"), "logging:", "needs file_path", "add the path"),
    "host name's key": Bad(
        top("credentials: {key_derivation: hostname-based}\n"),
        "credentials:",
        "needs legacy_hostname",
        "host name under",
    ),
    "audit URL": Bad(
        top(f"audit: {{database_url: '{SECRET}'}}\n"), "audit.database_url:", "no database URL", "sqlite:///"
    ),
    "two audit URLs": Bad(
        top("audit: {database_url: 'sqlite://', database_url_file: /x}\n"), "audit:", "exclude each other", "remove one"
    ),
    "tab": Bad(GOOD.replace("    type", "\ttype"), "line 3", "cannot start any token", "blanks, never tabs"),
    "unfinished quote": Bad(top(f"time_zone: '{SECRET}\n"), "line 8", "unexpected end", "Correct the YAML"),
    "python object": Bad(top("run: !!python/name:os.system\n"), "line 7", "constructor", "Correct the YAML"),
}


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the program says as it refuses the configuration, in one line."""
    code = run(["list", "--config", str(path)])
    out, err = capsys.readouterr()
    assert code == ExitCode.INVALID_CONFIGURATION, err
    assert out == ""
    assert err.startswith("error: ")
    assert "\nhint: " in err
    assert SECRET not in err
    return " ".join(err.split())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "config.yaml"


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_it_is_refused_with_field_fault_and_remedy(bad: Bad, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(bad.text)
    said = refused(path, capsys)
    assert "config.yaml" in said
    assert said.count(": must") + said.count(": is") <= 2, "one fault is told once"
    for words in (bad.field, bad.wrong, bad.write):
        assert words in said, said


def test_the_good_one_is_good(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_text(GOOD)
    assert run(["list", "--config", str(path), "--format", "json"]) != ExitCode.INVALID_CONFIGURATION
    assert "config.yaml" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "field"),
    [
        ("VYA_BACKUPDB_STORAGE", SECRET, "VYA_BACKUPDB_STORAGE"),
        ("VYA_BACKUPDB_DATABASES", "[{", "VYA_BACKUPDB_DATABASES"),
        ("VYA_BACKUPDB_STORAGE__COMPRESSION_LEVEL", SECRET, "storage.compression_level"),
        ("VYA_BACKUPDB_STORAGE__COMPRESSION", SECRET, "storage.compression"),
        ("VYA_BACKUPDB_AUDIT__DATABASE_URL", SECRET, "audit.database_url"),
    ],
)
def test_a_bad_override_is_refused(
    path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    field: str,
) -> None:
    path.write_text(GOOD)
    monkeypatch.setenv(variable, value)
    assert field in refused(path, capsys)
    monkeypatch.delenv(variable)
    (path.parent / ".env").write_text(f"{variable}={value}\n")
    assert field in refused(path, capsys)


def test_a_file_that_cannot_be_read_is_named(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such file" in refused(path, capsys)
    path.mkdir()
    assert "is a directory" in refused(path, capsys)
    path.rmdir()
    path.write_bytes(b"\xff\xfe")
    assert "UTF-8" in refused(path, capsys)
