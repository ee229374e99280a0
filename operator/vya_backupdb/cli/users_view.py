"""How accounts, grants and the result of a restore of them are shown: a table for people, JSON for programs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vya_backupdb.cli import output
from vya_backupdb.cli.invocation import Format
from vya_backupdb.domain.report import AccountReport
from vya_backupdb.domain.users_file import EVERYONE, Part, UsersFile
from vya_backupdb.domain.users_plan import matches
from vya_backupdb.dumper.accounts import UsersResult, to_dict
from vya_backupdb.engines.accounts import GrantRow

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"create": "green", "replace": "yellow", "grant": "green", "unsupported": "bold red", "missing": "bold red"}


def show_written(written: dict[str, Any], wanted: Format | None) -> None:
    """Say what was written to a file."""
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(written)
        return
    _notes(written["warnings"])
    counts = f"{written['accounts']} accounts, {written['roles']} roles"
    hashes = "" if written["passwords"] else ", without passwords"
    output.console().print(
        output.text(
            ("✔", "green"), f" {output.plain(written['file'])}: {counts}{hashes}, ", output.size(written["bytes"])
        )
    )


def show_accounts(file: UsersFile, only: tuple[str, ...], wanted: Format | None, warnings: Sequence[str] = ()) -> None:
    """Print the accounts of a file, or of a server."""
    rows = _accounts(file, only)
    if output.chosen_format(wanted) is Format.JSON:
        server = {"product": file.head["product"], "version": file.head["version"]}
        tablespaces = [str(one.get("name")) for one in file.tablespaces]
        output.print_json({**server, "accounts": rows, "tablespaces": tablespaces, "warnings": list(warnings)})
        return
    table = output.table(
        "account", "kind", "password", "member of", "grants", right=("grants",), fold=("account", "member of")
    )
    for row in rows:
        table.add_row(
            output.cell(row["account"]),
            output.cell(row["kind"]),
            output.cell("yes" if row["password"] else None),
            output.cell(", ".join(row["member_of"])),
            output.cell(row["grants"]),
        )
    output.console().print(table)
    _notes(warnings)


def _accounts(file: UsersFile, only: tuple[str, ...]) -> list[dict[str, Any]]:
    hashed = file.with_password()
    found: dict[Any, dict[str, Any]] = {}
    for account, kind in file.accounts().items():
        if account != EVERYONE and (not only or matches(account, only)):
            found[account] = {
                "account": str(account),
                "name": account.name,
                "host": account.host or None,
                "kind": kind,
                "password": account in hashed,
                "member_of": [],
                "grants": 0,
            }
    for one in file.statements:
        row = found.get(one.header.account)
        if row is not None and one.header.of is not None:
            row["member_of"].append(str(one.header.of))
        elif row is not None and one.header.part is Part.GRANT:
            row["grants"] += 1
    return list(found.values())


def show_grants(rows: Sequence[GrantRow], only: tuple[str, ...], wanted: Format | None) -> None:
    """Print who may do what."""
    chosen = [one for one in rows if not only or matches(one.account, only)]
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(
            [
                {"account": str(one.account), "privileges": one.privileges, "on": one.on, "grantable": one.grantable}
                for one in chosen
            ]
        )
        return
    table = output.table("account", "privileges", "on", "may grant", fold=("account", "privileges", "on"))
    for one in chosen:
        table.add_row(
            output.cell(one.account),
            output.cell(one.privileges),
            output.cell(one.on),
            output.cell("yes" if one.grantable else None),
        )
    output.console().print(table)


def show_reported(accounts: Sequence[AccountReport]) -> None:
    """Print what became of each account that came with a database."""
    if not accounts:
        return
    table = _result_table()
    for one in accounts:
        table.add_row(
            output.cell(one.account),
            output.cell(one.action, _STYLES.get(one.action, "dim")),
            output.cell(one.done),
            output.cell(one.why),
        )
    output.console().print(table)
    for one in accounts:
        for refused in one.refused:
            _say_refused(refused.error, refused.statement)


def _result_table(*more: str) -> "Table":
    columns = ("account", *more, "action", "statements", "why")
    return output.table(*columns, right=("statements",), fold=("account", "why"))


def _say_refused(error: str, statement: str) -> None:
    text = f" {output.plain(error)}: {output.plain(statement)}"
    output.console().print(output.text(("✘", "bold red"), text))


def show_result(result: UsersResult, file: UsersFile, wanted: Format | None, *, dry_run: bool) -> None:
    """Print what became of each account, or would."""
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(to_dict(result, file, dry_run=dry_run))
        return
    console = output.console()
    if dry_run:
        console.print("[bold]This restore would[/bold] [dim](nothing was touched)[/dim]")
    table = _result_table("kind")
    for one in result.accounts:
        action = one.plan.action.value
        table.add_row(
            output.cell(one.plan.account),
            output.cell(one.plan.kind),
            output.cell(action, _STYLES.get(action, "dim")),
            output.cell(len(one.plan.steps) if dry_run else f"{one.done} of {len(one.plan.steps)}"),
            output.cell(one.plan.reason),
        )
    console.print(table)
    _notes(result.notes)
    for one in result.accounts:
        for refused in one.refused:
            _say_refused(refused.error, refused.statement)


def _notes(notes: Sequence[str]) -> None:
    for note in notes:
        output.console().print(output.text(f"! {output.plain(note)}", style="yellow"))
