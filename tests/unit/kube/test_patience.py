"""A server that puts requests off (429): the same request is sent again, and in the end it is said."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from vya_backupdb.kube.aio import connect
from vya_backupdb.kube.errors import TooManyRequests
from vya_backupdb.kube.gateway import JOBS


@contextmanager
def busy(answers: list[int], *, pause: str) -> Iterator[tuple[str, list[str]]]:
    """Serve these codes, then 200; give the address and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            code = answers.pop(0) if answers else 200
            body = json.dumps({"metadata": {"name": "a"}} if code == 200 else {"message": "busy"}).encode()
            self.send_response(code)
            self.send_header("Retry-After", pause)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(folder: Path, server: str) -> str:
    """Write a kubeconfig and return its path."""
    named = {"name": "x"}
    whole = {
        "current-context": "x",
        "contexts": [{**named, "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{**named, "cluster": {"server": server}}],
        "users": [{**named, "user": {"token": "t"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(whole))
    return str(folder / "kubeconfig")


async def test_a_request_that_was_put_off_is_sent_again(tmp_path: Path) -> None:
    with busy([429], pause="1") as (server, asked):
        async with await connect(kubeconfig=kubeconfig(tmp_path, server)) as gateway:
            assert (await gateway.get(JOBS, "team", "a"))["metadata"] == {"name": "a"}
        assert len(asked) == 2


async def test_a_long_pause_is_the_queues_to_wait(tmp_path: Path) -> None:
    with busy([429], pause="60") as (server, asked):
        async with await connect(kubeconfig=kubeconfig(tmp_path, server)) as gateway:
            with pytest.raises(TooManyRequests) as caught:
                await gateway.get(JOBS, "team", "a")
        assert caught.value.retry_after == 60
        assert len(asked) == 1
