"""The part of the configuration that says what is kept: counts of periods, never ages, and what an anomaly is."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: A century: beyond it a date would leave the calendar of datetime.
MAX_SAFETY_DAYS = 36_500


class Model(BaseModel):
    """Frozen, and an unknown key is an error, as in the rest of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AnomalyConfig(Model):
    """When a backup looks so unlike those before it that these must not be deleted. 0 turns a comparison off."""

    enabled: bool = True
    runs: int = Field(default=7, ge=1, le=100, description="so many good backups before it are compared with")
    minimum_runs: int = Field(default=3, ge=1, le=100, description="with fewer nothing is judged")
    size_drop_percent: int = Field(default=50, ge=0, le=100, description="the dump, uncompressed")
    rows_drop_percent: int = Field(default=50, ge=0, le=100)
    tables_drop_percent: int = Field(default=20, ge=0, le=100)
    size_growth_percent: int = Field(default=0, ge=0, description="the dump, uncompressed")

    @model_validator(mode="after")
    def _enough_runs(self) -> Self:
        if self.minimum_runs > self.runs:
            raise ValueError(f"minimum_runs {self.minimum_runs} is more than runs {self.runs}; lower it")
        return self


class RetentionConfig(Model):
    """What to keep. The counts are of periods that have a good backup, never ages."""

    strategy: Literal["simple", "gfs"] = "gfs"
    hourly_keep: int = Field(default=0, ge=0)
    daily_keep: int = Field(default=7, ge=0)
    weekly_keep: int = Field(default=4, ge=0)
    monthly_keep: int = Field(default=12, ge=0)
    yearly_keep: int = Field(default=0, ge=0)
    keep_last: int = Field(default=0, ge=0)
    minimum: int = Field(default=1, ge=1, description="so many newest good backups are never deleted")
    safety_keep_days: int | None = Field(
        default=30, ge=1, le=MAX_SAFETY_DAYS, description="safety dumps of restores; null keeps them for ever"
    )
    max_delete_percent: int = Field(
        default=0, ge=0, le=100, description="a plan that deletes more of a series waits to be accepted; 0: none waits"
    )
    anomaly: AnomalyConfig = AnomalyConfig()
    cleanup_enabled: bool = True

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if self.strategy == "simple" and self.daily_keep < 1:
            raise ValueError("strategy simple needs daily_keep of at least 1; else it would keep nothing")
        return self
