"""Reading the configuration: the YAML file, over it the environment, over nothing the secrets (they are files).

``VYA_BACKUPDB_STORAGE__BASE_PATH=/mnt`` overrides ``storage.base_path``; a list is given whole, as JSON
(``VYA_BACKUPDB_DATABASES='[…]'``). A ``.env`` file in the working directory counts as environment that the real one
overrides. Values are checked only once, after merging; an error names the field, the file, and the variables beside it.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from vya_backupdb.domain.config import AppConfig, parse_config
from vya_backupdb.domain.errors import ConfigurationError

PREFIX: Final = "VYA_BACKUPDB_"
DOTENV: Final = ".env"
DEFAULT_PATH: Final = Path("/etc/vya-backupdb/config.yaml")


class _Loader(yaml.SafeLoader):
    """YAML without silent loss: a key that stands twice is an error, not the last one's win.

    What cannot be made of a value that looks like one (a date of month 13, a number of 5,000 digits) is an error, too.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except ValueError:  # not quoted: it may hold the value
            problem = "the value is no such date or number; if it is a text, write it in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def load_config(path: Path) -> AppConfig:
    """Return the configuration in `path` with the environment's overrides.

    Raise ConfigurationError that names the file and the field, or the line, and says what to do.
    """
    given = _overrides(os.environ)
    source = f"{path} with {', '.join(_variables(given, PREFIX))} of the environment" if given else str(path)
    return parse_config(merge(_read(path), given), source=source)


def _variables(given: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Yield the names of the variables that gave `given`: an error may lie in one of them, and not in the file."""
    for name, value in given.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(value, Mapping) and value:
            yield from _variables(value, f"{variable}__")
        else:
            yield variable


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
    except RecursionError:
        raise ConfigurationError(
            f"{path} nests lists and mappings too deeply", hint="No field of the configuration needs that: correct it."
        ) from None
    if not isinstance(data, Mapping):
        raise ConfigurationError(
            f"{path} does not hold a mapping", hint="Begin with 'databases:' and a list of servers."
        )
    return data


def _overrides(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the environment says. What reads it is large, and loaded only if there is something to read."""
    fields = {f"{PREFIX}{name}".upper() for name in AppConfig.model_fields}
    if not any(name.upper().partition("__")[0] in fields for name in environ) and not Path(DOTENV).exists():
        return {}
    from vya_backupdb.cli.overrides import overrides

    return overrides(PREFIX, DOTENV)
