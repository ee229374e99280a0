"""What a user may change about the pods of our Jobs: an allow-list, because a pod template in a custom resource is a
way to another ServiceAccount, to the node and to every Secret of the namespace (CVE-2024-25131 and its kin).

Never on the list: image, command, env, volumes, securityContext, serviceAccountName, host namespaces, a priority's
number.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from vya_backupdb.domain.specs_base import Checked, Model, Rule

_QUANTITY: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_MAP_ENTRIES: Final = 32
_VALUE: Final = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"

#: Keys that are ours, Kubernetes' Job controller's, or those of tools that would take the pod for one of their objects.
RESERVED_KEYS: Final = (
    "backupdb.vya.digital/",
    "app.kubernetes.io/",
    "batch.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "kubectl.kubernetes.io/",
    "job-name",
    "controller-uid",
)


def _quantities(value: Any) -> Any:
    if not isinstance(value, dict):
        # not TypeError: pydantic makes a field's error of ValueError only
        raise ValueError("must be a mapping of resource names to quantities, such as memory: 256Mi")  # noqa: TRY004
    for name, quantity in value.items():
        plain = isinstance(quantity, int) and not isinstance(quantity, bool)
        if not plain and not (isinstance(quantity, str) and re.fullmatch(_QUANTITY[1:-1], quantity)):
            raise ValueError(f"{name}: {quantity!r} is not a quantity, such as 500m or 256Mi")
    if len(value) > _MAP_ENTRIES:
        raise ValueError(f"has more than {_MAP_ENTRIES} entries")
    return value


Quantities = Annotated[
    dict[str, Any],
    BeforeValidator(_quantities),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": _MAP_ENTRIES,
            "additionalProperties": {
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": _QUANTITY,
                "x-kubernetes-int-or-string": True,
            },
        }
    ),
]

#: An object that is passed on as it is, for the API server to judge when the Job is made.
Opaque = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})]

_NOT_RESERVED = Rule(
    cel="self.all(k, " + " && ".join(f"!k.startsWith('{key}')" for key in RESERVED_KEYS) + ")",
    message="holds a key that is reserved for Kubernetes, for deployment tools or for the operator; remove it",
    holds=lambda keys: not any(key.startswith(RESERVED_KEYS) for key in keys),
)
LabelValue = Annotated[str, Field(max_length=63, pattern=_VALUE)]
Labels = Annotated[dict[str, LabelValue], Field(max_length=_MAP_ENTRIES), Checked((_NOT_RESERVED,))]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=_MAP_ENTRIES), Checked((_NOT_RESERVED,))
]
NodeSelector = Annotated[dict[str, LabelValue], Field(max_length=_MAP_ENTRIES)]


class ResourceRequirements(Model):
    """Requests and limits of the dumper's container."""

    requests: Quantities | None = Field(
        default=None, description="What is set aside, such as {cpu: 100m, memory: 128Mi}."
    )
    limits: Quantities | None = Field(default=None, description="What may be used at most.")


class Toleration(Model):
    """A taint that the pods tolerate (core/v1 Toleration)."""

    key: Annotated[str, Field(max_length=316)] | None = Field(
        default=None, description="Key of the taint; none means every key."
    )
    operator: Literal["Equal", "Exists"] | None = Field(
        default=None, description="How value is compared. Default: Equal."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(default=None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; none means every effect."
    )
    toleration_seconds: int | None = Field(default=None, description="How long NoExecute is tolerated, in seconds.")


class Affinity(Model):
    """Where the pods may run (core/v1 Affinity). The operator adds an affinity of its own among Jobs of one claim."""

    node_affinity: Opaque | None = Field(default=None, description="As in a pod.")
    pod_affinity: Opaque | None = Field(default=None, description="As in a pod.")
    pod_anti_affinity: Opaque | None = Field(default=None, description="As in a pod.")


class TopologySpreadConstraint(Model):
    """How pods are spread (core/v1 TopologySpreadConstraint)."""

    max_skew: Annotated[int, Field(ge=1)] = Field(description="As in a pod.")
    topology_key: Annotated[str, Field(min_length=1, max_length=316)] = Field(description="As in a pod.")
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(description="As in a pod.")
    label_selector: Opaque | None = Field(default=None, description="As in a pod.")
    min_domains: Annotated[int, Field(ge=1)] | None = Field(default=None, description="As in a pod.")


class JobOverrides(Model):
    """What may be set on the Jobs and their pods. Everything else is the operator's."""

    resources: ResourceRequirements | None = Field(
        default=None,
        description="Requests and limits of the dumper's container. Default: 100m CPU, 128Mi to 1Gi memory.",
    )
    node_selector: NodeSelector | None = Field(default=None, description="Labels that a node must have.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that the pods tolerate."
    )
    affinity: Affinity | None = Field(default=None, description="Where the pods may run.")
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=16)] = Field(
        default=(), description="How the pods are spread."
    )
    priority_class_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="Name of a PriorityClass for the pods."
    )
    labels: Labels | None = Field(default=None, description="More labels for Jobs and pods; reserved keys are refused.")
    annotations: Annotations | None = Field(
        default=None, description="More annotations for Jobs and pods; reserved keys are refused."
    )
    active_deadline_seconds: Annotated[int, Field(ge=300, le=2_592_000)] | None = Field(
        default=None,
        description="Longest time of one backup or restore Job, retries included, in seconds. "
        "Default: 6 hours for a backup, 24 hours for a restore.",
    )
    backoff_limit: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description="How often a backup or retention Job that failed is tried again. Default: 2."
    )
