"""What is printed: sizes and times as people say them, nothing of a stranger's that moves the cursor, no secret."""

import io
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vya_backupdb.cli import logs, output
from vya_backupdb.cli.listeners import JsonLines
from vya_backupdb.cli.options import parse_time
from vya_backupdb.domain.config import LoggingConfig
from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.dumper.events import Moved, Noted, RunStarted

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert output.duration(seconds) == said


def test_ages() -> None:
    assert output.age(NOW - timedelta(minutes=5), NOW) == "5 min ago"
    assert output.age(NOW - timedelta(hours=25), NOW) == "1 d 1 h ago"
    assert output.age(NOW + timedelta(hours=1), NOW) == "in the future"
    assert output.age(None, NOW) == ""


@pytest.mark.parametrize("name", ["a\x1b[2J", "b\nc", "\u202egnp.exe", "\x07", "x\x9b2J", "tab\t"])
def test_no_name_moves_the_cursor(name: str) -> None:
    shown = output.plain(name)
    assert shown.isprintable()
    assert output.plain("Käse 文 😀 [bold]") == "Käse 文 😀 [bold]"


def test_events_are_one_json_object_a_line_whatever_the_secret_is() -> None:
    stream = io.StringIO()
    listener = JsonLines(stream, Redactor(['"', "hunter2"]))
    listener(RunStarted("run-1", "backup", ('a"\n', "b")))
    listener(Noted("the password hunter2 is bad", "a", "warning"))
    for _ in range(5):
        listener(Moved("a", "database", 1, 1))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["run_started", "note", "progress"]
    assert lines[0]["names"] == ['a"\n', "b"]
    assert "hunter2" not in stream.getvalue()


def test_a_reader_that_has_gone_fails_nothing() -> None:
    gone = io.StringIO()
    gone.close()
    JsonLines(gone, Redactor())(Noted("x"))


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_log_redacts_messages_arguments_and_tracebacks(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = LoggingConfig.model_validate({"format": form, "level": "DEBUG"})
    logs.configure(config, redact=Redactor(['it\'s "hunter2"\n']), verbose=False)
    logger = logging.getLogger("vya_backupdb.test")
    try:
        raise ValueError('cannot use it\'s "hunter2"\n here')
    except ValueError:
        logger.debug("trying %r", 'it\'s "hunter2"\n', exc_info=True)
    said = capsys.readouterr().err
    assert "hunter2" not in said
    assert "Traceback" in said
    if form == "json":
        assert json.loads(said)["level"] == "debug"


def test_a_log_file_that_cannot_be_written_falls_back_to_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    config = LoggingConfig.model_validate(
        {"output": "file", "file_path": str(tmp_path / "file" / "log"), "format": "text"}
    )
    logs.configure(config, redact=Redactor(), verbose=False)
    assert "cannot be written" in capsys.readouterr().err
    config = LoggingConfig.model_validate({"output": "file", "file_path": str(tmp_path / "log"), "format": "text"})
    logs.configure(config, redact=Redactor(), verbose=False)
    logging.getLogger("vya_backupdb.test").info("hello")
    assert "hello" in (tmp_path / "log").read_text()
    logs.configure(LoggingConfig(), redact=Redactor(), verbose=False)


def test_times_need_a_zone() -> None:
    assert parse_time("2026-11-21T03:00:00Z", "--before") == NOW
    assert parse_time(None, "--before") is None
    for text in ("yesterday", "2026-11-21 03:00"):
        with pytest.raises(ConfigurationError, match="--before"):
            parse_time(text, "--before")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--version"], 0, "vya-backupdb 0."),
        (["--help"], 0, "restore"),
        (["nonsense"], 2, "error: No such command 'nonsense'"),
        (["backup", "--parallel", "0"], 2, "--parallel"),
        (["adopt"], 2, "Missing argument"),
        (["backup", "--config", "/no/such/file"], 10, "error: cannot read the configuration /no/such/file"),
    ],
)
def test_the_program_ends_with_a_sentence_and_a_code(arguments: list[str], code: int, says: str) -> None:
    done = subprocess.run([sys.executable, "-m", "vya_backupdb.cli", *arguments], capture_output=True, text=True)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
