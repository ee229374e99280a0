"""Where one instance's tree stands on its volume: how its directories are opened, and its lock is held."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vya_backupdb.domain import layout, structure
from vya_backupdb.storage import catalog, locks
from vya_backupdb.storage.volume import Directory, Volume


@dataclass(frozen=True, slots=True)
class Site:
    """A volume and the names of one instance on it. Raises OSError as it comes."""

    volume: Volume
    layout: layout.Tree

    @property
    def root(self) -> Path:
        """The instance's own directory."""
        return self.volume.base / self.layout.instance

    @property
    def below(self) -> tuple[str, ...]:
        """The segments of ``storage.structure`` below the instance's directory."""
        segments = self.layout.structure.segments
        return segments[segments.index(structure.DB_ID) + 1 :]

    def descend(self, relative: PurePosixPath, *, create: bool = False) -> Directory:
        """Return the open directory `relative` (to the base path); the caller closes it."""
        with self.volume.root(create=create) as base:
            return base.descend(relative, create=create)

    @contextmanager
    def exclusively(self) -> Iterator[Directory]:
        """Hold the tree's lock, for the moments in which names appear or disappear; give the instance's directory."""
        with (
            self.descend(self.layout.instance, create=True) as directory,
            locks.hold(directory, self.layout.lock.name),
        ):
            yield directory

    def leaves(self, *, component: str | None = None) -> Iterator[tuple[Directory, PurePosixPath]]:
        """Yield each open directory that can hold backups of databases, and its path below the base path.

        A tree that does not exist is empty. `component` as in `catalog.directories`.
        """
        with ExitStack() as stack:
            try:
                instance = stack.enter_context(self.descend(self.layout.instance))
            except FileNotFoundError:
                return
            for relative in catalog.directories(instance, self.below, component=component):
                try:
                    directory = instance.descend(relative)
                except FileNotFoundError:
                    continue  # a retention run removed it since the scan
                with directory:
                    yield directory, self.layout.instance / relative
