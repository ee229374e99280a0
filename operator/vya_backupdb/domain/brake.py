"""The brake: a plan that would delete more than a share of a series is refused until a person accepts it. Pure.

It is for what the rules cannot know: that a number in the configuration was mistyped, or that half of a volume is not
mounted. A word accepts deletions by their backups' ids, so it holds for what was shown then, and for nothing later.
Safety dumps are not counted: they go by their age.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from vya_backupdb.domain.freeze import FreezeCode, Frozen
from vya_backupdb.domain.series import Backup, Series


@dataclass(frozen=True, slots=True)
class Brake:
    """At most `percent` of the good backups of a series go in one plan (0: any number), but for those `accepted`."""

    percent: int = 0
    accepted: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Braked:
    """A series of which too many of its good backups, `total`, would go: `doomed`, without those that were accepted."""

    series: Series
    doomed: tuple[Backup, ...]
    total: int

    @property
    def sentence(self) -> str:
        """Half a sentence in lower case: what would happen."""
        name, schedule = self.series.database_name, self.series.schedule
        whose = "users and roles" if name is None else f"the database {name!r}"
        made = f", made by {schedule}," if schedule else ""
        return f"{len(self.doomed)} of {self.total} backups of {whose}{made} would be deleted at once"


def braked(
    groups: Mapping[Series, Iterable[Backup]], doomed: Collection[tuple[str, str]], brake: Brake
) -> list[Braked]:
    """Return each of the series of which more than the brake allows is among `doomed` (keys of backups)."""
    found = []
    for series, members in groups.items():
        good = [one for one in members if one.good and not one.is_safety_dump]
        going = tuple(one for one in good if one.key in doomed and one.id not in brake.accepted)
        if brake.percent and len(going) * 100 > brake.percent * len(good):
            found.append(Braked(series, going, len(good)))
    return found


def refusal(one: Braked, brake: Brake) -> Frozen:
    """Return why nothing is deleted."""
    hint = "Look at 'retention plan'; if that is meant, run 'vya-backupdb retention accept'."
    return Frozen(FreezeCode.TOO_MANY, f"{one.sentence}, and max_delete_percent is {brake.percent}", hint)
