"""The program called in this process, and a place whose secrets it works on."""

from pathlib import Path

import pytest
from tests.unit.cli.secret_place import PASSWORD, Call, Place

from vya_backupdb.cli.app import run
from vya_backupdb.storage.crypto import generate_key


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the program in this process: exit code, stdout, stderr; neither may ever show the password."""

    def called(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(one) for one in arguments])
        out, err = capsys.readouterr()
        assert PASSWORD[:8] not in out + err
        return code, out, err

    return called


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path, old=generate_key(), new=generate_key())
    made.with_keys(made.new, made.old)
    made.configure()
    return made
