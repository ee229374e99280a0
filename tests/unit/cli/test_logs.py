"""The program's own log: where it goes, who may read it, and what happens where it cannot be written."""

import json
import logging
import os
import resource
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.storage.support import fork

from vya_backupdb.cli import logs
from vya_backupdb.domain.config import LoggingConfig
from vya_backupdb.domain.redact import Redactor

LOG = logging.getLogger("vya_backupdb.test")


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    logger = logging.getLogger(logs.ROOT)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


def begin(output: str, path: Path, **more: str) -> None:
    config = LoggingConfig.model_validate({"output": output, "file_path": str(path), **more})
    logs.configure(config, redact=Redactor(["geheim"]), verbose=False)


def test_a_log_file_is_its_owners_whatever_umask_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "program.log"
    before = os.umask(0)
    try:
        begin("file", path)
    finally:
        os.umask(before)
    LOG.info("the password is %s", "geheim")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["message"] == "the password is [redacted]"
    assert capsys.readouterr().err == ""


def test_both_means_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin("both", tmp_path / "program.log", format="text")
    LOG.warning("hello")
    assert "hello" in (tmp_path / "program.log").read_text()
    assert "hello" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["directory", "below a file", "nowhere"])
def test_a_file_that_cannot_be_written_falls_back_to_the_console(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    (tmp_path / "file").write_text("")
    path = {"directory": tmp_path, "below a file": tmp_path / "file" / "log", "nowhere": Path("/proc/nowhere/log")}[
        place
    ]
    begin("file", path, format="text")
    LOG.info("hello")
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert str(path) in said
    assert "hello" in said


def test_a_file_that_becomes_full_falls_back_to_the_console(tmp_path: Path) -> None:
    path = tmp_path / "program.log"
    reading, writing = os.pipe()

    def child() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
        sys.stderr = os.fdopen(writing, "w")
        begin("file", path, format="text")
        for number in range(20):
            LOG.info("line %d of the log, geheim", number)

    assert fork(child) == 0
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    assert said.count("cannot be written") == 1
    assert "line 19 of the log, [redacted]" in said
    assert "Traceback" not in said
    assert "line 0 of the log" in path.read_text()
