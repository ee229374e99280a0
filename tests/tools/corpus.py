"""The corpus of specs: one list of cases for the models and for a real API server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vya_backupdb.domain.specs import API_VERSION, KINDS

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "corpus"


@dataclass(frozen=True)
class Case:
    """One object and what is to become of it. `field` and `says` are parts of the error; neither: it is valid."""

    kind: str
    title: str
    manifest: dict[str, Any]
    field: str
    says: str
    operator_only: bool

    @property
    def valid(self) -> bool:
        """Whether the operator takes it."""
        return not (self.field or self.says)

    @property
    def server_takes_it(self) -> bool:
        """Whether the API server takes it."""
        return self.valid or self.operator_only


@dataclass(frozen=True)
class Change:
    """A merge patch for the spec of the first object of `kind`, and a part of the refusal ('' where it is taken)."""

    kind: str
    title: str
    change: dict[str, Any]
    says: str


def cases() -> Iterator[Case]:
    """Return every case, the first of each kind being the least that is valid."""
    for kind in KINDS:
        for entry in yaml.safe_load((FOLDER / f"{kind.name.lower()}.yaml").read_text()):
            manifest = {
                "apiVersion": API_VERSION,
                "kind": kind.name,
                "metadata": {"name": entry.get("name", "example")},
                **({"spec": entry["spec"]} if "spec" in entry else {}),
            }
            yield Case(
                kind=kind.name,
                title=f"{kind.name}: {entry['case']}",
                manifest=manifest,
                field=entry.get("field", ""),
                says=entry.get("says", ""),
                operator_only=entry.get("only") == "operator",
            )


def changes() -> Iterator[Change]:
    """Return every change."""
    for entry in yaml.safe_load((FOLDER / "changes.yaml").read_text()):
        yield Change(entry["kind"], f"{entry['kind']}: {entry['case']}", entry["change"], entry.get("says", ""))
