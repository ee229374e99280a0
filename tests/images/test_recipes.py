"""The order of attempts and the memory of refusals: no engine is needed to get these right."""

from pathlib import Path

import pytest

from tests.images import debian
from tests.images.pulls import EVERY_IMAGE, REMEMBERED_SECONDS, Pulls
from tests.images.recipes import CHECKOUT, PRODUCTS, SERVERS, fingerprint


def _registry(folder: Path, script: str) -> tuple[str, ...]:
    """A stand-in for the docker command that counts its calls in the file `calls`."""
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\n{script}\n')
    program.chmod(0o755)
    return (str(program),)


def _calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


class _Clock:
    """A clock that a test turns by hand."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_dead_registry_is_asked_once_for_all_images_and_again_after_a_while(tmp_path: Path) -> None:
    clock = _Clock()
    docker = _registry(tmp_path, "echo 'dial tcp: lookup registry: no such host' >&2; exit 1")
    pulls = Pulls({}, tmp_path / "memory.json", clock, docker)
    assert "no such host" in pulls.pull("mariadb:11.8")
    assert "no such host" in pulls.pull("postgres:17")
    assert "no such host" in Pulls({}, tmp_path / "memory.json", clock, docker).pull("mysql:9.7")
    assert _calls(tmp_path) == ["pull mariadb:11.8"]

    clock.now += REMEMBERED_SECONDS + 1
    pulls.pull("postgres:17")
    assert _calls(tmp_path) == ["pull mariadb:11.8", "pull postgres:17"]


def test_a_refused_image_does_not_speak_for_the_others(tmp_path: Path) -> None:
    docker = _registry(tmp_path, 'case $2 in mysql*) echo "manifest unknown"; exit 1;; esac')
    pulls = Pulls({}, tmp_path / "memory.json", docker=docker)
    assert pulls.pull("mysql:9.7") == "manifest unknown"
    assert pulls.refusal("mysql:9.7")
    assert not pulls.refusal(EVERY_IMAGE)
    assert pulls.pull("postgres:17") == ""


def test_a_registry_that_never_answers_is_given_up(tmp_path: Path) -> None:
    docker = _registry(tmp_path, "exec sleep 60")
    pulls = Pulls({}, tmp_path / "memory.json", docker=docker, first_word_seconds=0.2)
    assert pulls.pull("postgres:17") == "no answer within 0 seconds"
    assert pulls.refusal("mysql:9.7")


def test_a_damaged_memory_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text("{")
    assert Pulls({}, tmp_path / "memory.json").refusal("postgres:17") == ""


def test_a_fingerprint_follows_names_contents_and_the_executable_bit(tmp_path: Path) -> None:
    file = tmp_path / "entrypoint.sh"
    file.write_text("one")
    seen = {fingerprint(["a"], [file]), fingerprint(["b"], [file])}
    file.write_text("two")
    seen.add(fingerprint(["a"], [file]))
    file.chmod(0o755)
    seen.add(fingerprint(["a"], [file]))
    seen.add(fingerprint(["a"], [file.rename(tmp_path / "other.sh")]))
    assert len(seen) == 5


def test_every_recipe_covers_its_dockerfile_and_what_that_copies() -> None:
    for recipe in SERVERS.values():
        assert recipe.fingerprint("one base") != recipe.fingerprint("another")
    for product in PRODUCTS.values():
        dockerfile = CHECKOUT / product.dockerfile
        text = (dockerfile / "Dockerfile" if dockerfile.is_dir() else dockerfile).read_text()
        copies = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
        assert {name for names in copies for name in names} <= set(product.copied)


def test_both_of_our_images_make_what_is_theirs_in_the_same_way() -> None:
    """Neither can begin with a stage of the other's file: the classic builder knows only images that are there."""
    stages = set()
    for name, product in PRODUCTS.items():
        dockerfile = CHECKOUT / product.dockerfile
        text = (dockerfile / "Dockerfile" if dockerfile.is_dir() else dockerfile).read_text()
        stage = text.partition("# --- the Python environment ")[2].partition("# --- the image ")[0]
        assert f"requirements/{name}.lock" in stage
        stages.add(stage.replace(f"{name}.lock", "its.lock"))
    assert len(stages) == 1


_STANZAS = """\
Types: deb
# a comment
URIs: http://m/debian
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://m/sec
Suites: bookworm-security
Components: main contrib
"""
_LINES = """\
# deb http://no/debian bookworm main
deb [arch=amd64] http://m/debian bookworm main contrib
deb http://m/sec bookworm-security main
deb-src http://no/debian bookworm main
"""


@pytest.mark.parametrize(("name", "text"), [("sources.list.d/debian.sources", _STANZAS), ("sources.list", _LINES)])
def test_the_mirror_is_the_one_of_this_machine(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "aaa.list").write_text("deb https://vendor/apt tool-bookworm main\n")
    (tmp_path / name).write_text(text)
    where = debian.archive(tmp_path)
    assert where == debian.Archive("http://m/debian", "http://m/sec")
    written = debian.sources("trixie", where)
    assert "Suites: trixie trixie-updates\n" in written
    assert "URIs: http://m/sec\nSuites: trixie-security\n" in written
    assert "security" not in debian.sources("sid", where)


def test_a_machine_without_debian_sources_has_no_archive(tmp_path: Path) -> None:
    assert debian.archive(tmp_path) == debian.Archive("", "")
