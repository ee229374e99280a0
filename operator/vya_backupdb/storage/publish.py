"""How three finished partials become a backup, and a backup becomes nothing: every step survives a crash after it.

Publishing: data, checksum line and metadata lie synced under their partial names, the metadata partial (the journal)
last of the three. Then data and checksum get their final names, the directory is synced, the metadata gets its own:
that is the commit. Then the journal goes, then the other partials. Undoing reverses it: final names first, the journal
next, partials last. Hence, in every state that a crash can leave:

- a journal without its data partial means that the data was *renamed*, and is ours under the final name;
- a journal with its data partial means that a final name is ours if it is the same inode (or an empty reservation);
- a final name with final metadata beside it is a backup, and is never touched.

Deleting renames the metadata to a tombstone; from then on the backup is none, and the tombstone names the rest.
The caller holds the tree's lock.
"""

import errno
import os
from collections.abc import Callable
from typing import Final

from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.layout import FileSet
from vya_backupdb.storage.faults import UNSUPPORTED
from vya_backupdb.storage.volume import Directory

_NO_LINKS: Final = UNSUPPORTED | {errno.EPERM, errno.EMLINK}
Names = tuple[str, str, str]


def final_names(files: FileSet) -> Names:
    """Return the names of data, checksum and metadata."""
    return files.data.name, files.checksum.name, files.metadata.name


def partial_names(files: FileSet, run: RunId) -> Names:
    """Return the names under which `run` writes data, checksum and metadata."""
    data, checksum, metadata = files.partials(run)
    return data.name, checksum.name, metadata.name


def is_free(directory: Directory, files: FileSet) -> bool:
    """Whether none of the backup's final names, nor its tombstone, is taken."""
    return all(directory.stat(name) is None for name in (*final_names(files), files.tombstone.name))


def commit(directory: Directory, files: FileSet, run: RunId) -> bool:
    """Give the three synced partials their final names; return False, with nothing changed, if one was taken.

    Raise OSError if the volume fails; `undo` (now, or in the next run) cleans up after it.
    """
    step = directory.volume.step
    data, checksum, metadata = zip(partial_names(files, run), final_names(files), strict=True)
    directory.sync()
    step("synced journal")
    if not is_free(directory, files):
        return False
    try:
        _place(directory, *data, reserve=True)
        step("placed data")
        _place(directory, *checksum)
        step("placed checksum")
        directory.sync()
        step("synced data and checksum")
        _place(directory, *metadata)
    except FileExistsError:
        retract(directory, files, run)
        return False
    step("placed metadata")
    directory.sync()
    step("synced metadata")
    sweep(directory, files, run)
    return True


def _place(directory: Directory, partial: str, final: str, *, reserve: bool = False) -> None:
    """Give `partial` the name `final`, by the first way that the volume offers. FileExistsError if it is taken.

    `reserve`: where only a plain rename is left, first take the name by an empty file. The names of checksum and
    metadata need none, because nobody takes them before the data's.
    """
    volume = directory.volume
    mine = directory.stat(partial)

    def is_ours() -> bool:
        found = directory.stat(final)
        return found is not None and mine is not None and os.path.samestat(found, mine)

    if volume.can_link:
        volume.can_link = _attempt(lambda: directory.link(partial, final), _NO_LINKS, is_ours)
        if volume.can_link:
            return
    if volume.can_rename_noreplace:
        volume.can_rename_noreplace = _attempt(lambda: directory.rename_noreplace(partial, final), UNSUPPORTED, is_ours)
        if volume.can_rename_noreplace:
            return
    if reserve:
        os.close(directory.create(final))
        volume.step("reserved name")
    elif directory.stat(final) is not None:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)
    directory.rename(partial, final)


def _attempt(call: Callable[[], None], unsupported: frozenset[int], is_ours: Callable[[], bool]) -> bool:
    """Do `call`; return False if the volume does not know such a call. Raise its OSError otherwise.

    NFS sends a request again when the answer was lost, and then fails on its own success: that is one.
    """
    try:
        call()
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOENT} and is_ours():
            return True
        if error.errno in unsupported:
            return False
        raise
    return True


def retract(directory: Directory, files: FileSet, run: RunId) -> None:
    """Take back what `commit` placed, so that only the partials are left. A committed backup is not touched."""
    data, checksum, metadata = zip(partial_names(files, run), final_names(files), strict=True)
    if directory.stat(metadata[1]) is not None:
        return
    for partial, final in (checksum, data):
        found, mine = directory.stat(final), directory.stat(partial)
        if found is None:
            continue
        if mine is None:
            directory.rename(final, partial)
        elif os.path.samestat(found, mine) or found.st_size == 0:
            directory.unlink(final)
        else:
            continue
        directory.volume.step(f"took back {final}")
    directory.sync()
    directory.volume.step("synced retraction")


def undo(directory: Directory, files: FileSet, run: RunId) -> None:
    """Remove every trace of an attempt of `run` that was not committed; of one that was, only its partials."""
    if directory.stat(partial_names(files, run)[2]) is not None:
        retract(directory, files, run)
    sweep(directory, files, run)


def sweep(directory: Directory, files: FileSet, run: RunId) -> None:
    """Remove the partials, the journal first: without it they claim no final name any more."""
    data, checksum, journal = partial_names(files, run)
    for name in (journal, checksum, data):
        if directory.unlink(name):
            directory.volume.step(f"removed {name}")


def remove(directory: Directory, files: FileSet) -> None:
    """Delete a backup: first it stops being one, then its files go. FileNotFoundError if it is none."""
    directory.rename(files.metadata.name, files.tombstone.name)
    directory.volume.step("buried metadata")
    directory.sync()
    directory.volume.step("synced tombstone")
    finish_removal(directory, files)


def finish_removal(directory: Directory, files: FileSet) -> None:
    """Remove what the tombstone names, then the tombstone. With metadata beside it, only the tombstone is stale."""
    if directory.stat(files.metadata.name) is None:
        for name in (files.data.name, files.checksum.name):
            if directory.unlink(name):
                directory.volume.step(f"removed {name}")
        directory.sync()
        directory.volume.step("synced removal")
    directory.unlink(files.tombstone.name)
    directory.volume.step("removed tombstone")
    directory.sync()
