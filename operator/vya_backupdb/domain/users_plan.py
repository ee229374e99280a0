"""What a restore of accounts will do, decided for each account before anything is changed. Pure.

Invariants: an account of the system, the server's own administrator, and the account that we are connected with are
never touched where they exist; nothing is ever dropped; an account that exists is changed only under `replace`, and
then made equal to the file: what it has beyond the file is taken back, statement by statement.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from vya_backupdb.domain.errors import NotFound, TargetExists
from vya_backupdb.domain.users_file import EVERYONE, SHARED, AccountKey, Kind, Part, Phase, Statement, UsersFile

_SHOWN: Final = 10
_UNRESTRICTED: Final = (
    "may not do in some databases what it may do in all others, and would get more than it had: this server has"
    " partial_revokes OFF, or lacks it (MySQL: SET PERSIST partial_revokes = ON, then restore it)"
)


class OnExisting(StrEnum):
    """What happens to an account that the target has already."""

    SKIP = "skip"
    REPLACE = "replace"
    FAIL = "fail"


class Phases(StrEnum):
    """Which half of a restore is wanted."""

    ACCOUNTS = "accounts"
    GRANTS = "grants"
    ALL = "all"

    def holds(self, phase: Phase) -> bool:
        """Whether statements of `phase` are wanted."""
        return self.value in ("all", phase.value)


class Action(StrEnum):
    """What becomes of one account."""

    CREATE = "create"
    REPLACE = "replace"
    GRANT = "grant"
    SKIP = "skip"
    PROTECTED = "protected"
    UNSUPPORTED = "unsupported"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Target:
    """The server to restore to. `existing` holds what each of its accounts has now, with how to take it back.

    `protected` says why an account must not be made or touched ('' where it may be); `plugins` are its methods of
    authentication (None: it has no such thing); `replace` turns the statement that makes an account into those that
    change it; `restricts`: it can take back for one database what is granted for all (MySQL's partial revokes).
    """

    existing: Mapping[AccountKey, Sequence[Statement]]
    protected: Callable[[AccountKey], str]
    replace: Callable[[str], tuple[str, ...]]
    plugins: Collection[str] | None = None
    restricts: bool = True


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `only` and `without` are globs over ``name`` or ``name@host``; `only` empty means all.

    `databases` (None: all) are those whose grants and settings are wanted; an account that is made gets what needs no
    other database to be there, all the same: nothing later would give it. `begun` are accounts that an earlier attempt
    at the same restore made, perhaps not wholly: they are finished, whatever `on_existing` says, and lose nothing.
    """

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    on_existing: OnExisting = OnExisting.SKIP
    phases: Phases = Phases.ALL
    databases: tuple[str, ...] | None = None
    begun: frozenset[AccountKey] = frozenset()

    def leaves(self, account: AccountKey) -> bool:
        """Whether `account`, if it exists, is left as it is."""
        return self.on_existing is OnExisting.SKIP and account not in self.begun


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A statement in the order of its execution: what is taken back, then accounts, then what they are given."""

    order: tuple[int, int]
    statement: Statement = field(compare=False)


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account: what will become of it, why, and by which steps."""

    account: AccountKey
    kind: Kind
    action: Action
    reason: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class UsersPlan:
    """The whole: an entry for each account that was asked for, in the order of the file."""

    accounts: tuple[AccountPlan, ...]

    def steps(self) -> list[Step]:
        """Return every step, in the order of execution."""
        return sorted(step for plan in self.accounts for step in plan.steps)


def matches(account: AccountKey, patterns: Iterable[str]) -> bool:
    """Whether a pattern is, or as a glob fits, the account's name or ``name@host``."""
    return any(
        text == pattern or fnmatchcase(text, pattern) for pattern in patterns for text in {account.name, str(account)}
    )


def make_plan(file: UsersFile, target: Target, wish: Wish) -> UsersPlan:
    """Return what a restore of `file` to `target` does.

    Raise NotFound for a pattern of `wish.only` that fits no account of the file, TargetExists under `fail`.
    """
    kinds = file.accounts()
    for pattern in wish.only:
        if not any(matches(account, (pattern,)) for account in kinds):
            raise NotFound(f"the users file holds no account {pattern!r}", hint="'users list' shows its accounts.")
    wanted = [one for one in kinds if _is_wanted(one, wish)]
    _refuse_existing(wanted, kinds, target, wish)
    found = _by_account(file, wish)
    return UsersPlan(tuple(_plan(one, kinds[one], found.get(one, []), target, wish) for one in wanted))


def _by_account(file: UsersFile, wish: Wish) -> dict[AccountKey, list[Step]]:
    """Return the statements that are wanted, in the order of the file: one account's may depend on another's."""
    found: dict[AccountKey, list[Step]] = {}
    for number, one in enumerate(file.statements):
        header = one.header
        if wish.phases.holds(header.phase) and (header.phase is Phase.ACCOUNTS or _is_in(one, wish)):
            rank = 1 if header.part is Part.ACCOUNT else 2
            found.setdefault(header.account, []).append(Step((rank, number), one))
    return found


def _is_wanted(account: AccountKey, wish: Wish) -> bool:
    return (not wish.only or matches(account, wish.only)) and not matches(account, wish.without)


def _refuse_existing(
    wanted: Iterable[AccountKey], kinds: Mapping[AccountKey, Kind], target: Target, wish: Wish
) -> None:
    if wish.on_existing is not OnExisting.FAIL or wish.phases is Phases.GRANTS:
        return
    there = [
        str(one)
        for one in wanted
        if one in target.existing and one not in wish.begun and not target.protected(one) and kinds[one] not in SHARED
    ]
    if there:
        more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
        raise TargetExists(
            f"accounts exist already: {', '.join(map(repr, there[:_SHOWN]))}{more}; nothing was changed",
            hint="Leave them with --on-existing skip, change them with replace, or leave them out with --exclude-user.",
        )


def _plan(account: AccountKey, kind: Kind, found: list[Step], target: Target, wish: Wish) -> AccountPlan:
    if kind in SHARED:
        return _shared(account, kind, found, wish)
    if why := target.protected(account):
        return AccountPlan(account, kind, Action.PROTECTED, why)
    exists = account in target.existing
    if wish.phases is Phases.GRANTS:
        if not exists:
            return AccountPlan(account, kind, Action.MISSING, "the server has no such account")
        return AccountPlan(account, kind, Action.GRANT, "", _replacing(account, found, target, wish))
    if exists and wish.leaves(account):
        return AccountPlan(account, kind, Action.SKIP, "exists already")
    if lacking := _lacking(found, target):
        return AccountPlan(account, kind, Action.UNSUPPORTED, f"the server has no authentication plugin {lacking!r}")
    if not target.restricts and any(_restricts(one.statement) for one in found):
        return AccountPlan(account, kind, Action.UNSUPPORTED, _UNRESTRICTED)
    if exists and account not in wish.begun:  # what it may do in other databases is not what was asked for
        found = [one for one in found if _is_in(one.statement, wish)]
    if exists:
        why = "an earlier attempt began to make or to change it" if account in wish.begun else "exists already"
        return AccountPlan(account, kind, Action.REPLACE, why, _replacing(account, found, target, wish))
    return AccountPlan(account, kind, Action.CREATE, _elsewhere(found, wish), tuple(found))


def _shared(account: AccountKey, kind: Kind, found: list[Step], wish: Wish) -> AccountPlan:
    """What belongs to everybody, or to a role of the server's own, is added where that is asked for, never taken."""
    if wish.on_existing is not OnExisting.REPLACE and not matches(account, wish.only):
        what = "holds for every account" if account == EVERYONE else "is a role of the server's own"
        why = f"{what}; name it with --user, or use --on-existing replace, to add what the file has"
        return AccountPlan(account, kind, Action.SKIP, why)
    return AccountPlan(account, kind, Action.GRANT, "", tuple(found))


def _elsewhere(found: Iterable[Step], wish: Wish) -> str:
    """Return what an account that is made whole gets beyond the databases that are wanted; '' where that is nothing."""
    every = {one.statement.header.database for one in found if not _is_in(one.statement, wish)}
    names = sorted(repr(one) for one in every)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"gets what it may do in other databases, too: {', '.join(names[:_SHOWN])}{more}" if names else ""


def _lacking(found: Iterable[Step], target: Target) -> str | None:
    """Return the method of authentication that the account needs and the target has not."""
    if target.plugins is None:
        return None
    needed = (name for one in found for name in one.statement.header.plugins)
    return next((name for name in needed if name not in target.plugins), None)


def _replacing(account: AccountKey, found: list[Step], target: Target, wish: Wish) -> tuple[Step, ...]:
    """Return the steps that change an existing account; what it has beyond the file is taken back first."""
    kept = {one.statement.sql for one in found}
    undone: dict[str, Step] = {}
    if wish.on_existing is OnExisting.REPLACE:
        for one in reversed(target.existing[account]):
            if wish.phases.holds(one.header.phase) and one.sql not in kept and _is_within(one, wish):
                undone |= {sql: Step((0, -one.number), Statement(one.header, sql)) for sql in one.undo}
    changed: list[Step] = []
    for step in found:
        header, sql = step.statement.header, step.statement.sql
        texts = target.replace(sql) if header.part is Part.ACCOUNT else (sql,)
        changed += [Step(step.order, Statement(header, text)) for text in texts]
    return (*undone.values(), *changed, *_restrictions(account, found, target, wish))


def _restrictions(account: AccountKey, found: list[Step], target: Target, wish: Wish) -> Iterator[Step]:
    """Yield again what limits the account in other databases here: granting for all databases anew would lift it."""
    given = {one.statement.sql.split(" ON *.* ")[0] for one in found}
    for one in target.existing[account]:
        granted = one.sql.split(" ON ")[0].replace("REVOKE ", "GRANT ", 1)
        if _restricts(one) and not _is_within(one, wish) and granted in given:
            yield Step((3, 0), one)


def _restricts(statement: Statement) -> bool:
    """Whether it takes back for one database what the same account was granted for all."""
    return statement.header.part is Part.GRANT and statement.sql.startswith("REVOKE ")


def _is_in(statement: Statement, wish: Wish) -> bool:
    """Whether it is wanted; what limits a grant for all databases goes with that, whatever database it names."""
    return _is_within(statement, wish) or _restricts(statement)


def _is_within(statement: Statement, wish: Wish) -> bool:
    return wish.databases is None or statement.header.database in (None, *wish.databases)
