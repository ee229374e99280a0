"""What is built from what: the server images and the bases under them, and a fingerprint for each.

The fingerprint covers everything that this checkout puts into an image, not the state of the Debian archive: an image
is rebuilt when its recipe changes, not whenever a package has an update.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent / "servers"
CHECKOUT: Final = FOLDER.parent.parent.parent
BASE: Final = "debian:trixie-slim"
LOCAL: Final = "vya-backupdb-test"
LABEL: Final = "digital.vya.backupdb.recipe"


@dataclass(frozen=True)
class ServerRecipe:
    """A server image: official name, Debian suite that has this major, Dockerfile's folder, its arguments."""

    name: str
    suite: str
    seconds: int
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def product(self) -> str:
        """Return the part before the colon, which names the folder of the Dockerfile."""
        return self.name.partition(":")[0]

    @property
    def repository(self) -> str:
        """Return the local repository, with the version in it: `tag` is the fingerprint alone."""
        return f"{LOCAL}/{self.name.replace(':', '-')}"

    def fingerprint(self, base: str) -> str:
        """Return the hash of all that goes in; `base` is the reference of the base image."""
        parts = [self.suite, base, *(f"{key}={value}" for key, value in sorted(self.arguments.items()))]
        return fingerprint(parts, [FOLDER / "entrypoint-common.sh", *tree(FOLDER / self.product)])


@dataclass(frozen=True)
class ProductRecipe:
    """One of our own images: its Dockerfile and everything of the checkout that it copies."""

    name: str
    repository: str
    dockerfile: str
    copied: tuple[str, ...]
    seconds: int

    def fingerprint(self, base: str) -> str:
        """Return the hash of all that goes in; `base` is the id of the base image."""
        files = [path for name in (self.dockerfile, *self.copied) for path in tree(CHECKOUT / name)]
        return fingerprint([base], files)


def postgres_data(major: str) -> str:
    """Return where the image keeps its data: from 18 on the official one has a folder for each major."""
    return "/var/lib/postgresql/18/docker" if major == "18" else "/var/lib/postgresql/data"


def _postgres(major: str, suite: str, seconds: int) -> ServerRecipe:
    return ServerRecipe(f"postgres:{major}", suite, seconds, {"MAJOR": major, "DATA": postgres_data(major)})


SERVERS: Final = {
    recipe.name: recipe
    for recipe in (
        ServerRecipe("mariadb:10.11", "bookworm", 10),
        ServerRecipe("mariadb:11.8", "trixie", 10),
        _postgres("15", "bookworm", 25),
        _postgres("17", "trixie", 25),
        _postgres("18", "sid", 25),
        ServerRecipe("mysql:9.7", "sid", 15),
    )
}

PRODUCTS: Final = {
    recipe.name: recipe
    for recipe in (
        ProductRecipe(
            "operator",
            "vya-backupdb-operator",
            "Dockerfile",
            (
                ".dockerignore",
                "images/build.lock",
                "requirements/operator.lock",
                "pyproject.toml",
                "README.md",
                "LICENSE",
                "operator",
            ),
            40,
        ),
        ProductRecipe(
            "dumper",
            "vya-backupdb-dumper",
            "images/dumper",
            (
                ".dockerignore",
                "images/build.lock",
                "requirements/dumper.lock",
                "pyproject.toml",
                "README.md",
                "LICENSE",
                "operator",
            ),
            60,
        ),
    )
}


def tree(path: Path) -> list[Path]:
    """Return the files below a path (or the path itself), sorted, without what Python leaves behind."""
    if not path.is_dir():
        return [path] if path.exists() else []
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if "__pycache__" not in file.parts and file.suffix != ".pyc")


def fingerprint(parts: Iterable[str], files: Iterable[Path]) -> str:
    """Return 12 hex digits over texts and files; names, contents and the executable bit of files count."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part}\0".encode())
    for file in files:
        inside = file.relative_to(CHECKOUT) if file.is_relative_to(CHECKOUT) else file
        executable = bool(file.stat().st_mode & 0o100)
        digest.update(f"{inside}\0{executable}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
