"""How long a backup waits for others: the time-outs that a user may need to change, each with its default."""

from pydantic import BaseModel, ConfigDict, Field


class TimeoutsConfig(BaseModel):
    """Time-outs of one server's dumps, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lock_seconds: int = Field(
        default=60, ge=1, le=86400, description="how long a dump waits for a table that somebody else has locked"
    )
    stall_seconds: int = Field(
        default=1800, ge=10, le=604800, description="a dump client that gives no byte for so long is ended"
    )
