"""The accounts of one database's restore: who it needs, before its data; what they may do in it, after that.

Invariants: whom a restore begins to make or to change, and what is due to them once the data is in its place, stands
in its journal before the first is made. So whoever settles a restore that died gives what is due, and the next attempt
takes accounts of the former one for its own, instead of leaving them half made because they exist. No account is ever
dropped.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from vya_backupdb.domain.errors import NotFound, RestoreFailed, TargetExists
from vya_backupdb.domain.report import AccountReport, RefusedReport
from vya_backupdb.domain.undertaking import UsersDue
from vya_backupdb.domain.users_file import SHARED, AccountKey, Header, Phase, Statement, UsersFile, parse, render
from vya_backupdb.domain.users_forms import NOTHING
from vya_backupdb.domain.users_plan import Action, OnExisting, Phases, Target, Wish, matches
from vya_backupdb.dumper.accounts import PlannedUsers, UsersResult, plan_users, read_stored, restore_users, users_of_run
from vya_backupdb.dumper.restore_request import WithUsers
from vya_backupdb.dumper.restore_source import Source
from vya_backupdb.dumper.session import Session
from vya_backupdb.engines.accounts import Accounts
from vya_backupdb.storage.tree import InstanceTree

_CHANGED: Final = frozenset({Action.CREATE, Action.REPLACE, Action.GRANT})


@dataclass(frozen=True, slots=True)
class RunUsers:
    """The users file `id` of a backup's own run, and what is wanted of it on a server that is `target`."""

    id: str
    file: UsersFile
    target: Target
    wanted: WithUsers

    @property
    def roles(self) -> frozenset[str]:
        """The names that the server will have once accounts were restored, if they are needed."""
        return frozenset(
            one.name
            for one, kind in self.file.accounts().items()
            if kind not in SHARED and not matches(one, self.wanted.without) and not self.target.protected(one)
        )


def find_users(session: Session, wanted: WithUsers, tree: InstanceTree, source: Source) -> RunUsers:
    """Return the users file of the run that made `source`, a backup of `tree`. Raise NotFound, BackupCorrupt."""
    run = source.metadata.run if source.metadata else None
    stored = users_of_run(tree, run.id) if run else None
    if run is None or stored is None:
        raise NotFound(
            f"there is no sound users file of the run that made {source.id}",
            hint="Restore it without --users, and accounts of another run with 'users restore --backup ID'.",
        )
    target, _ = session.engine.accounts().target()
    return RunUsers(stored.id, read_stored(tree, stored), target, wanted)


def needed_accounts(
    accounts: Accounts, file: UsersFile, database: str, names: Collection[str] = ()
) -> frozenset[AccountKey]:
    """Return the accounts that `database` needs: who holds something of it, `names` (owners, grantees, definers as
    ``name`` or ``name@host``), the roles that those have, and who gave them, and so on."""
    statements = [one for one in file.statements if one.header.kind not in SHARED]
    found = {
        one.header.account
        for one in statements
        if accounts.reaches(one, database) or {one.header.account.name, str(one.header.account)} & set(names)
    }
    while True:
        of_found = (one for one in statements if one.header.account in found)
        more = {each for one in of_found for each in accounts.needs(one)} - found
        if not more:
            known = file.accounts()
            return frozenset(one for one in found if one in known and known[one] not in SHARED)
        found |= more


