"""What the three kinds share: the base of their models, rules said twice, and small types.

A `Rule` holds one constraint in two languages: CEL for the API server, Python for whoever reads the object afterwards
(it may have been stored before the rule was, and a dry run has no API server). A test runs one corpus against both.
Every list, map and string has a bound: the API server refuses a schema whose rules could cost too much.
No model has a float (YAML's 0.1 is nobody's 0.1), and no field is a bare bool where a third answer may come.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


def _always(_: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Rule:
    """One constraint. `cel` is true where it is kept, `message` is the whole error, `holds` is the same in Python.

    A rule over ``oldSelf`` has no `holds`: only the API server sees both versions of an object.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] = _always

    def as_validation(self) -> dict[str, str]:
        """Return the entry for ``x-kubernetes-validations``."""
        return {"rule": self.cel, "message": self.message}


class Model(BaseModel):
    """A frozen part of an object. Unknown keys are an error here as they are for ``kubectl apply``."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema with the class's rules beside it."""
        schema = handler(core)
        if cls.rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [
                rule.as_validation() for rule in cls.rules
            ]
        return schema


@dataclass(frozen=True, slots=True)
class Checked:
    """Annotation: the annotated value keeps these rules."""

    rules: tuple[Rule, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate in Python after the type's own validation."""
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Write the CEL beside the type's own schema."""
        return {**handler(core), "x-kubernetes-validations": [rule.as_validation() for rule in self.rules]}

    def _validate(self, value: Any) -> Any:
        for rule in self.rules:
            if not rule.holds(value):
                raise ValueError(rule.message)
        return value


def _whole_seconds(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


#: A moment in status: UTC, whole seconds, as Kubernetes writes its own.
Timestamp = Annotated[AwareDatetime, PlainSerializer(_whole_seconds, return_type=str, when_used="json")]

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

#: The name of one of our own objects: a DNS label, because it becomes part of Job names and of the tree.
OwnName = Annotated[str, Field(min_length=1, max_length=63, pattern=_DNS_LABEL)]
#: The name of a Secret, ConfigMap or claim.
ForeignName = Annotated[str, Field(min_length=1, max_length=253, pattern=_DNS_SUBDOMAIN)]
#: A key of a Secret or ConfigMap.
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$")]
#: A database's name as the server knows it: anything but NUL.
DatabaseName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
#: A glob over database names (``*``, ``?``, ``[…]``; case-sensitive).
DatabasePattern = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]

ShortText = Annotated[str, Field(max_length=253)]
LongText = Annotated[str, Field(max_length=4096)]
Count = Annotated[int, Field(ge=0)]


class InstanceReference(Model):
    """A BackupInstance in the same namespace."""

    name: OwnName = Field(description="Name of the BackupInstance, in the namespace of this object.")


class SecretReference(Model):
    """A Secret in the same namespace."""

    name: ForeignName = Field(description="Name of the Secret, in the namespace of this object.")


class Condition(Model):
    """A condition as Kubernetes' own objects have it (metav1.Condition)."""

    type: Annotated[str, Field(max_length=316)] = Field(description="Name of the condition, such as Ready.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ] = Field(description="Why, in one CamelCase word that programs may compare.")
    message: Annotated[str, Field(max_length=32768)] = Field(
        default="", description="Why, in a sentence for people, with the remedy where there is one."
    )
    last_transition_time: Timestamp = Field(description="When status last changed.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation of the spec that the condition is about."
    )


class Status(Model):
    """What every kind's status has."""

    observed_generation: int = Field(
        default=-1, description="The metadata.generation of the spec that this status is about; -1 before the first."
    )
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        default=(),
        description="The object's conditions, one of each type.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class DatabaseSelection(Model):
    """Which databases, by their names. System databases and templates are never among them."""

    include: Annotated[tuple[DatabasePattern, ...], Field(min_length=1, max_length=256)] = Field(
        default=("*",), description="Globs of the names that are wanted (case-sensitive). Default: every database."
    )
    exclude: Annotated[tuple[DatabasePattern, ...], Field(max_length=256)] = Field(
        default=(), description="Globs of the names that are not wanted; they win over include."
    )


def checked(validate: Callable[[str], Any]) -> AfterValidator:
    """Return a validator that keeps the value and turns what `validate` refuses into an error of the field.

    For checks that CEL cannot do; the server then accepts what a condition refuses.
    """

    def check(value: str) -> str:
        validate(value)
        return value

    return AfterValidator(check)
