"""What the operator is told on its command line or in its environment; a word on the command line wins.

Each option has a twin ``VYA_BACKUPDB_…`` in the environment, named in ``--help``. Nothing here is secret.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

from vya_backupdb import __version__
from vya_backupdb.builders.jobs import JobSettings

T = TypeVar("T")

PREFIX: Final = "VYA_BACKUPDB_"
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")
_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_EPILOG: Final = """\
Every option may be given in the environment instead: VYA_BACKUPDB_ and its name in capitals, such as
VYA_BACKUPDB_DUMPER_IMAGE; VYA_BACKUPDB_NAMESPACE holds names with commas between, and
VYA_BACKUPDB_ALL_NAMESPACES=true stands for the option.

In a cluster the pod's service account is used. Elsewhere KUBECONFIG names a kubeconfig file.
The operator never reads a Secret: only the Jobs that it makes mount them.
"""


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """The operator's own settings. `namespaces` is empty for all of them."""

    dumper_image: str
    image_pull_policy: str
    pull_secrets: tuple[str, ...]
    namespaces: tuple[str, ...]
    resync_seconds: int
    log_format: str
    log_level: str
    liveness: str | None
    workers: int
    kubeconfig: str | None

    @property
    def jobs(self) -> JobSettings:
        """What of it the Jobs get."""
        return JobSettings(
            dumper_image=self.dumper_image,
            image_pull_policy=self.image_pull_policy,
            pull_secrets=self.pull_secrets,
            log_level=self.log_level,
        )


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> OperatorSettings:
    """Return the settings in `arguments` and `environ`. Exit with status 2 and a sentence if one is wrong."""
    parser = _parser(environ)
    env = _Environment(environ, parser)
    given = parser.parse_args(arguments)
    return OperatorSettings(
        dumper_image=given.dumper_image,
        image_pull_policy=given.dumper_image_pull_policy,
        pull_secrets=tuple(given.dumper_image_pull_secret or env.words("DUMPER_IMAGE_PULL_SECRET")),
        namespaces=_namespaces(given, env, parser),
        resync_seconds=given.resync_seconds,
        log_format=given.log_format,
        log_level=given.log_level,
        liveness=given.liveness or None,
        workers=given.workers,
        kubeconfig=environ.get("KUBECONFIG") or None,
    )


def _namespaces(given: argparse.Namespace, env: "_Environment", parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Return the namespaces, none for all; what is told on the command line silences the environment."""
    told = bool(given.namespace or given.all_namespaces)
    names = given.namespace or ([] if told else env.words("NAMESPACE"))
    everywhere = given.all_namespaces or (not told and env.flag("ALL_NAMESPACES"))
    if everywhere and names:
        parser.error("--namespace and --all-namespaces exclude each other; give one of them")
    if not everywhere and not names:
        parser.error("which namespaces? give --namespace NAME (also several times) or --all-namespaces")
    return tuple(dict.fromkeys(names))


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vya_backupdb.controller",
        description="The VYA BackupDB operator: turns BackupInstances, BackupSchedules and RestoreRequests into Jobs "
        "and CronJobs, and tells in their status what came of them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    env = _Environment(environ, parser)
    parser.add_argument("--version", action="version", version=__version__)
    _add_images(parser, env)
    _add_scope(parser)
    _add_running(parser, env)
    return parser


def _add_images(parser: argparse.ArgumentParser, env: "_Environment") -> None:
    group = parser.add_argument_group("the Jobs")
    group.add_argument(
        "--dumper-image",
        metavar="IMAGE",
        default=env.text("DUMPER_IMAGE", f"vya-backupdb-dumper:{__version__}"),
        help="image of the Jobs (default: vya-backupdb-dumper of the operator's own version)",
    )
    group.add_argument(
        "--dumper-image-pull-policy",
        choices=_POLICIES,
        default=env.choice("DUMPER_IMAGE_PULL_POLICY", "IfNotPresent", _POLICIES),
        help="imagePullPolicy of the Jobs (default: IfNotPresent)",
    )
    group.add_argument(
        "--dumper-image-pull-secret",
        metavar="NAME",
        action="append",
        help="a pull secret for the image, in the namespace of each Job; may be given several times",
    )


def _add_scope(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the namespaces")
    group.add_argument(
        "--namespace",
        metavar="NAME",
        action="append",
        help="a namespace to work in; may be given several times",
    )
    group.add_argument("--all-namespaces", action="store_true", help="work in every namespace")


def _add_running(parser: argparse.ArgumentParser, env: "_Environment") -> None:
    group = parser.add_argument_group("running")
    group.add_argument(
        "--resync-seconds",
        metavar="N",
        type=_positive,
        default=env.number("RESYNC_SECONDS", 300),
        help="look at every object at least so often (default: 300)",
    )
    group.add_argument(
        "--workers",
        metavar="N",
        type=_positive,
        default=env.number("WORKERS", 4),
        help="how many objects are worked on at the same time (default: 4)",
    )
    group.add_argument(
        "--liveness",
        metavar="URL",
        type=_endpoint,
        default=env.endpoint("LIVENESS"),
        help="where health is told, such as http://0.0.0.0:8080/healthz (default: nowhere)",
    )
    formats = ("json", "text")
    group.add_argument("--log-format", choices=formats, default=env.choice("LOG_FORMAT", "json", formats))
    group.add_argument(
        "--log-level",
        choices=_LEVELS,
        type=str.upper,
        default=env.choice("LOG_LEVEL", "INFO", _LEVELS),
        help="of the operator and of its Jobs (default: INFO)",
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 86400")
    return int(text)


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname or not parts.port or not parts.path.strip("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not like http://0.0.0.0:8080/healthz")
    return text


class _Environment:
    """The twins of the options; a wrong value is the same error as on the command line, under its own name."""

    def __init__(self, environ: Mapping[str, str], parser: argparse.ArgumentParser) -> None:
        self._environ = environ
        self._parser = parser

    def text(self, name: str, default: str) -> str:
        return self._environ.get(PREFIX + name) or default

    def words(self, name: str) -> list[str]:
        return [word.strip() for word in self.text(name, "").split(",") if word.strip()]

    def flag(self, name: str) -> bool:
        return self.choice(name, "false", ("true", "false")) == "true"

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        given = self.text(name, default)
        folded = {choice.casefold(): choice for choice in choices}
        if given.casefold() not in folded:
            self._parser.error(f"{PREFIX}{name} is {given!r}; write one of {', '.join(choices)}")
        return folded[given.casefold()]

    def number(self, name: str, default: int) -> int:
        return self._typed(name, _positive) or default

    def endpoint(self, name: str) -> str | None:
        return self._typed(name, _endpoint)

    def _typed(self, name: str, read: Callable[[str], T]) -> T | None:
        text = self.text(name, "")
        try:
            return read(text) if text else None
        except argparse.ArgumentTypeError as error:
            self._parser.error(f"{PREFIX}{name}: {error}")
