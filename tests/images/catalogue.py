"""`ensure`: the order of attempts for each kind of image, cheapest first.

Servers: the official image if it is here, a local one with the fingerprint of today's recipe, a pull, a local build.
The base: what is here under its name (unless it is ours and its recipe has changed), a pull, mmdebstrap under the same
name. Our own images: what is here with the right fingerprint on its label, else a build. One lock a name lets several
test runs ask at once.
"""

import contextlib
import fcntl
import functools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vya_backupdb
from tests.cluster import paths
from tests.cluster.command import CommandError, explain, say_to_stderr
from tests.cluster.engine import Engine, EngineUnavailable, ensure_engine
from tests.images import ImageUnavailableError, Say, debian
from tests.images.pulls import Pulls
from tests.images.recipes import BASE, CHECKOUT, FOLDER, LABEL, LOCAL, PRODUCTS, SERVERS, ProductRecipe, ServerRecipe
from tests.images.recipes import fingerprint as hash_of

_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")

_had: dict[str, str] = {}
_refused: dict[str, str] = {}


def ensure(name: str, say: Say | None = None) -> str:
    """See `tests.images.ensure`. A refusal is remembered for this process: each test would only wait for it again."""
    if name in _refused:
        raise ImageUnavailableError(_refused[name])
    if name not in _had:
        try:
            _had[name] = Workshop(_engine(say or say_to_stderr), say or say_to_stderr).ensure(name)
        except ImageUnavailableError as error:
            _refused[name] = str(error)
            raise
    return _had[name]


def refused() -> Mapping[str, str]:
    """Return the images that could not be had in this process, each with its reason."""
    return dict(_refused)


@functools.cache
def _engine(say: Say) -> Engine:
    try:
        return ensure_engine(say)
    except EngineUnavailable as error:
        raise ImageUnavailableError(str(error)) from error


