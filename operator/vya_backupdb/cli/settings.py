"""Reading the configuration: the YAML file, over it the environment, over nothing the secrets (they are files).

``VYA_BACKUPDB_STORAGE__BASE_PATH=/mnt`` overrides ``storage.base_path``; a list is given whole, as JSON
(``VYA_BACKUPDB_DATABASES='[…]'``). A ``.env`` file in the working directory counts as environment that the real one
overrides. Values are checked only once, after merging, so that each error names the field as it stands in the file.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from vya_backupdb.domain.config import AppConfig, parse_config
from vya_backupdb.domain.errors import ConfigurationError

DEFAULT_PATH: Final = Path("/etc/vya-backupdb/config.yaml")


class Overrides(BaseSettings):
    """The top-level keys of the configuration as the environment gives them; texts are not converted here."""

    model_config = SettingsConfigDict(
        env_prefix="VYA_BACKUPDB_",
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
    )

    application_name: str | None = None
    version: str | None = None
    environment: str | None = None
    time_zone: str | None = None
    owner: str | None = None
    schedule: str | None = None
    databases: list[dict[str, Any]] | None = None
    storage: dict[str, Any] | None = None
    retention: dict[str, Any] | None = None
    logging: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None
    credentials: dict[str, Any] | None = None
    run: dict[str, Any] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then ``.env``; nothing else."""
        return env_settings, dotenv_settings


class _Loader(yaml.SafeLoader):
    """YAML without silent loss: a key that stands twice is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def load_config(path: Path) -> AppConfig:
    """Return the configuration in `path` with the environment's overrides.

    Raise ConfigurationError that names the file and the field, or the line, and says what to do.
    """
    return parse_config(merge(_read(path), _overrides()), source=str(path))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it: mappings are merged key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        before = merged.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            value = merge(before, value)
        merged[key] = value
    return merged


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the configuration {path}: {os.strerror(error.errno or 0).lower()}",
            hint="Name the file with --config or VYA_BACKUPDB_CONFIG.",
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the configuration {path} is not UTF-8 text", hint="Save it as UTF-8.") from None
    return _parse(text, path)


def _parse(text: str, path: Path) -> Mapping[str, Any]:
    try:
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        tab = "'\\t'" in str(error.problem)
        hint = "Indent with blanks, never tabs." if tab else "Correct the YAML there."
        raise ConfigurationError(f"{path}{where}: {error.problem}", hint=hint) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}", hint="Remove what is not text.") from None
    if not isinstance(data, Mapping):
        raise ConfigurationError(
            f"{path} does not hold a mapping", hint="Begin with 'databases:' and a list of servers."
        )
    return data


def _overrides() -> dict[str, Any]:
    try:
        return Overrides().model_dump(exclude_none=True, exclude_unset=True)
    except (SettingsError, ValueError) as error:
        # pydantic's text holds the value; the name of the variable is enough to mend it
        names = [name for name in Overrides.model_fields if f'"{name}"' in str(error) or f"\n{name}" in str(error)]
        variable = f"VYA_BACKUPDB_{(names or ['…'])[0].upper()}"
        raise ConfigurationError(
            f"the environment variable {variable} cannot be read",
            hint="Write nested fields with '__', or the whole value as JSON.",
        ) from None
