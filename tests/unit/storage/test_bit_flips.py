"""Ten thousand flipped bits and cut files: verification finds every one, in whichever of a backup's three files."""

import gc
import os
import random
import shutil
from pathlib import Path

import pytest
from tests.unit.storage.adopted import KINDS, adopted, tools
from tests.unit.storage.support import NOW

from vya_backupdb.domain import layout
from vya_backupdb.domain.errors import BackupCorrupt
from vya_backupdb.dumper.restore_source import of_tree, read_whole
from vya_backupdb.dumper.verification import Outcome, Verified, verify_backup, verify_backups
from vya_backupdb.engines.loading import Inspection
from vya_backupdb.engines.registry import scanner_for
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

FLIPS = 3_000
CUTS = 400


def nothing() -> None:
    """Nobody stops the verification."""


def again(tree: InstanceTree, stored: StoredBackup) -> Verified:
    """List the backup anew and read it, as the command does."""
    (found,) = tree.by_id(stored.id)
    return verify_backup(tree, found, check=nothing)


def read_for_a_restore(tree: InstanceTree, stored: StoredBackup, product: str) -> None:
    """Do what a restore does before it touches its target: find the backup, and read all of it."""
    source = of_tree(tree, "shop", stored.id, before=None, now=NOW)
    quiet = tools()
    scanner = scanner_for(KINDS[product])
    read_whole(source, scanner, Unasked(), name="shop", say=quiet.say, stop=quiet.stop)


class Unasked:
    """An inspector that looks at nothing: what a server would refuse is no matter of bytes."""

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""

    def result(self) -> Inspection:
        """Never asked."""
        raise AssertionError


def files(stored: StoredBackup) -> list[Path]:
    return [stored.path.with_name(f"{stored.id}{part}") for part in layout.Part]


def outcome_with(tree: InstanceTree, stored: StoredBackup, path: Path, content: bytes) -> Verified:
    """Verify while `path` holds `content`; put back what was there."""
    before = path.read_bytes()
    path.write_bytes(content)
    found = again(tree, stored)
    path.write_bytes(before)
    return found


def flipped(content: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize("product", KINDS)
def test_every_random_flip_and_cut_is_found(memory: Path, product: str) -> None:
    chance = random.Random(product)
    tree, stored = adopted(memory, product)
    assert again(tree, stored).outcome is Outcome.WHOLE
    contents = {path: path.read_bytes() for path in files(stored)}
    paths = [path for path in contents for _ in range(1 + len(contents[path]) // 500)]
    for number in range(FLIPS + CUTS):
        path = chance.choice(paths)
        position, bit = chance.randrange(len(contents[path])), chance.randrange(8)
        content = flipped(contents[path], position, bit) if number < FLIPS else contents[path][:position]
        path.write_bytes(content)
        found = again(tree, stored)
        assert found.outcome is Outcome.CORRUPT, (path.name, position, bit, found)
        assert found.problem
        with pytest.raises(BackupCorrupt):
            read_for_a_restore(tree, stored, product)
        path.write_bytes(contents[path])
    read_for_a_restore(tree, stored, product)
    assert again(tree, stored).outcome is Outcome.WHOLE


def test_each_single_byte_of_a_backup_counts(memory: Path) -> None:
    """The gzip header's time and system, blanks in the JSON, the newline of the checksum file: all of them."""
    tree, stored = adopted(memory, "mariadb")
    for path in files(stored):
        content = path.read_bytes()
        for position in range(len(content)):
            found = outcome_with(tree, stored, path, flipped(content, position, position % 8))
            assert found.outcome is Outcome.CORRUPT, (path.name, position, found)
    assert again(tree, stored).outcome is Outcome.WHOLE


def test_a_file_that_is_found_damaged_is_closed_at_once(memory: Path) -> None:
    """An error knows where it came from, and so the open file with its lock: thousands of them end any process."""
    tree, stored = adopted(memory, "mariadb")
    content = stored.path.read_bytes()
    gc.collect()
    gc.disable()
    try:
        before = set(Path("/proc/self/fd").iterdir())
        for changed in (flipped(content, len(content) // 2, 3), content[:-9], content + b"x"):
            assert outcome_with(tree, stored, stored.path, changed).outcome is Outcome.CORRUPT
            assert set(Path("/proc/self/fd").iterdir()) == before
    finally:
        gc.enable()


def test_each_cut_of_the_checksum_file_is_found(memory: Path) -> None:
    """Even after its first line, where it looks like what another program would have written."""
    tree, stored = adopted(memory, "mariadb")
    path = stored.path.with_name(f"{stored.id}{layout.CHECKSUM}")
    content = path.read_bytes()
    assert content.count(b"\n") == 2
    for length in range(len(content)):
        assert outcome_with(tree, stored, path, content[:length]).outcome is Outcome.CORRUPT, length


@pytest.mark.parametrize("more", [b"\0", b"\n", b"x" * 4096])
def test_what_is_behind_the_end_is_found(memory: Path, more: bytes) -> None:
    tree, stored = adopted(memory, "postgresql")
    for path in files(stored):
        found = outcome_with(tree, stored, path, path.read_bytes() + more)
        assert found.outcome is Outcome.CORRUPT, path.name


def test_damage_is_noted_and_taken_back_when_the_bytes_are_right_again(memory: Path) -> None:
    tree, stored = adopted(memory, "mysql")
    before = stored.path.read_bytes()
    stored.path.write_bytes(flipped(before, len(before) // 2, 3))
    assert [one.outcome for one in verify_backups(tree, tree.backups(), tools())] == [Outcome.CORRUPT]
    (listed,) = tree.backups()
    assert listed.problem is not None
    assert listed.problem.startswith("found damaged on 2026-03-29: ")
    stored.path.write_bytes(before)
    assert tree.backups()[0].problem is not None  # nobody has read it again yet
    assert [one.outcome for one in verify_backups(tree, tree.backups(), tools())] == [Outcome.WHOLE]
    assert tree.backups()[0].problem is None


def test_damage_is_noted_in_a_directory_whose_name_is_no_text(memory: Path) -> None:
    tree, stored = adopted(memory, "mysql")
    copy = stored.path.parent.parent / os.fsdecode(b"\xff\xfe")
    shutil.copytree(stored.path.parent, copy)
    (copy / stored.path.name).write_bytes(flipped(stored.path.read_bytes(), 200, 3))
    found = {one.stored.path: one.outcome for one in verify_backups(tree, tree.backups(), tools())}
    assert found == {stored.path: Outcome.WHOLE, copy / stored.path.name: Outcome.CORRUPT}
    assert {one.path: one.problem is None for one in tree.backups()} == {
        stored.path: True,
        copy / stored.path.name: False,
    }


def test_one_that_is_deleted_meanwhile_is_no_damage(memory: Path) -> None:
    tree, stored = adopted(memory, "mysql")
    for path in files(stored):
        path.unlink()
    assert verify_backup(tree, stored, check=nothing).outcome is Outcome.GONE