class DatabaseUsers:
    """The accounts of one database's restore, by the users file of the backup's own run.

    `session` is that of the server that is restored to; `names` are those that the backup names; `begun` the accounts
    that earlier attempts at the same target began to make.
    """

    def __init__(
        self,
        session: Session,
        users: RunUsers,
        *,
        database: str,
        to_database: str,
        names: Collection[str] = (),
        begun: frozenset[AccountKey] = frozenset(),
    ) -> None:
        self._session, self._id = session, users.id
        accounts = session.engine.accounts()
        needed = needed_accounts(accounts, users.file, database, names)
        statements = tuple(
            _for_target(accounts, one, database, to_database) if accounts.reaches(one, database) else one
            for one in users.file.statements
            if one.header.account in needed
        )
        self._file = replace(users.file, statements=statements)
        self._wish = Wish(
            without=users.wanted.without,
            on_existing=users.wanted.on_existing,
            phases=Phases.ACCOUNTS,
            databases=(to_database,),
            begun=begun,
        )

    def plan(self) -> PlannedUsers:
        """Return what will be done before the data; nothing is touched. Raise TargetExists under `fail`."""
        try:
            return plan_users(self._session, self._file, self._wish)
        except TargetExists as error:
            raise TargetExists(
                error.message,
                hint="Leave them (--users-on-existing skip), change them (replace), or do without (--exclude-user).",
            ) from None

    @property
    def begun(self) -> frozenset[AccountKey]:
        """The accounts that earlier attempts began to make."""
        return self._wish.begun

    def due(self, planned: PlannedUsers) -> UsersDue:
        """Return what the journal must tell before `planned` is done.

        Those that are changed count as begun, too, until all is done: one that was cut short may lack what it had.
        """
        handled = {one.account: one.kind for one in planned.plan.accounts if one.action in _CHANGED}
        # one that has no grants in the file is named all the same: under `replace` it loses those that it has here
        named = (Statement(Header(account, kind), NOTHING) for account, kind in handled.items())
        grants = (one for one in self._file.statements if one.header.phase is Phase.GRANTS)
        file = replace(
            self._file, statements=(*named, *(one for one in grants if one.header.account in handled)), tablespaces=()
        )
        return UsersDue(
            backup=self._id,
            on_existing=self._wish.on_existing.value,
            begun=tuple(sorted((one.name, one.host) for one in handled)),
            grants="".join(render(file, comments=(), preamble=())),
        )


def _for_target(accounts: Accounts, one: Statement, database: str, to_database: str) -> Statement:
    """Return what reaches `database` as it is to reach `to_database`; a pattern that fits both stays what it is."""
    if database == to_database or (one.header.database != database and accounts.reaches(one, to_database)):
        return replace(one, header=replace(one.header, database=to_database))
    return accounts.retarget(one, to_database)


def make_accounts(
    session: Session,
    planned: PlannedUsers,
    began: Callable[[Collection[AccountKey]], None],
    earlier: Collection[AccountKey] = (),
) -> UsersResult:
    """Make the accounts; return what became of each. Raise RestoreFailed if one that is needed is not there then.

    `began` is told first which of them were made, now or in an `earlier` attempt: another that comes into being later
    is somebody else's, and one that was there before is as it was to be.
    """
    result = restore_users(session, planned)
    done = [one.plan for one in result.accounts if one.done]
    began({one.account for one in done if one.action is Action.CREATE or one.account in earlier})
    failed = [one for one in result.accounts if one.unmade]
    if failed:
        existing = session.engine.accounts().target()[0].existing
        failed = [one for one in failed if one.plan.account not in existing]
    if failed:
        said = "; ".join(f"{one.plan.account}: {one.refused[0].error}" for one in failed)
        raise RestoreFailed(
            f"accounts that the database needs could not be made: {said}",
            hint="Mend that, or leave them out with --exclude-user; no database was touched.",
        )
    return result


def give_due(session: Session, due: UsersDue, database: str) -> UsersResult:
    """Give what is due to the accounts now that `database` is there; doing it again changes nothing."""
    if not due.grants:
        return UsersResult(())
    file = parse(due.grants, source=f"the journal of the restore to {database!r}")
    wish = Wish(on_existing=OnExisting(due.on_existing), phases=Phases.GRANTS, databases=(database,))
    return restore_users(session, plan_users(session, file, wish))


def reported(result: UsersResult) -> tuple[AccountReport, ...]:
    """Return a result as the rows of a report."""
    return tuple(
        AccountReport(
            account=str(one.plan.account),
            action=one.plan.action.value,
            why=one.plan.reason,
            done=one.done,
            refused=tuple(RefusedReport(statement=each.statement, error=each.error) for each in one.refused),
        )
        for one in result.accounts
    )


def both_phases(before: Collection[AccountReport], after: Collection[AccountReport]) -> tuple[AccountReport, ...]:
    """Return the rows of both phases as one for each account."""
    rows = {one.account: one for one in before}
    for one in after:
        first = rows.get(one.account)
        if first is None or one.action == Action.MISSING.value:
            rows[one.account] = one
        else:
            changes = {"done": first.done + one.done, "refused": (*first.refused, *one.refused)}
            rows[one.account] = first.model_copy(update=changes)
    return tuple(rows.values())
