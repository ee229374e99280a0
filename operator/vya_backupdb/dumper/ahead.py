"""Reading a backup on another core than the one that looks at it: inflating takes as long as the rest together.

The reader is a few pieces ahead at most, so memory stays constant. Its error is raised where its next piece would be.
"""

import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from queue import Queue
from typing import Final

PIECES: Final = 2


@contextmanager
def ahead(pieces: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """Give `pieces`, which a thread of its own goes through; when the block is left it has ended, and closed them."""
    # not left to the garbage collector: an error that somebody keeps would keep the thread, and so the process
    with closing(_ahead(pieces)) as made:
        yield made


def _ahead(pieces: Iterable[bytes]) -> Generator[bytes, None, None]:
    waiting: Queue[bytes | None] = Queue(PIECES)
    given_up = threading.Event()

    def read() -> None:
        try:
            for piece in pieces:
                if given_up.is_set():
                    return
                waiting.put(piece)
        finally:
            try:
                if isinstance(pieces, Generator):
                    pieces.close()
            finally:
                waiting.put(None)

    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        future, ended = pool.submit(read), False
        try:
            while (piece := waiting.get()) is not None:
                yield piece
            ended = True
            future.result()
        finally:
            given_up.set()
            while not ended:
                ended = waiting.get() is None
