"""The configuration as the environment and a ``.env`` file give it; loaded only where one of them gives something."""

from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from vya_backupdb.domain.errors import ConfigurationError


class Overrides(BaseSettings):
    """The top-level keys of the configuration as the environment gives them; texts are not converted here."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", env_file_encoding="utf-8", extra="ignore")

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


def overrides(prefix: str, dotenv: str) -> dict[str, Any]:
    """Return the values of variables that begin with `prefix`, in the environment or in the file `dotenv`.

    Raise ConfigurationError naming the variable that cannot be read.
    """
    try:
        return Overrides(_env_prefix=prefix, _env_file=dotenv).model_dump(exclude_none=True, exclude_unset=True)
    except (SettingsError, ValueError) as error:
        # pydantic's text holds the value; the name of the variable is enough to mend it
        names = [name for name in Overrides.model_fields if f'"{name}"' in str(error) or f"\n{name}" in str(error)]
        variable = f"{prefix}{(names or ['…'])[0].upper()}"
        raise ConfigurationError(
            f"the environment variable {variable} cannot be read",
            hint="Write nested fields with '__'; a list, or a whole value, is given as JSON.",
        ) from None
