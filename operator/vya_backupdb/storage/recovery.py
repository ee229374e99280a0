"""What a crash left behind, and its removal: only what a partial's, a journal's or a tombstone's name claims.

A partial belongs to the run in its name; it is left behind only if nobody holds that run's lock. Nothing is completed,
everything is undone: the next run makes the backup again. A dump without metadata that no journal names is not ours
to judge, and stays. The caller holds the tree's lock.
"""

from collections.abc import Callable
from pathlib import PurePosixPath

from vya_backupdb.domain import layout
from vya_backupdb.domain.ids import RunId
from vya_backupdb.storage import publish
from vya_backupdb.storage.volume import Directory

#: Given a run's name as it stands in its partials, whether that run is over.
IsDead = Callable[[str], bool]


def recover_directory(directory: Directory, relative: PurePosixPath, is_dead: IsDead) -> list[str]:
    """Undo what dead runs left in the open `directory`, at `relative` below the base path. Return what was done."""
    attempts: set[tuple[str, str]] = set()
    buried: set[str] = set()
    for name in directory.names():
        parsed = layout.parse_file_name(name)
        if parsed is None or parsed.is_final:
            continue
        if parsed.tombstone:
            buried.add(parsed.stem)
        elif parsed.run is not None:
            attempts.add((parsed.stem, parsed.run))
    done = [_bury(directory, layout.FileSet(relative, stem)) for stem in sorted(buried)]
    for stem, run in sorted(attempts):
        if is_dead(run):
            # a name cut for its length stays as it is when it is cut again
            publish.undo(directory, layout.FileSet(relative, stem), RunId(run))
            done.append(f"removed what the run {run} left of {relative / stem}")
    if done:
        directory.sync()
    return done


def _bury(directory: Directory, files: layout.FileSet) -> str:
    publish.finish_removal(directory, files)
    return f"finished the deletion of {files.directory / files.stem}"
