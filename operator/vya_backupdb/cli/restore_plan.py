"""How the plan of a restore is shown: as numbered steps with what stands in the way, or as one JSON document.

The keys of the document are stable: a program may rest on them.
"""

from typing import Any, Final

from vya_backupdb.cli import output
from vya_backupdb.cli.invocation import Format
from vya_backupdb.domain.undertaking import OnExisting
from vya_backupdb.domain.users_plan import Action
from vya_backupdb.dumper.accounts import not_executed, to_dict
from vya_backupdb.dumper.progress import counted
from vya_backupdb.dumper.restore_plan import Plan

_ACTIONS: Final = {
    Action.CREATE: "make",
    Action.REPLACE: "make as in the backup",
    Action.SKIP: "leave as they are",
    Action.PROTECTED: "never touch",
    Action.UNSUPPORTED: "cannot make",
}


def show_plan(plan: Plan, wanted: Format | None) -> None:
    """Print what a restore would do, and what forbids it."""
    if output.chosen_format(wanted) is Format.JSON:
        output.print_json(plan_document(plan))
        return
    console = output.console()
    console.print("[bold]This restore would[/bold] [dim](nothing was touched)[/dim]")
    for number, line in enumerate(plan_lines(plan), 1):
        console.print(f"  [cyan]{number}[/cyan] ", output.plain(line), sep="")
    for name, value in _facts(plan):
        console.print(output.text(f"  {name}: {output.plain(value)}", style="dim"))
    for refusal in plan.refusals:
        console.print(
            output.text(f"✘ refused: {output.plain(f'{refusal.message} ({refusal.hint})')}", style="bold red")
        )


def plan_lines(plan: Plan) -> list[str]:
    """Return the steps of the plan as sentences."""
    info, size = plan.server.info, output.size(plan.source.raw_bytes)
    taken = f", of {output.moment(plan.metadata.backup_info.timestamp)}," if plan.metadata else ""
    stands = "stands" if plan.look.exists else "does not exist"
    where = "into a scratch database beside it" if plan.beside else f"into {plan.target}"
    return [
        *(f"settle what the restore {one.run} left, which died" for one in plan.leftovers),
        f"take {plan.source.path}{taken} which was read {'and found whole' if plan.metadata else 'to its end'}",
        *([f"save the present {plan.target} as a backup of its own"] if plan.saves else []),
        *_users(plan),
        f"create a database on {info.product} {info.version}, where {plan.target} {stands}",
        f"load {size or 'it'} {where}",
        *(f"{one.sentence} ({counted(one.count, 'time')})" for one in plan.transforms),
        "apply what stands in no dump: owner, privileges, settings, comment",
        _counting(plan),
        *_placing(plan),
        *([f"give {', '.join(changed)} what they may do in it"] if (changed := _changed_accounts(plan)) else []),
    ]


def _changed_accounts(plan: Plan) -> list[str]:
    every = plan.planned_users.plan.accounts if plan.planned_users else ()
    return [str(one.account) for one in every if one.action in {Action.CREATE, Action.REPLACE}]


def _users(plan: Plan) -> list[str]:
    """Return what becomes of the accounts before the data, by action."""
    if plan.planned_users is None:
        return []
    found: dict[str, list[str]] = {}
    for one in plan.planned_users.plan.accounts:
        word = _ACTIONS.get(one.action, f"{one.action.value}:")
        found.setdefault(word, []).append(str(one.account))
    said = (f"{word} {', '.join(names)}" for word, names in found.items())
    return [f"look after the accounts that it needs: {'; '.join(said) or 'none'}"]


def _counting(plan: Plan) -> str:
    expected = plan.expected
    if not expected and plan.metadata is None:
        return "count its tables and rows"
    known = [table.rows for table in expected if table.rows is not None]
    rows = counted(sum(known), "row") if len(known) == len(expected) else "their rows"
    return f"count {counted(len(expected), 'table')} and {rows}, and compare them with the backup"


def _placing(plan: Plan) -> list[str]:
    if not plan.replaces:
        return [f"rename it to {plan.target}"] if plan.beside else []
    sessions = len(plan.look.sessions)
    ended = f", end its {counted(sessions, 'session')}" if sessions else ""
    end = "keep it under that name" if plan.on_existing is OnExisting.RENAME else "drop it"
    return [f"give the present {plan.target} a name vya_…{ended}, put the new one in its place, and {end}"]


def _facts(plan: Plan) -> list[tuple[str, str]]:
    look, room, users = plan.look, plan.room, plan.planned_users
    held = ", ".join(counted(number, kind.removesuffix("s")) for kind, number in look.objects.items())
    facts = [
        ("why this backup", plan.source.why),
        ("checked", "; ".join(plan.checks)),
        ("with", f"{plan.tool}, over its own sessions with the server"),
    ]
    if plan.replaces:
        facts.append((f"{plan.target} now holds", f"{held or 'nothing'}; {output.size(look.size_bytes)}".rstrip("; ")))
        facts.append(("sessions in it", "; ".join(look.sessions) or "none"))
    if room is not None:
        facts.append(("room for the safety dump", f"{output.size(room.free_bytes)} free on the volume"))
    if users is not None:
        facts += [
            (f"account {one.account}", f"{one.action}: {one.reason}") for one in users.plan.accounts if one.reason
        ]
    notes = (*look.notes, *plan.warnings, *(users.notes if users else ()))
    return [*facts, *(("note", note) for note in notes)]


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain JSON types."""
    info, room, users = plan.server.info, plan.room, plan.planned_users
    return {
        "backup": {
            "id": plan.source.id,
            "path": plan.source.path,
            "timestamp": plan.metadata.backup_info.timestamp.isoformat() if plan.metadata else None,
            "why": plan.source.why,
            "checks": list(plan.checks),
            "uncompressed_bytes": plan.source.raw_bytes,
            "tables": list(plan.inspection.tables),
            "warnings": list(plan.warnings),
        },
        "target": {
            "database": plan.target,
            "exists": plan.look.exists,
            "on_existing": plan.on_existing.value,
            "size_bytes": plan.look.size_bytes,
            "objects": dict(plan.look.objects),
            "sessions": list(plan.look.sessions),
            "notes": list(plan.look.notes),
        },
        "versions": {"tool": plan.tool, "server": f"{info.product} {info.version}"},
        "transforms": [{"name": one.name, "count": one.count, "sentence": one.sentence} for one in plan.transforms],
        "space": {
            "volume_free_bytes": room.free_bytes if room else None,
            "safety_dump_bytes": room.needed_bytes if room else None,
            "server_free_bytes": None,  # no server of the three tells it to an ordinary account
        },
        "users": to_dict(not_executed(users), users.file, dry_run=True) if users else None,
        "leftovers": [{"run": one.run, "database": one.made} for one in plan.leftovers],
        "steps": plan_lines(plan),
        "refusals": [
            {"reason": one.exit_code.reason, "message": one.message, "hint": one.hint} for one in plan.refusals
        ],
    }
