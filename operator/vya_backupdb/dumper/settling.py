"""What restores that died left behind: settled by the next one to the same target, or by a person who asks for it.

Whoever holds the session lock on the target knows that every journal of it is of a run that is over. What was whole and
in its place is finished; the same command gets its result, so that a restore whose end alone was cut off is not done
twice. Everything else is undone.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from vya_backupdb.domain.errors import BackupCorrupt, NotFound
from vya_backupdb.domain.report import RunReport
from vya_backupdb.domain.undertaking import Undertaking
from vya_backupdb.dumper import restore_report, restore_users
from vya_backupdb.dumper.events import Noted
from vya_backupdb.dumper.journal import Settled, close, settle_dead
from vya_backupdb.dumper.restore_plan import find_source, unfinished
from vya_backupdb.dumper.restore_request import Request
from vya_backupdb.dumper.session import Session
from vya_backupdb.storage.tree import InstanceTree


class Earlier:
    """What becomes of earlier attempts at `request`; `result` is that of one that only lacked its end."""

    def __init__(self, source: InstanceTree, request: Request, now: datetime) -> None:
        self._source, self._request, self._now = source, request, now
        self.result: RunReport | None = None

    def settled(self, found: Settled) -> None:
        """Take note of it, durably where a claim is concerned: its journal is about to go."""
        request, claim = self._request, self._request.claim
        if found.done and not found.gone and found.one.result and self._is_the_same(found.one, found.one.result):
            self.result = restore_report.finished_later(request, found.one.result)
        state = self._source.ledger().resume(claim.name, claim.uid, request.run) if claim else None
        if state is not None and found.one.run == request.run:
            if self.result is None:
                state.revert()
            else:
                state.finish(self.result)

    def _is_the_same(self, one: Undertaking, result: RunReport) -> bool:
        """Whether `one` did what is asked for now: the same run, or the same command, which means the same backup."""
        request = self._request
        if one.run == request.run:
            return True
        if one.asked != request.asked or result.restored is None:
            return False
        try:
            chosen = find_source(request, self._source, self._now)
        except (NotFound, BackupCorrupt):
            return False
        return chosen.id == result.restored.backup_id


def settle_target(session: Session, target: str, settled: Callable[[Settled], None]) -> None:
    """Settle every restore to `target` that died, under the lock on it; tell `settled` before its journal goes."""
    if not unfinished(session, target):
        return
    identity, journals = session.ask_server().info.identity, session.tree.undertakings()
    wait, check = session.database.lock_wait_seconds, session.tools.stop.check
    with session.engine.lock(target, wait_seconds=wait, checkpoint=check):
        # asked again: whoever held the lock meanwhile may have settled them
        for one in unfinished(session, target):
            found = _with_users(session, settle_dead(session.engine, journals, one, identity))
            session.say(Noted(found.sentence, target))
            for warning in found.warnings:
                session.say(Noted(warning, target, "warning"))
            settled(found)
            close(journals, found.one, done=found.done)


def _with_users(session: Session, found: Settled) -> Settled:
    """Give accounts what is due to them once the data is in its place, and put that into the result."""
    one = found.one
    if not found.done or found.gone or one.users is None:
        return found
    given = restore_users.reported(restore_users.give_due(session, one.users, one.target))
    for account in given:
        for refused in account.refused:
            session.say(Noted(f"{account.account}: {refused.error}: {refused.statement}", one.target, "warning"))
    if one.result is None or one.result.restored is None:
        return found
    users = restore_users.both_phases(one.result.restored.users, given)
    result = restore_report.with_users(one.result, users)
    return replace(found, one=one.model_copy(update={"result": result}))


def clean_up(session: Session) -> list[str]:
    """Settle every restore to this server that died, forget former databases that are gone; say what was done.

    Raise Busy if one of them lives.
    """
    journals, said = session.tree.undertakings(), list[str]()
    for target in dict.fromkeys(one.target for one in journals.all()):
        settle_target(session, target, lambda found: said.append(found.sentence))
    for one in journals.all():
        if one.kept is not None and not session.engine.exists(one.kept):
            journals.remove(one.run)
            said.append(f"{one.kept!r}, which {one.target!r} was before the restore {one.run}, is gone: its note, too")
        elif one.left_accounts:
            journals.remove(one.run)
            names = ", ".join(repr(str(each)) for each in sorted(one.left_accounts))
            said.append(
                f"accounts that the restore {one.run} to {one.target!r} had begun to make, or to change, stay: {names}"
            )
    return said