@dataclass(frozen=True)
class Workshop:
    """Makes images on one engine."""

    engine: Engine
    say: Say

    def ensure(self, name: str) -> str:
        """Return the reference to run; raise ImageUnavailableError."""
        with _locked(name):
            if name in ("base", BASE):
                return self.base()
            if name in PRODUCTS:
                return self.product(PRODUCTS[name])
            if name in SERVERS:
                return self.server(SERVERS[name])
        known = ", ".join(("base", *PRODUCTS, *SERVERS))
        raise ImageUnavailableError(f"no recipe for an image {name!r}; there are {known}")

    # the base ---------------------------------------------------------------------------------------------------------

    def base(self) -> str:
        """Return debian:trixie-slim, official or ours."""
        label = self._label(BASE)
        if label == "" or label == _base_fingerprint("trixie"):
            return BASE
        reason = self._pulls().pull(BASE) if label is None else ""
        if label is None and not reason:
            return BASE
        self._docker("tag", self.suite("trixie"), BASE)
        return BASE

    def suite(self, suite: str) -> str:
        """Return a local base image of a Debian suite, made by mmdebstrap if it is not here."""
        fingerprint = _base_fingerprint(suite)
        reference = f"{LOCAL}/debian-{suite}:{fingerprint}"
        with _locked(f"debian-{suite}"):
            if self._label(reference) is None:
                self._import(suite, reference, fingerprint)
                self._drop_outdated(f"{LOCAL}/debian-{suite}", reference)
        return reference

    def _import(self, suite: str, reference: str, fingerprint: str) -> None:
        with self._progress(f"Debian {suite} base image", debian.SECONDS), tempfile.TemporaryDirectory() as folder:
            tar = Path(folder) / "root.tar"
            debian.make_tar(suite, tar, self.say)
            changes = ("--change", f"LABEL {LABEL}={fingerprint}", "--change", 'CMD ["bash"]')
            self._docker("import", *changes, str(tar), reference)

    # servers ----------------------------------------------------------------------------------------------------------

    def server(self, recipe: ServerRecipe) -> str:
        """Return an image of a database server: the official one, or ours in its stead."""
        if self._label(recipe.name) is not None:
            return recipe.name
        local = f"{recipe.repository}:{recipe.fingerprint(_base_fingerprint(recipe.suite))}"
        if self._label(local) is not None:
            return local
        reason = self._pulls().pull(recipe.name)
        if not reason:
            return recipe.name
        # the last clause says it; the whole is in the cache
        self.say(f"{recipe.name} cannot be pulled ({reason.rsplit(': ', 1)[-1]}): building it from Debian packages")
        arguments = {"BASE": self.suite(recipe.suite), **recipe.arguments}
        with self._progress(recipe.name, recipe.seconds):
            self._build(local, FOLDER, FOLDER / recipe.product / "Dockerfile", arguments, {})
        self._drop_outdated(recipe.repository, local)
        return local

    # our own ----------------------------------------------------------------------------------------------------------

    def product(self, recipe: ProductRecipe) -> str:
        """Return the operator's or the dumper's image, built from this checkout."""
        reference = f"{recipe.repository}:{vya_backupdb.__version__}"
        base = self.base()
        fingerprint = recipe.fingerprint(self._docker("image", "inspect", "--format", "{{.Id}}", base).strip())
        if self._label(reference) == fingerprint:
            return reference
        dockerfile = CHECKOUT / recipe.dockerfile
        dockerfile = dockerfile / "Dockerfile" if dockerfile.is_dir() else dockerfile
        with self._progress(reference, recipe.seconds):
            arguments = {"VERSION": vya_backupdb.__version__}
            self._build(reference, CHECKOUT, dockerfile, arguments, {LABEL: fingerprint})
        return reference

    # the engine -------------------------------------------------------------------------------------------------------

    def _label(self, reference: str) -> str | None:
        """Return the recipe's label of an image: "" if it has none, None if the image is not here."""
        result = self.engine.run("image", "inspect", "--format", "{{json .Config.Labels}}", reference, check=False)
        if result.returncode != 0:
            return None
        labels: dict[str, str] | None = json.loads(result.stdout)
        return (labels or {}).get(LABEL, "")

    def _pulls(self) -> Pulls:
        return Pulls(self.engine.environ(), paths.cache() / "refused-pulls.json")

    def _docker(self, *argv: str) -> str:
        try:
            return self.engine.run(*argv).stdout
        except CommandError as error:
            raise ImageUnavailableError(str(error)) from error

    def _build(
        self, tag: str, context: Path, dockerfile: Path, arguments: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        passed = {**{name: os.environ[name] for name in _PROXIES if name in os.environ}, **arguments}
        argv = (
            "docker", "build", "--network", "host", "--tag", tag, "--file", str(dockerfile),
            *(word for key, value in passed.items() for word in ("--build-arg", f"{key}={value}")),
            *(word for key, value in labels.items() for word in ("--label", f"{key}={value}")),
            str(context),
        )  # fmt: skip
        log = paths.cache() / "build-logs" / f"{tag.replace('/', '_').replace(':', '_')}.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("w") as output:
            environ = {**os.environ, **self.engine.environ()}
            code = subprocess.run(argv, stdout=output, stderr=subprocess.STDOUT, env=environ, check=False).returncode
        if code != 0:
            raise ImageUnavailableError(explain(argv, code, log.read_text()) + f"\n  all of it: {log}")

    def _drop_outdated(self, repository: str, current: str) -> None:
        """Remove earlier builds of this repository; one that a container still runs stays."""
        listed = self._docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split()
        for reference in listed:
            if reference != current:
                self.engine.run("image", "rm", reference, check=False)

    @contextlib.contextmanager
    def _progress(self, what: str, usual_seconds: int) -> Iterator[None]:
        self.say(f"building {what} (usually {usual_seconds} s on 2 cores)")
        started = time.monotonic()
        yield
        self.say(f"built {what} in {time.monotonic() - started:.0f} s")


@functools.cache
def _base_fingerprint(suite: str) -> str:
    bundle = debian.host_bundle()
    return hash_of([suite], [Path(debian.__file__), *([bundle] if bundle else [])])


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    folder = paths.cache() / "locks"
    folder.mkdir(exist_ok=True)
    with (folder / name.replace("/", "_").replace(":", "_")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
