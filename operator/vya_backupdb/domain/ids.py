"""Names that Kubernetes sees: run ids, Job names, label values. Deterministic, so that asking twice makes one thing.

A run id is the name of the Job that runs it (at most 63 of ``[a-z0-9-]``), or, from a terminal,
``cli-<UTC time>-<random>``.
"""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any, NewType

from vya_backupdb.domain.errors import ConfigurationError

RunId = NewType("RunId", str)

PREFIX = "backupdb.vya.digital"
_RUN_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def is_run_id(text: str) -> bool:
    """Whether `text` has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def run_id(text: str) -> RunId:
    """Return `text` as a run id. Raise ConfigurationError if it is not a DNS label of at most 63 characters."""
    if not is_run_id(text):
        raise ConfigurationError(
            f"run id {text!r} is not usable",
            hint="Use at most 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.",
        )
    return RunId(text)


def terminal_run_id(now: datetime, random_hex: str) -> RunId:
    """Return the id of a run that no Job started; `now` in UTC and `random_hex` make it unique."""
    return run_id(f"cli-{now.astimezone(UTC):%Y%m%d-%H%M%S}-{random_hex}")


def digest(text: str, length: int = 10) -> str:
    """Return the first `length` hex digits of the SHA-256 of `text`."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def spec_hash(spec: dict[str, Any]) -> str:
    """Return 12 hex digits that are equal for equal specs, whatever the order of their keys."""
    return digest(json.dumps(spec, sort_keys=True, separators=(",", ":")), 12)


def child_name(parent: str, role: str, *, limit: int = 52) -> str:
    """Return ``<parent>-<role>``, cut and hashed where it would pass `limit`.

    52 is the limit of a CronJob's name: its Jobs get 11 characters more. Two parents never share a child's name:
    a name that was cut carries a hash of the whole.
    """
    name = f"{parent}-{role}"
    if len(name) <= limit:
        return name
    tail = f"-{digest(parent, 8)}-{role}"
    return parent[: limit - len(tail)].rstrip("-.") + tail


def manual_job_name(schedule: str, value: str) -> str:
    """Return the name of the Job that answers this value of ``spec.manualTrigger``: the same value, the same Job."""
    return child_name(schedule, f"t-{digest(value)}", limit=63)


def restore_job_name(request: str, uid: str) -> str:
    """Return the name of the one Job of a RestoreRequest object (by uid: an object made anew has a Job of its own)."""
    return child_name(request, f"r-{digest(uid, 8)}", limit=63)


def restore_claim(namespace: str, name: str, spec: dict[str, Any]) -> str:
    """Return the name of the ledger's entry: the same request, made again from Git, finds it."""
    return f"{namespace}.{name}.{spec_hash(spec)}"


def instance_owner(namespace: str, name: str) -> str:
    """Return the owner's name that ``.owner.json`` holds for a BackupInstance."""
    return f"{namespace}/{name}"
