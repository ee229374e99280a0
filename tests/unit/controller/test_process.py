"""Settings, health, logs and the doorbell's keys."""

import asyncio
import contextlib
import inspect
import json
import logging
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
from kopf._cogs.structs.ephemera import AnyMemo
from kopf._core.engines.probing import health_reporter

from vya_backupdb import __version__
from vya_backupdb.controller import handlers
from vya_backupdb.controller.doorbell import Ending, listen
from vya_backupdb.controller.health import Health, Unhealthy
from vya_backupdb.controller.logs import Formatter
from vya_backupdb.controller.settings import parse
from vya_backupdb.reconcile.world import Key, Kind

EVERYWHERE = ("--all-namespaces",)


def test_the_defaults_fit_a_cluster_of_this_very_version() -> None:
    settings = parse(EVERYWHERE, {})
    assert settings.dumper_image == f"vya-backupdb-dumper:{__version__}"
    assert settings.namespaces == ()
    assert settings.jobs.image_pull_policy == "IfNotPresent"
    assert settings.kubeconfig is None


def test_the_environment_says_the_same_and_the_command_line_wins() -> None:
    environ = {
        "VYA_BACKUPDB_NAMESPACE": "a, b",
        "VYA_BACKUPDB_DUMPER_IMAGE": "r/d:2",
        "VYA_BACKUPDB_RESYNC_SECONDS": "60",
        "VYA_BACKUPDB_LOG_LEVEL": "debug",
        "KUBECONFIG": "/k",
    }
    settings = parse((), environ)
    assert settings.namespaces == ("a", "b")
    assert (settings.dumper_image, settings.resync_seconds, settings.log_level) == ("r/d:2", 60, "DEBUG")
    assert settings.kubeconfig == "/k"
    told = parse(("--namespace=c", "--dumper-image=x", "--resync-seconds=5"), environ)
    assert (told.namespaces, told.dumper_image, told.resync_seconds) == (("c",), "x", 5)
    assert parse(EVERYWHERE, environ).namespaces == ()


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        ((), {}, "--all-namespaces"),
        (("--namespace=a", "--all-namespaces"), {}, "exclude each other"),
        ((*EVERYWHERE, "--resync-seconds=0"), {}, "1 to 86400"),
        ((*EVERYWHERE, "--liveness=8080"), {}, "http://0.0.0.0:8080/healthz"),
        (EVERYWHERE, {"VYA_BACKUPDB_RESYNC_SECONDS": "often"}, "VYA_BACKUPDB_RESYNC_SECONDS"),
        (EVERYWHERE, {"VYA_BACKUPDB_LOG_FORMAT": "xml"}, "json, text"),
        (EVERYWHERE, {"VYA_BACKUPDB_LIVENESS": "here"}, "VYA_BACKUPDB_LIVENESS"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    arguments: tuple[str, ...], environ: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments, environ)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_help_names_every_option_and_its_twin(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(("--help",), {})
    text = capsys.readouterr().out
    for option in ("--dumper-image", "--namespace", "--resync-seconds", "--liveness", "VYA_BACKUPDB_", "KUBECONFIG"):
        assert option in text


def test_health_fails_when_a_worker_or_the_list_grows_old() -> None:
    now = 0.0
    health = Health(lambda: now, resync_seconds=300)
    health.beat("one")
    health.beat("two")
    assert health.check() == {"workerAgeSeconds": 0.0, "listAgeSeconds": 0.0}
    now = 650.0
    health.beat("one")
    with pytest.raises(Unhealthy, match="worker"):
        health.check()
    health.beat("two")
    health.check()
    now = 950.0
    health.beat("one")
    health.beat("two")
    with pytest.raises(Unhealthy, match="listed"):
        health.check()
    health.listed()
    health.check()


def test_a_line_is_json_and_hides_what_a_url_holds() -> None:
    formatter = Formatter(as_json=True)
    try:
        raise ValueError("postgres://me:hunter2@db/x")
    except ValueError:
        record = logging.LogRecord(
            "vya", logging.ERROR, "f", 1, 'at "%s"', ("http://u:hunter2@h/",), exc_info=sys.exc_info()
        )
    line = formatter.format(record)
    assert "hunter2" not in line
    parsed = json.loads(line)
    assert (parsed["level"], parsed["logger"]) == ("error", "vya")
    assert "ValueError" in parsed["traceback"]
    assert "hunter2" not in Formatter(as_json=False).format(record)


@pytest.mark.parametrize(("age", "answer"), [(0.0, 200), (100_000.0, 500)])
async def test_the_endpoint_answers_at_once_also_when_it_has_nothing_good_to_say(age: float, answer: int) -> None:
    """kopf tries a failed probe again for ever unless it is told not to: then kubelet would only see a time-out."""
    now = 0.0
    health = Health(lambda: now, resync_seconds=1)
    now = age
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ready = asyncio.Event()
    serving = asyncio.create_task(
        health_reporter(
            f"http://127.0.0.1:{port}/healthz",
            memo=AnyMemo(kopf.Memo()),
            indices={},
            registry=handlers.registry(lambda _: None, health),
            settings=handlers.settings(),
            ready_flag=ready,
        )
    )
    await asyncio.wait_for(ready.wait(), 10)
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/healthz") as response:
        assert response.status == answer
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


STUBBORN = """
import asyncio
from vya_backupdb.controller.doorbell import Ending

async def main():
    Ending(0.2).begin()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

asyncio.run(main())
"""


def test_a_process_that_does_not_let_itself_be_ended_ends() -> None:
    """The first process of a pod is not killed by a SIGKILL of its own, which is kopf's last resort."""
    done = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "does not end by itself" in done.stderr


async def test_the_end_begins_with_the_first_of_kopfs_tasks_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one that holds the watches that ends when one of them is refused for good."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    left, loop = asyncio.Event(), asyncio.get_running_loop()

    def leave(_code: int) -> None:
        loop.call_soon_threadsafe(left.set)

    health, settings = Health(loop.time, 300), parse(("--namespace=a",), {})
    listening = asyncio.create_task(listen(lambda _: None, health, settings, ("a",), Ending(0, leave)))
    watches: list[asyncio.Task[Any]] = []
    # not before it has begun: what was never awaited would be told of later, in another test
    while not any(inspect.iscoroutine(coro := one.get_coro()) and coro.cr_await is not None for one in watches):
        await asyncio.sleep(0)
        watches = [one for one in asyncio.all_tasks() if one.get_name() == "multidimensional multitasker"]
    assert not left.is_set()
    watches[0].cancel()
    await asyncio.wait_for(left.wait(), 20)
    listening.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listening


@pytest.mark.parametrize(
    ("labels", "kind", "name"),
    [
        ({"instance": "i", "role": "check"}, Kind.INSTANCE, "i"),
        ({"instance": "i", "schedule": "s"}, Kind.SCHEDULE, "s"),
        ({"instance": "i", "restore-request": "r"}, Kind.RESTORE, "r"),
    ],
)
def test_a_child_rings_for_the_object_whose_status_it_concerns(labels: dict[str, str], kind: Kind, name: str) -> None:
    given = {f"backupdb.vya.digital/{key}": value for key, value in labels.items()}
    assert handlers.key_of_child("team", given) == Key(kind, "team", name)
    assert handlers.key_of_child("team", {}) is None


def test_no_handler_is_of_a_sort_that_marks_users_objects() -> None:
    registry = handlers.registry(lambda _: None, Health(lambda: 0.0, 300))
    assert registry._spawning.get_all_handlers() == []
    assert registry._changing.get_all_handlers() == []
    assert registry._indexing.get_all_handlers() == []
    assert len(registry._watching.get_all_handlers()) == 6


def test_kopf_writes_nothing_and_watches_only_what_is_labelled() -> None:
    settings = handlers.settings()
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert len(settings.watching.label_selectors) == 3
    assert isinstance(settings, kopf.OperatorSettings)
