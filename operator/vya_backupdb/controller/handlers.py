"""kopf as the doorbell: low-level event handlers that put a key into the queue and write nothing anywhere.

No create, update or delete handlers, no timers, no daemons: each of those would put finalizers or annotations on users'
objects. A registry of our own, so that importing this module registers nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import kopf

from vya_backupdb.builders import labels
from vya_backupdb.controller.health import Health
from vya_backupdb.kube.gateway import CRONJOBS, INSTANCES, JOBS, PODS, RESTORES, SCHEDULES, ResourceType
from vya_backupdb.reconcile.world import Key, Kind

OWN: Final = {INSTANCES: Kind.INSTANCE, SCHEDULES: Kind.SCHEDULE, RESTORES: Kind.RESTORE}
CHILDREN: Final = (JOBS, CRONJOBS, PODS)

Ring = Callable[[Key], None]


def registry(ring: Ring, health: Health) -> kopf.OperatorRegistry:
    """Return the handlers of the operator."""
    made = kopf.OperatorRegistry()
    kopf.on.login(registry=made)(_log_in)
    for type_, kind in OWN.items():
        kopf.on.event(*_selector(type_), id=type_.plural, registry=made)(_on_own(kind, ring))
    for type_ in CHILDREN:
        has_role = {labels.ROLE: kopf.PRESENT}
        kopf.on.event(*_selector(type_), id=type_.plural, labels=has_role, registry=made)(_on_child(ring))

    # PERMANENT: kopf would else try a failed probe again for ever, and the endpoint would hang instead of saying so
    @kopf.on.probe(id="health", errors=kopf.ErrorsMode.PERMANENT, registry=made)
    async def probe(**_: Any) -> dict[str, float]:
        return health.check()

    return made


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: it writes nothing, and streams only what carries our label."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    # namespaces and CRDs are not watched: that needs rights on the whole cluster
    chosen.scanning.disabled = True
    chosen.watching.connect_timeout = 10
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 250
    chosen.networking.request_timeout = 30
    chosen.process.ultimate_exiting_timeout = 20
    for type_ in CHILDREN:
        chosen.watching.label_selectors[_selector(type_)] = labels.ROLE
    return chosen


def key_of_child(namespace: str, given: Mapping[str, str]) -> Key | None:
    """Return whose status the Job, CronJob or pod with the labels `given` concerns, or None if nobody's."""
    if given.get(labels.RESTORE_REQUEST):
        return Key(Kind.RESTORE, namespace, given[labels.RESTORE_REQUEST])
    if given.get(labels.SCHEDULE):
        return Key(Kind.SCHEDULE, namespace, given[labels.SCHEDULE])
    if given.get(labels.INSTANCE):
        return Key(Kind.INSTANCE, namespace, given[labels.INSTANCE])
    return None


def _log_in(**given: Any) -> kopf.ConnectionInfo | None:
    """Return the same cluster that the Gateway talks to: KUBECONFIG's, else that of the pod."""
    return kopf.login_with_kubeconfig(**given) or kopf.login_with_service_account(**given)


def _selector(type_: ResourceType) -> tuple[str, str, str]:
    return (type_.group, type_.version, type_.plural)


def _on_own(kind: Kind, ring: Ring) -> Callable[..., Any]:
    async def rung(namespace: str, name: str, **_: Any) -> None:
        ring(Key(kind, namespace, name))

    return rung


def _on_child(ring: Ring) -> Callable[..., Any]:
    async def rung(namespace: str, labels: Mapping[str, str], **_: Any) -> None:
        key = key_of_child(namespace, labels)
        if key is not None:
            ring(key)

    return rung
