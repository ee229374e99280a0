"""Nothing is compiled when a Job starts: its root file system is read-only, so it would be compiled every time anew."""

from tests.cluster.engine import ensure_engine
from tests.servers import skip_without_image

_PROGRAM = """
import importlib.util, sys
from pathlib import Path
from vya_backupdb.cli.app import application
application()
import vya_backupdb.engines.mysql, vya_backupdb.engines.postgresql, sqlalchemy.dialects.mysql
sources = [Path(m.__spec__.origin) for m in list(sys.modules.values()) if getattr(m, "__spec__", None)
           and (m.__spec__.origin or "").endswith(".py")]
assert len(sources) > 400, len(sources)

def is_stale(source):
    compiled = Path(importlib.util.cache_from_source(source))
    if not compiled.exists():
        return True
    head, found = compiled.read_bytes()[:16], source.stat()
    by_time = int.from_bytes(head[4:8], "little") == 0  # PEP 552; otherwise the file is told by a hash
    words = [int.from_bytes(head[at:at + 4], "little") for at in (8, 12)]
    return by_time and words != [int(found.st_mtime) & 0xFFFFFFFF, found.st_size & 0xFFFFFFFF]

print([str(source) for source in sources if is_stale(source)])
"""


def test_every_module_of_the_dumper_lies_compiled_in_its_image() -> None:
    image = skip_without_image("dumper")
    isolated = ("run", "--rm", "--read-only", "--network", "none", "--entrypoint", "python")
    assert ensure_engine().run(*isolated, image, "-c", _PROGRAM).stdout == "[]\n"
