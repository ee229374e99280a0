"""The report of one run: what the dumper tells the operator through the termination message (at most 4,096 bytes).

Totals first, then failures, then successes until the bytes are full; ``omitted`` says how many rows were left out.
The same model, uncut, is ``.runs/{run}.json`` on the volume. Whoever reads it treats it as untrusted text.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

TERMINATION_MESSAGE_BYTES = 4096
ERROR_CHARACTERS = 300

Operation = Literal["backup", "retention", "restore", "check", "verify"]
RowStatus = Literal["success", "failed", "skipped", "running"]

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)

# what a status can hold: a report that says more would be refused by the API server each time
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Code = Annotated[int, Field(ge=0, le=255)]
Moment = Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)]


class Model(BaseModel):
    """Frozen; unknown keys are ignored, because dumper and operator may be of different versions for a while."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class DatabaseRow(Model):
    """What happened to one database (or to the users file, whose `name` is '' and `kind` 'users')."""

    name: str
    kind: Literal["database", "users"] = "database"
    status: RowStatus
    backup_id: str | None = Field(default=None, description="the data file's name without '.sql.gz'")
    size_bytes: Count | None = None
    duration_seconds: float | None = Field(default=None, ge=0, le=1e9)
    finished_at: Moment | None = None
    reason: str | None = Field(default=None, description="CamelCase reason of a failure, as in the exit codes")
    error: str | None = None
    warnings: Count = 0
    objects: dict[str, int] | None = Field(default=None, description="check: how many it holds of each kind")


class Totals(Model):
    """The run in numbers."""

    databases: Count = 0
    succeeded: Count = 0
    failed: Count = 0
    size_bytes: Count = 0
    kept: Count | None = Field(default=None, description="retention: backups kept")
    deleted: Count | None = Field(default=None, description="retention: backups deleted")


class ServerReport(Model):
    """What a check saw of the server."""

    product: str
    version: str
    identity: str | None = None
    databases: Count
    uncovered: Count = 0


class StorageReport(Model):
    """What a run saw of the volume."""

    free_bytes: Count | None = None
    total_bytes: Count | None = None


class TransformReport(Model):
    """One way in which a restore loaded something else than stands in the file: how often, and what was done."""

    name: str
    count: Count
    sentence: str = ""


class RefusedReport(Model):
    """A statement, without its literals, that the server did not take, and what it said."""

    statement: str
    error: str


class AccountReport(Model):
    """One account that came, or did not come, with a restored database."""

    account: str
    action: str = Field(description="create, replace, grant, skip, protected, unsupported or missing")
    why: str = ""
    done: Count = Field(default=0, description="statements that the server took")
    refused: tuple[RefusedReport, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something that was asked for was not done."""
        return bool(self.refused) or self.action in {"unsupported", "missing"}


class RestoredReport(Model):
    """What a restore brought back."""

    backup_id: str
    database: str
    bytes: Count | None = None
    tables: Count | None = None
    rows: Count | None = None
    transforms: tuple[TransformReport, ...] = ()
    kept_database: str | None = Field(default=None, description="what the former database is called now")
    safety_backup_id: str | None = Field(default=None, description="the backup of what was replaced")
    users: tuple[AccountReport, ...] = Field(default=(), description="the accounts that were restored with it")


class Finding(Model):
    """One sentence of a check: what is wrong and the remedy."""

    reason: str
    message: str
    blocking: bool = True


class RunReport(Model):
    """The whole. `reason` is the reason of the exit code; `message` one sentence for a condition."""

    version: Literal[1] = 1
    operation: Operation
    run: str
    job_uid: str | None = Field(default=None, description="of the Job that is the run, where there is one")
    reason: str
    message: str
    exit_code: Code
    started_at: Moment
    finished_at: Moment | None = Field(default=None, description="null while the run goes on")
    totals: Totals = Totals()
    server: ServerReport | None = None
    storage: StorageReport | None = None
    restored: RestoredReport | None = None
    findings: tuple[Finding, ...] = ()
    databases: tuple[DatabaseRow, ...] = ()
    omitted: Count = 0

    def to_termination_message(self, limit: int = TERMINATION_MESSAGE_BYTES) -> bytes:
        """Return JSON of at most `limit` bytes: failures first, rows dropped from the end until it fits."""
        ordered = sorted(self.databases, key=lambda row: (row.status == "success", row.name))
        rows = tuple(row.model_copy(update={"error": _cut(row.error), "objects": None}) for row in ordered)
        findings = tuple(one.model_copy(update={"message": _cut(one.message) or ""}) for one in self.findings)
        changes = {"message": _cut(self.message, 2 * ERROR_CHARACTERS), "findings": findings, "restored": self._short()}
        report = self.model_copy(update=changes)
        kept = len(rows)
        while True:
            cut = report.model_copy(update={"databases": rows[:kept], "omitted": self.omitted + len(rows) - kept})
            data = _compact(cut)
            if len(data) <= limit:
                return data
            if kept == 0:
                if not report.findings:
                    return _compact(cut.model_copy(update={"message": _cut(self.message, 40)}))[:limit]
                report = report.model_copy(update={"findings": report.findings[:-1]})
                continue
            # a row is at least 40 bytes: drop about as many as are too much, at least one
            kept -= max(1, min(kept, (len(data) - limit) // 400))

    def _short(self) -> RestoredReport | None:
        """Return what was restored, with names and counts of transforms alone, and no accounts: a row counts them."""
        if self.restored is None:
            return None
        short = tuple(one.model_copy(update={"sentence": ""}) for one in self.restored.transforms)
        return self.restored.model_copy(update={"transforms": short, "users": ()})


def _cut(text: str | None, characters: int = ERROR_CHARACTERS) -> str | None:
    if text is None or len(text) <= characters:
        return text
    return text[: characters - 1] + "…"


def _compact(report: RunReport) -> bytes:
    return report.model_dump_json(exclude_none=True, exclude_defaults=False).encode()


def parse_report(data: str | bytes) -> RunReport | None:
    """Return the report in a termination message, or None where it is none (empty, cut, alien)."""
    try:
        return RunReport.model_validate_json(data)
    except ValidationError:
        return None


def to_dict(report: RunReport) -> dict[str, Any]:
    """Return plain JSON types without empty fields."""
    return report.model_dump(mode="json", exclude_none=True)
