"""Whether a CronJob on the server is still the one that we would apply.

Two questions, because neither is enough: a digest of what we applied last (an annotation of the CronJob, which is ours)
notices a field that we no longer set; a comparison of each value that we do set notices what somebody else changed.
Defaults that the server adds are on neither side. Asking first keeps an unchanged world free of write calls.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from vya_backupdb.domain.ids import PREFIX, spec_hash
from vya_backupdb.reconcile.world import Manifest

APPLIED = f"{PREFIX}/applied"
# of volumeMounts; of containers, env, volumes, imagePullSecrets. An apply leaves what others put into such a list.
_KEYS = ("mountPath", "name")
_EMPTY: tuple[Any, ...] = (None, "", False, [], {})
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei|)")
_DECIMAL = {"m": Decimal("0.001"), "": Decimal(1)} | {
    unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)
}
_BINARY = {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)}


def stamped(manifest: Manifest, signed: Mapping[str, str]) -> Manifest:
    """Return `manifest` with the digest of itself, and what its maker has `signed` it with, as annotations."""
    meta = manifest["metadata"]
    annotations = {**(meta.get("annotations") or {}), APPLIED: spec_hash(manifest), **signed}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def drifted(stamped_manifest: Manifest, observed: Manifest) -> bool:
    """Whether `observed` is not what applying `stamped_manifest` would leave."""
    return not _contains(observed, stamped_manifest)


def _contains(observed: Any, desired: Any) -> bool:
    """Whether every value of `desired` stands in `observed`; the server does not store empty optional values."""
    if desired in _EMPTY:
        return observed in _EMPTY
    if isinstance(desired, Mapping):
        return isinstance(observed, Mapping) and all(
            _contains(observed.get(key), value) for key, value in desired.items()
        )
    if isinstance(desired, list | tuple):
        return isinstance(observed, list) and _same_list(observed, desired)
    return bool(observed == desired) or _same_quantity(observed, desired)


def _same_list(observed: list[Any], desired: Sequence[Any]) -> bool:
    """Whether `observed` is `desired`; where the server merges by a key, others may have put elements of theirs in."""
    key = next((key for key in _KEYS if all(isinstance(one, Mapping) and key in one for one in desired)), None)
    if key is not None:
        there = {one.get(key): one for one in observed if isinstance(one, Mapping)}
        return all(_contains(there.get(one[key]), one) for one in desired)
    return len(observed) == len(desired) and all(
        _contains(one, other) for one, other in zip(observed, desired, strict=True)
    )


def _same_quantity(observed: Any, desired: Any) -> bool:
    """Whether both are the same quantity: the server writes 1000m as 1."""
    one, other = _quantity(observed), _quantity(desired)
    return one is not None and one == other


def _quantity(value: Any) -> Decimal | None:
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None or match[1].count(".") > 1 or not any(map(str.isdigit, match[1])):
        return None
    return Decimal(match[1]) * (_DECIMAL | _BINARY)[match[2]]
