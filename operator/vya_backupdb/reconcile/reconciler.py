"""One pass over one object: observe → decide → apply; and what an error of ours leaves in the object's conditions.

Conflict means that the reading was old: the queue calls again and nothing is shown. Everything else is shown, so that a
missing right or a full quota is seen with ``kubectl get`` and not only in the operator's log.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from vya_backupdb.builders.jobs import JobSettings
from vya_backupdb.kube.errors import Conflict, Forbidden, KubernetesError, NotFound, TooManyRequests, Unavailable
from vya_backupdb.kube.gateway import Gateway
from vya_backupdb.reconcile.apply import apply, write_status
from vya_backupdb.reconcile.decide import SUMMARY, decide
from vya_backupdb.reconcile.observe import TYPES, observe
from vya_backupdb.reconcile.reasons import Reason
from vya_backupdb.reconcile.restore import is_terminal
from vya_backupdb.reconcile.status import failed
from vya_backupdb.reconcile.text import clean
from vya_backupdb.reconcile.world import Decision, Key, Kind, Trouble

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Holds what every pass needs. `clock` returns the time in UTC."""

    gateway: Gateway
    settings: JobSettings
    clock: Callable[[], datetime]

    async def reconcile(self, key: Key) -> Decision:
        """Do what `key` needs now, and return what was decided. Raise KubernetesError where it could not be done."""
        observed = await observe(self.gateway, key, now=self.clock())
        now = self.clock()
        decision = decide(observed.world, now=now, settings=self.settings)
        await apply(self.gateway, key, observed.manifest, decision, now=now)
        return decision

    async def show(self, key: Key, error: Exception) -> None:
        """Let the object's conditions tell of `error`. Raise KubernetesError where even that fails."""
        if isinstance(error, Conflict | Unavailable | TooManyRequests):
            return
        try:
            manifest = await self.gateway.get(TYPES[key.kind], key.namespace, key.name)
        except NotFound:
            return
        status = manifest.get("status") or {}
        if manifest["metadata"].get("deletionTimestamp") or (key.kind is Kind.RESTORE and is_terminal(status)):
            return
        generation = manifest["metadata"].get("generation", 0)
        after = failed(status, status, _trouble(error), SUMMARY[key.kind], generation=generation, now=self.clock())
        await write_status(self.gateway, key, manifest, after)

    async def keys(self, namespaces: tuple[str, ...]) -> tuple[Key, ...]:
        """Return the key of each object of ours in `namespaces`; of all namespaces where none is given.

        A namespace that was deleted took the right to list it along: it must not stop the work in the others. Raise
        KubernetesError where none can be listed.
        """
        found: list[Key] = []
        refused: list[Forbidden] = []
        places = namespaces or (None,)
        for namespace in places:
            try:
                found += await self._keys_in(namespace)
            except Forbidden as error:
                logger.warning("namespace %s cannot be listed: %s", namespace, error)
                refused.append(error)
        if len(refused) == len(places):
            raise refused[0]
        return tuple(found)

    async def readable(self, namespaces: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of `namespaces` that can be listed now."""
        found: list[str] = []
        for namespace in namespaces:
            with suppress(Forbidden):
                await self._keys_in(namespace)
                found.append(namespace)
        return tuple(found)

    async def _keys_in(self, namespace: str | None) -> list[Key]:
        listed = [(kind, await self.gateway.find(type_, namespace, {})) for kind, type_ in TYPES.items()]
        return [
            Key(kind, one["metadata"]["namespace"], one["metadata"]["name"]) for kind, found in listed for one in found
        ]


def _trouble(error: Exception) -> Trouble:
    """Return what a condition says of `error`; of a bug only its type, for its text may hold anything."""
    if isinstance(error, KubernetesError):
        return Trouble(error.reason, clean(str(error)))
    text = f"the operator failed with {type(error).__name__}; its log has the traceback, and it is tried again"
    return Trouble(Reason.RETRYING, text)
