"""Restoring accounts: find the users file, plan, and execute the plan statement by statement.

Invariants: the plan is made, and refused where it must be, before anything is changed; a statement that the server
refuses is a row of the result and stops nothing, but what would be given to an account that could not be made is not
tried; no literal of a statement, and so no hash, reaches a result, an event or an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vya_backupdb.domain.errors import BackupCorrupt, WrongServer
from vya_backupdb.domain.exitcodes import ExitCode
from vya_backupdb.domain.ids import RunId
from vya_backupdb.domain.report import DatabaseRow, RunReport
from vya_backupdb.domain.users_file import AccountKey, Part, UsersFile, family_of, mask, parse
from vya_backupdb.domain.users_forms import stray, told
from vya_backupdb.domain.users_plan import AccountPlan, Action, Step, UsersPlan, Wish, make_plan
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.session import Session
from vya_backupdb.engines.accounts import Accounts
from vya_backupdb.storage import users_text
from vya_backupdb.storage.catalog import StoredBackup
from vya_backupdb.storage.tree import InstanceTree

_UNDONE = frozenset({Action.UNSUPPORTED, Action.MISSING})


@dataclass(frozen=True, slots=True)
class Refused:
    """One statement that the server did not take, without its literals, and what it said."""

    statement: str
    error: str


@dataclass(frozen=True, slots=True)
class AccountResult:
    """What became of one account: how many statements the server took, which it did not, whether it lacks it now."""

    plan: AccountPlan
    done: int
    refused: tuple[Refused, ...] = ()
    unmade: bool = False

    @property
    def failed(self) -> bool:
        """Whether something that was asked for was not done."""
        return bool(self.refused) or self.plan.action in _UNDONE


@dataclass(frozen=True, slots=True)
class UsersResult:
    """What became of each account; `notes` are what a person should know of the target."""

    accounts: tuple[AccountResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Ok, or that some of it was not done."""
        return ExitCode.USERS_PARTIAL if any(one.failed for one in self.accounts) else ExitCode.OK

    def report(self, run: RunId, started_at: datetime, finished_at: datetime) -> RunReport:
        """Return the restore as the report of a run, for the audit log."""
        failed = [one for one in self.accounts if one.failed]
        changed = sum(bool(one.done) for one in self.accounts)
        message = f"{counted(changed, 'account')} restored"
        if failed:
            first = failed[0].refused[0].error if failed[0].refused else failed[0].plan.reason
            message += f", {len(failed)} not or not wholly: {failed[0].plan.account}: {first}"
        row = DatabaseRow(
            name="",
            kind="users",
            status="failed" if failed else "success",
            finished_at=finished_at,
            reason=self.exit_code.reason if failed else None,
            error=message if failed else None,
        )
        return RunReport(
            operation="restore",
            run=run,
            reason=self.exit_code.reason,
            message=message,
            exit_code=self.exit_code,
            started_at=started_at,
            finished_at=finished_at,
            databases=(row,),
        )


@dataclass(frozen=True, slots=True)
class PlannedUsers:
    """A plan for one server, checked, nothing touched."""

    accounts: Accounts
    file: UsersFile
    plan: UsersPlan
    notes: tuple[str, ...] = ()


def read_stored(tree: InstanceTree, stored: StoredBackup) -> UsersFile:
    """Return the users file `stored`, verified whole. Raise BackupCorrupt or NotFound."""
    text = users_text.decoded(tree.read(stored), source=str(stored.path))
    tree.check_companion(stored)
    return parse(text, source=str(stored.path))


def read_path(path: Path) -> UsersFile:
    """Return a users file by its path, compressed or not. Raise NotFound, StorageUnavailable or BackupCorrupt."""
    return parse(users_text.read(path), source=str(path))


def users_of_run(tree: InstanceTree, run: str) -> StoredBackup | None:
    """Return the sound users file that `run` made beside its databases, None where there is none."""
    of_run = (one for one in tree.users() if one.problem is None and one.metadata and one.metadata.run)
    return next((one for one in of_run if one.metadata and one.metadata.run and one.metadata.run.id == run), None)


def plan_users(session: Session, file: UsersFile, wish: Wish, *, tablespaces: bool = False) -> PlannedUsers:
    """Look at the server of `session`, and return what a restore would do; nothing is touched.

    Raise WrongServer for a file of the other family, BackupCorrupt for one that was edited, TargetExists under `fail`,
    NotFound for an account that the file does not hold.
    """
    product = session.engine.connect_check().product
    if family_of(product) != file.family:
        raise WrongServer(
            f"the users file is of {file.head['product']}, the server is {product}",
            hint="Restore accounts to a server of the same kind.",
        )
    _require_ours(file)
    accounts = session.engine.accounts()
    target, notes = accounts.target()
    plan = make_plan(file, target, wish)
    if tablespaces:
        plan = UsersPlan((*plan.accounts, *accounts.tablespaces(file)))
    return PlannedUsers(accounts, file, plan, (*notes, *accounts.differences(file)))


def _require_ours(file: UsersFile) -> None:
    if found := stray(file):
        raise BackupCorrupt(
            f"the users file was edited: what it says is no statement that makes an account or gives it something, for"
            f" {told(file, found)}",
            hint="Nothing was executed. Take another users file; or read this one, and load it by hand.",
        )


def restore_users(session: Session, planned: PlannedUsers) -> UsersResult:
    """Execute the plan; return what became of it. Raise ConnectionFailed if the session is lost, Interrupted."""
    failed: set[AccountKey] = set()
    created = {one.account for one in planned.plan.accounts if one.action is Action.CREATE}
    done: dict[AccountKey, int] = {}
    refused: dict[AccountKey, list[Refused]] = {}

    def wanted() -> Iterator[Step]:
        for step in planned.plan.steps():
            session.tools.stop.check()
            if step.statement.header.account not in failed:
                yield step

    for outcome in planned.accounts.apply(wanted()):
        header = outcome.step.statement.header
        if not outcome.error:
            done[header.account] = done.get(header.account, 0) + 1
            continue
        said = Refused(mask(outcome.step.statement.sql, planned.file.family), outcome.error)
        refused.setdefault(header.account, []).append(said)
        if header.part is Part.ACCOUNT and header.account in created:
            failed.add(header.account)
    return UsersResult(
        tuple(
            AccountResult(
                one, done.get(one.account, 0), tuple(refused.get(one.account, ())), unmade=one.account in failed
            )
            for one in planned.plan.accounts
        ),
        planned.notes,
    )


def to_dict(result: UsersResult, file: UsersFile, *, dry_run: bool) -> dict[str, Any]:
    """Return a result, or a plan that was not executed, as plain JSON types; statements without their literals."""
    return {
        "dry_run": dry_run,
        "notes": list(result.notes),
        "accounts": [
            {
                "account": str(one.plan.account),
                "name": one.plan.account.name,
                "host": one.plan.account.host or None,
                "kind": one.plan.kind,
                "action": one.plan.action.value,
                "reason": one.plan.reason or None,
                "statements": [mask(step.statement.sql, file.family) for step in sorted(one.plan.steps)],
                "done": one.done,
                "refused": [{"statement": each.statement, "error": each.error} for each in one.refused],
            }
            for one in result.accounts
        ],
    }


def not_executed(planned: PlannedUsers) -> UsersResult:
    """Return the plan as a result of nothing done, for ``--dry-run``."""
    return UsersResult(tuple(AccountResult(one, 0) for one in planned.plan.accounts), planned.notes)
