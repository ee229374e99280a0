"""What a restore makes on the server, noted on the volume before it is made: the only licence to drop anything.

One function, `settle`, decides after every kind of end, be it an error of this process or the death of an earlier one:
what is whole and in its place stays, everything else that the journal names goes, and nothing else is touched. Between
``creating`` and ``loading`` nothing is in the database that we make, so that one with something in it is somebody
else's; later its identity tells.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass

from vya_backupdb.domain.errors import BackupDBError, TargetExists
from vya_backupdb.domain.report import RunReport
from vya_backupdb.domain.undertaking import Phase, Swap, Undertaking
from vya_backupdb.domain.users_file import AccountKey
from vya_backupdb.engines.base import Engine
from vya_backupdb.storage.undertakings import Undertakings

_log = logging.getLogger(__name__)


class Journal:
    """The journal of a restore under way. `one` is its present state, as on the volume."""

    def __init__(self, journals: Undertakings, engine: Engine, one: Undertaking) -> None:
        """Note that `one.made` is about to be made."""
        self._journals, self._engine = journals, engine
        self.one = one
        self.warnings: tuple[str, ...] = ()
        journals.save(one)

    def made(self) -> None:
        """Note that the server has it now, and what tells it from others."""
        self._note(phase=Phase.LOADING, identity=self._engine.placer.identity(self.one.made))

    def not_made(self) -> None:
        """Note that `one.made` was another's before it could be ours: there is nothing to take away."""
        self._note(made=self.one.marker)

    def began(self, made: Collection[AccountKey]) -> None:
        """Note which accounts the restore has really made, of those that it had noted beforehand."""
        users = self.one.users
        if users is not None:
            pairs = tuple(pair for pair in users.begun if AccountKey(*pair) in made)
            self._note(users=users.model_copy(update={"begun": pairs}))

    def placing(self, swap: Swap | None, result: RunReport) -> None:
        """Note that it is whole, that it is about to be put in place by `swap` (None: it is there), and the `result`.

        Whoever finds the journal later gives that result to who asks for the same.
        """
        self._note(phase=Phase.PLACING, swap=swap, result=result)

    def settle(self) -> bool:
        """Settle it; return whether the new content is in its place. The journal stays: `close` it.

        `warnings` are what could not be brought about again.
        """
        self.one, done, self.warnings = settle(self._engine, self._journals, self.one)
        return done

    def told(self) -> None:
        """Note that the result was told, though something is left: the same command, given again, means a new one."""
        self._note(asked="")

    def close(self, *, done: bool) -> None:
        """Remove the journal, or leave it as a note of the database that is kept."""
        close(self._journals, self.one, done=done)

    def _note(self, **changes: object) -> None:
        self.one = self.one.model_copy(update=changes)
        self._journals.save(self.one)


def settle(engine: Engine, journals: Undertakings, one: Undertaking) -> tuple[Undertaking, bool, tuple[str, ...]]:
    """Finish or undo what `one` tells of, by what is on the server.

    Return the journal as it is then, whether the new content is in its place, and warnings. The lock on its target must
    be held. Raise what prevents it; then the journal must stay.
    """
    warnings: tuple[str, ...] = ()
    if one.phase is Phase.PLACING:
        done, warnings = engine.placer.settle(one.swap) if one.swap else (_settle_in_place(engine, one), ())
        # noted before anything is dropped that tells the outcome
        one = one.model_copy(update={"phase": Phase.PLACED if done else Phase.LOADING})
        journals.save(one)
    if one.phase is Phase.PLACED:
        if one.swap is not None and one.swap.kept is not None and not one.swap.stays:
            _drop(engine, one.swap.kept, one.swap.old_id)
    elif one.phase is Phase.LOADING:
        _drop(engine, one.made, one.identity)
    elif one.phase is Phase.CREATING and engine.exists(one.made) and _is_ours(engine, one):
        engine.drop(one.made)
    return one, one.phase is Phase.PLACED, warnings


def _is_ours(engine: Engine, one: Undertaking) -> bool:
    """Whether what stands under the noted name can be what we made: nothing at all was loaded yet."""
    if engine.placer.identity(one.made) == one.marker:
        return True
    return not engine.count(one.made).tables and not engine.count_objects((one.made,)).get(one.made)


def _settle_in_place(engine: Engine, one: Undertaking) -> bool:
    """Whether it is there: by its marker, or without one (it had gone, or another made it anew) by what is in it."""
    if not engine.exists(one.made):
        return False
    if engine.placer.identity(one.made) != one.marker:
        there, restored = engine.count(one.made), one.result.restored if one.result else None
        return restored is not None and (there.tables, there.rows) == (restored.tables, restored.rows)
    engine.placer.unmark(one.made, one.marker)
    return True


def _drop(engine: Engine, name: str, identity: str | None) -> None:
    """Drop `name`; one that is another by now is left alone: ours is gone already."""
    try:
        engine.drop(name, identity=identity)
    except TargetExists as error:
        _log.warning("%s", error.message)


def close(journals: Undertakings, one: Undertaking, *, done: bool) -> None:
    """Remove the settled journal `one`; it stays as a note of what stays: a former database for use, or accounts."""
    if done and one.swap is not None and one.swap.stays:
        swap = one.swap.model_copy(update={"old": (), "new": (), "old_tables": (), "new_tables": ()})
        journals.save(one.model_copy(update={"phase": Phase.KEPT, "swap": swap, "result": None, "users": None}))
    elif not done and one.users is not None and one.users.begun:
        users = one.users.model_copy(update={"grants": ""})
        journals.save(one.model_copy(update={"phase": Phase.KEPT, "swap": None, "result": None, "users": users}))
    else:
        journals.remove(one.run)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an earlier restore: whether its content is in place, and a sentence for a person.

    `gone`: it was, but somebody dropped it since, so that its result is none any more.
    """

    one: Undertaking
    done: bool
    sentence: str
    warnings: tuple[str, ...] = ()
    gone: bool = False


def settle_dead(engine: Engine, journals: Undertakings, one: Undertaking, server_identity: str | None) -> Settled:
    """Settle the restore `one`, whose run is over; the lock on its target is held. Its journal is still there.

    Raise TargetExists if it was made on another server.
    """
    if one.server_identity != server_identity:
        raise TargetExists(
            f"the restore {one.run} to {one.target!r} died on another server, which is not this one: its journal stays",
            hint=f"Look there for {one.made!r}; then remove .runs/{one.run}.restore from the volume.",
        )
    one, done, warnings = settle(engine, journals, one)
    gone = done and not _still_there(engine, one)
    what = "was finished" if done else f"was undone: {one.made!r} is gone"
    what += "; what it restored was dropped since" if gone else ""
    return Settled(one, done, f"the restore {one.run} to {one.target!r}, which had died, {what}", warnings, gone)


def _still_there(engine: Engine, one: Undertaking) -> bool:
    """Whether what was put in its place stands there, as far as the server can tell it from another."""
    if not engine.exists(one.target):
        return False
    new_id = one.swap.new_id if one.swap else None
    return new_id is None or engine.placer.identity(one.target) == new_id


def left_behind(error: BackupDBError, one: Undertaking) -> None:
    """Log what could not be taken away, and who will."""
    _log.warning(
        "what the restore %s made, %r, could not be taken away: %s; the next restore to %r does it",
        one.run,
        one.made,
        error.message,
        one.target,
    )
