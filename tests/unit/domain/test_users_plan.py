"""What a restore of accounts decides, before anything is changed."""

from typing import Any

import pytest

from vya_backupdb.domain.errors import NotFound, TargetExists
from vya_backupdb.domain.users_file import EVERYONE, AccountKey, Header, Kind, Part, Phase, Statement, UsersFile
from vya_backupdb.domain.users_plan import Action, OnExisting, Phases, Target, UsersPlan, Wish, make_plan

APP, BOSS, ROLE = AccountKey("app", "%"), AccountKey("boss", "h"), AccountKey("r*", "%")


def made(account: AccountKey, sql: str, part: Part = Part.ACCOUNT, **more: Any) -> Statement:
    """Return a statement of the file."""
    kind: Kind = "everyone" if account == EVERYONE else "user"
    return Statement(Header(account, kind, part, **more), sql)


FILE = UsersFile(
    {"product": "MySQL", "version": "9"},
    (
        made(ROLE, "CREATE r"),
        made(APP, "CREATE app", plugins=("sha",)),
        made(BOSS, "CREATE boss"),
        made(APP, "GRANT r TO app", Part.MEMBERSHIP, of=ROLE),
        made(BOSS, "GRANT all TO boss", Part.GRANT),
        made(EVERYONE, "GRANT x TO PUBLIC", Part.GRANT),
        made(APP, "GRANT t TO app", Part.GRANT, phase=Phase.GRANTS, database="shop"),
        made(APP, "GRANT u TO app", Part.GRANT, phase=Phase.GRANTS, database="crm"),
    ),
)


def target(*existing: AccountKey, protected: tuple[AccountKey, ...] = (), more: tuple[Statement, ...] = ()) -> Target:
    """Return a target that has `existing`, each with `more`."""
    return Target(
        dict.fromkeys(existing, more),
        lambda account: "is protected" if account in protected else "",
        lambda sql: (sql.replace("CREATE", "ALTER"),),
        ("sha", "native"),
    )


def texts(plan: UsersPlan) -> list[str]:
    """Return the statements in the order of execution."""
    return [step.statement.sql for step in plan.steps()]


def actions(plan: UsersPlan) -> dict[str, str]:
    """Return what becomes of each account."""
    return {str(one.account): one.action.value for one in plan.accounts}


def test_on_an_empty_server_everything_is_made_in_the_order_of_the_file() -> None:
    plan = make_plan(FILE, target(), Wish(on_existing=OnExisting.REPLACE))
    assert texts(plan) == [one.sql for one in FILE.statements]
    assert actions(plan) == {"r*@%": "create", "app@%": "create", "boss@h": "create", "PUBLIC": "grant"}


def test_what_exists_is_left_alone_and_so_is_everyone() -> None:
    plan = make_plan(FILE, target(APP), Wish())
    assert texts(plan) == ["CREATE r", "CREATE boss", "GRANT all TO boss"]
    assert actions(plan)["app@%"] == actions(plan)["PUBLIC"] == "skip"
    assert "GRANT x TO PUBLIC" in texts(make_plan(FILE, target(), Wish(only=("PUBLIC",))))


def test_replace_takes_back_what_the_file_has_not_and_nothing_else() -> None:
    live = (
        Statement(Header(APP, part=Part.MEMBERSHIP), "GRANT r TO app", ("REVOKE r FROM app",)),
        Statement(Header(APP, part=Part.GRANT), "GRANT old TO app", ("REVOKE old", "REVOKE option")),
        Statement(Header(APP, part=Part.GRANT), "GRANT older TO app", ("REVOKE older", "REVOKE option")),
        Statement(Header(APP, part=Part.GRANT, phase=Phase.GRANTS, database="x"), "GRANT v", ("REVOKE v",)),
    )
    wish = Wish(only=("app",), on_existing=OnExisting.REPLACE)
    plan = make_plan(FILE, target(APP, more=live), wish)
    assert texts(plan) == [
        "REVOKE v", "REVOKE older", "REVOKE option", "REVOKE old",
        "ALTER app", "GRANT r TO app", "GRANT t TO app", "GRANT u TO app",
    ]  # fmt: skip
    first = Wish(only=("app",), on_existing=OnExisting.REPLACE, phases=Phases.ACCOUNTS)
    assert "REVOKE v" not in texts(make_plan(FILE, target(APP, more=live), first))


def test_the_second_phase_is_for_accounts_that_are_there() -> None:
    plan = make_plan(FILE, target(APP), Wish(phases=Phases.GRANTS, databases=("shop",)))
    assert texts(plan) == ["GRANT t TO app"]
    assert actions(plan) == {"r*@%": "missing", "app@%": "grant", "boss@h": "missing", "PUBLIC": "skip"}


def test_fail_refuses_before_anything_and_names_them() -> None:
    with pytest.raises(TargetExists, match=r"'app@%', 'boss@h'; nothing was changed"):
        make_plan(FILE, target(APP, BOSS), Wish(on_existing=OnExisting.FAIL))
    without = Wish(without=("app", "boss@*"), on_existing=OnExisting.FAIL)
    assert actions(make_plan(FILE, target(APP, BOSS), without)) == {"r*@%": "create", "PUBLIC": "skip"}


@pytest.mark.parametrize("policy", OnExisting)
@pytest.mark.parametrize("phases", Phases)
def test_protected_accounts_are_never_touched(policy: OnExisting, phases: Phases) -> None:
    plan = make_plan(FILE, target(APP, protected=(APP,)), Wish(only=("app",), on_existing=policy, phases=phases))
    assert actions(plan) == {"app@%": "protected"}
    assert texts(plan) == []


def test_an_account_whose_plugin_is_not_there_is_named() -> None:
    bare = Target({}, lambda account: "", lambda sql: (sql,), ("native",))
    (app,) = make_plan(FILE, bare, Wish(only=("app",))).accounts
    assert (app.action, app.steps) == (Action.UNSUPPORTED, ())
    assert "'sha'" in app.reason


def test_names_are_exact_or_globs() -> None:
    assert actions(make_plan(FILE, target(), Wish(only=("r*",)))) == {"r*@%": "create"}
    assert len(make_plan(FILE, target(), Wish(only=("*@%",))).accounts) == 2
    with pytest.raises(NotFound, match="'nobody'"):
        make_plan(FILE, target(), Wish(only=("app", "nobody")))
