"""The pod of every Job: no token, no secret outside its mount, nothing a ``restricted`` namespace refuses.

What it gets is in files: one projected volume holds the configuration and whatever is needed of the Secrets and
ConfigMaps. All of these are optional to kubelet: a pod that waits for a Secret for ever says nothing, while the
dumper's exit code names the missing key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from vya_backupdb.builders import labels
from vya_backupdb.builders.config import BACKUPS, CA, CLIENT_CERTIFICATE, CREDENTIALS, KEYRING, MOUNT
from vya_backupdb.domain.specs import BackupInstance
from vya_backupdb.domain.specs_base import Model
from vya_backupdb.domain.specs_job import ResourceRequirements

Manifest = dict[str, Any]

USER_ID: Final = 10001
GRACE_SECONDS: Final = 60
TERMINATION_LOG: Final = "/dev/termination-log"
READ_WRITE_MANY: Final = "ReadWriteMany"

_READABLE_BY_GROUP: Final = 0o440
_DEFAULT_RESOURCES: Final[Manifest] = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """What the operator's administrator decides, and what is known of the claim.

    `claim_access_modes` are those of the bound claim; empty where it is not known: then the Jobs of one claim stay
    together on one node, which is right for every volume.
    """

    dumper_image: str
    image_pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    claim_access_modes: tuple[str, ...] = ()
    log_level: str = "INFO"


def escape(word: str) -> str:
    """Return `word` such that kubelet's expansion of ``$(NAME)`` gives it back as it was."""
    return word.replace("$", "$$")


def pod_template(
    instance: BackupInstance,
    settings: JobSettings,
    *,
    words: tuple[str, ...],
    config: str,
    pod_labels: Mapping[str, str],
    reason: str | None,
) -> Manifest:
    """Return the template of a pod that runs ``vya-backupdb`` with `words` and the configuration text `config`."""
    job = instance.spec.job
    return {
        "metadata": {
            "labels": {**(job.labels or {}), **pod_labels},
            "annotations": {**(job.annotations or {}), labels.CONFIG: config},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": _pod_security(),
            "containers": [_container(instance, settings, words, reason)],
            "volumes": _volumes(instance),
            **_placement(instance, settings),
            **({"serviceAccountName": settings.service_account} if settings.service_account else {}),
            **(
                {"imagePullSecrets": [{"name": name} for name in settings.pull_secrets]}
                if settings.pull_secrets
                else {}
            ),
        },
    }


def _container(instance: BackupInstance, settings: JobSettings, words: tuple[str, ...], reason: str | None) -> Manifest:
    resources = instance.spec.job.resources
    environment: list[Manifest] = [
        {
            "name": "VYA_BACKUPDB_RUN_ID",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{labels.JOB_NAME}']"}},
        },
        {"name": "VYA_BACKUPDB_TERMINATION_LOG", "value": TERMINATION_LOG},
    ]
    if reason is not None:
        job_uid = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{labels.JOB_UID}']"}}
        environment += [
            {"name": "VYA_BACKUPDB_REASON", "value": reason},
            {"name": "VYA_BACKUPDB_JOB_UID", "valueFrom": job_uid},
        ]
    return {
        "name": labels.CONTAINER,
        "image": settings.dumper_image,
        "imagePullPolicy": settings.image_pull_policy,
        "args": [escape(word) for word in words],
        "env": environment,
        "resources": _resources(resources) if resources else _DEFAULT_RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePath": TERMINATION_LOG,
        # not FallbackToLogsOnError: the log is no report
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "inputs", "mountPath": MOUNT, "readOnly": True},
            {"name": "backups", "mountPath": BACKUPS},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
    }


def _resources(given: ResourceRequirements) -> Manifest:
    """Return `given` with every quantity as text, as the API server gives it back (``cpu: 1`` is an int in YAML)."""
    return {part: {name: str(quantity) for name, quantity in wanted.items()} for part, wanted in dump(given).items()}


def _pod_security() -> Manifest:
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        # else kubelet walks through every backup there is before each Job
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _volumes(instance: BackupInstance) -> list[Manifest]:
    claim = instance.spec.storage.persistent_volume_claim.claim_name
    return [
        {"name": "inputs", "projected": {"defaultMode": _READABLE_BY_GROUP, "sources": _sources(instance)}},
        {"name": "backups", "persistentVolumeClaim": {"claimName": claim}},
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ]


def _sources(instance: BackupInstance) -> list[Manifest]:
    """Return what is projected below `MOUNT`: of each Secret only the keys that are asked for."""
    given = instance.spec.credentials
    field = {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{labels.CONFIG}']"}
    # dict.fromkeys: the same key twice would be refused as a duplicate path
    keys = tuple(dict.fromkeys((given.username_key, given.password_key, "credentials.json")))
    sources: list[Manifest] = [
        {"downwardAPI": {"items": [{"path": "config.yaml", "fieldRef": field}]}},
        {"secret": _files(given.secret_ref.name, CREDENTIALS, keys)},
    ]
    if given.keyring_secret_ref is not None:
        sources.append({"secret": _files(given.keyring_secret_ref.name, KEYRING, (given.keyring_secret_ref.key,))})
    if instance.spec.tls is not None:
        sources += _certificates(instance)
    return sources


def _certificates(instance: BackupInstance) -> list[Manifest]:
    tls = instance.spec.tls
    sources: list[Manifest] = []
    if tls is not None and tls.ca is not None:
        kind = "secret" if tls.ca_secret_ref else "configMap"
        sources.append({kind: _files(tls.ca.name, CA, (tls.ca.key,))})
    if tls is not None and tls.client_certificate_secret_ref is not None:
        name = tls.client_certificate_secret_ref.name
        sources.append({"secret": _files(name, CLIENT_CERTIFICATE, ("tls.crt", "tls.key"))})
    return sources


def _files(name: str, directory: str, keys: tuple[str, ...]) -> Manifest:
    return {"name": name, "optional": True, "items": [{"key": key, "path": f"{directory}/{key}"} for key in keys]}


def _placement(instance: BackupInstance, settings: JobSettings) -> Manifest:
    job = instance.spec.job
    affinity = dump(job.affinity) if job.affinity else {}
    if READ_WRITE_MANY not in settings.claim_access_modes:
        affinity = _beside_other_jobs(affinity, instance.spec.storage.persistent_volume_claim.claim_name)
    placement: Manifest = {
        "nodeSelector": dict(job.node_selector or {}),
        "tolerations": [dump(one) for one in job.tolerations],
        "affinity": affinity,
        "topologySpreadConstraints": [dump(one) for one in job.topology_spread_constraints],
        "priorityClassName": job.priority_class_name,
    }
    return {key: value for key, value in placement.items() if value}


def _beside_other_jobs(affinity: Manifest, claim: str) -> Manifest:
    """Return `affinity` and the demand to run where other Jobs of `claim` run: its volume is on one node at a time."""
    term = {
        "labelSelector": {"matchLabels": {labels.CLAIM: labels.label_value(claim)}},
        "topologyKey": "kubernetes.io/hostname",
    }
    pod = dict(affinity.get("podAffinity") or {})
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    given = pod.get(required) or []
    # whatever is no list is passed on: the API server says what is wrong with it
    pod[required] = [*(given if isinstance(given, list) else [given]), term]
    return {**affinity, "podAffinity": pod}


def dump(model: Model) -> Manifest:
    """Return a part of our spec that Kubernetes spells the same way."""
    fields: Manifest = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return fields
