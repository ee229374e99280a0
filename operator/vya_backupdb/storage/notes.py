"""``.notes.json`` of an instance: pins, accepted findings, damage found. Changed whole, in one step, under the lock.

It is read again under that lock before each deletion, so a pin that was set before a deletion began prevents it. A file
that is damaged is never written over, because the pins in it would be lost: whoever asks for it gets an error, and
retention deletes nothing until somebody mends it. A missing file means that nothing was said.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from vya_backupdb.domain.errors import StorageUnavailable
from vya_backupdb.domain.notes import Notes, parse_notes
from vya_backupdb.storage.faults import map_os_errors
from vya_backupdb.storage.site import Site
from vya_backupdb.storage.volume import Directory

NAME: Final = ".notes.json"
LIMIT_BYTES: Final = 64 << 20


def read_notes(directory: Directory) -> Notes:
    """Return what the instance's open `directory` holds. OSError as it comes, but for a missing file.

    Raise StorageUnavailable if the file is damaged, or of a later format.
    """
    try:
        content = directory.read(NAME, limit=LIMIT_BYTES)
    except FileNotFoundError:
        return Notes()
    try:
        return parse_notes(content)
    except ValueError as error:
        raise StorageUnavailable(
            f"{directory.path / NAME} is damaged, so nobody knows which backups are pinned: {error}",
            hint="Put it back from a copy; if there is none, move it away, and pin again what must stay.",
        ) from None


class Notebook:
    """The notes of one instance. Every method may raise StorageUnavailable or NoSpace."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def read(self) -> Notes:
        """Return the notes as they are now."""
        with (
            map_os_errors(f"reading {self._site.root / NAME}"),
            suppress(FileNotFoundError),
            self._site.descend(self._site.layout.instance) as directory,
        ):
            return read_notes(directory)
        return Notes()

    def change(self, edit: Callable[[Notes], Notes]) -> Notes:
        """Replace the notes by what `edit` makes of them, and return that; nothing is written if nothing changes."""
        with map_os_errors(f"writing {self._site.root / NAME}"), self._site.exclusively() as directory:
            before = read_notes(directory)
            after = edit(before)
            if after != before:
                directory.replace(NAME, after.to_json())
                self._site.volume.step("replaced notes")
            return after
