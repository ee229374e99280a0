"""The images of our own nodes: the node itself, the pods' pause, CoreDNS, and a busybox for tests.

Made from Debian packages and from what `compile` made, so no registry is needed. A node image's tag is a hash of all
that it holds: a changed node is a new image, and an unchanged one is never built twice.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from tests.cluster import paths
from tests.cluster.command import Say, as_root, pipe
from tests.cluster.compile import compiled
from tests.cluster.engine import Engine
from tests.cluster.packages import ensure_packages

PAUSE: Final = "vya-backupdb-test/pause:1"
COREDNS: Final = "vya-backupdb-test/coredns:1"
BUSYBOX: Final = "vya-backupdb-test/busybox:1"
SUPPORT: Final = (PAUSE, COREDNS, BUSYBOX)

_SUITE: Final = "trixie"
_PACKAGES: Final = (
    "containerd", "runc", "containernetworking-plugins", "etcd-server", "iptables", "iproute2", "conntrack",
    "mount", "util-linux", "procps", "kmod", "tzdata", "busybox-static",
)  # fmt: skip
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def ensure_node_image(engine: Engine, say: Say) -> str:
    """Make what is missing of the binaries and images, and return the reference of the node's."""
    kubernetes, coredns, pause = (compiled(program, say) for program in ("kubernetes", "coredns", "pause"))
    _link_kubectl(kubernetes)
    base = _ensure_base(engine, say)
    node = f"vya-backupdb-test/node:{_hash(base, kubernetes.name, *_contents())}"
    if not _exists(engine, node):
        say("building the node image")
        files = {"kubernetes": kubernetes, **{path.name: path for path in (paths.HERE / "node").iterdir()}}
        _build(engine, node, files, "--build-arg", f"BASE={base}")
    _ensure_support(engine, node, coredns, pause)
    return node


def save_all(engine: Engine, target: Path, say: Say) -> None:
    """Write an archive of everything that a cluster needs, for an engine that cannot build it itself."""
    node = ensure_node_image(engine, say)
    engine.run("save", "--output", str(target), node, _ensure_base(engine, say), *SUPPORT)


def _link_kubectl(kubernetes: Path) -> None:
    aside = paths.binaries() / ".kubectl.new"
    aside.unlink(missing_ok=True)
    aside.symlink_to(kubernetes.name)
    aside.rename(paths.binaries() / "kubectl")


def _ensure_base(engine: Engine, say: Say) -> str:
    base = f"vya-backupdb-test/node-base:{_hash(_SUITE, *_PACKAGES)}"
    if not _exists(engine, base):
        ensure_packages("mmdebstrap", say=say)
        say(f"installing Debian {_SUITE} for the nodes (half a minute)")
        excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        packages = f"--include={','.join(_PACKAGES)}"
        bootstrap = (*as_root(), "mmdebstrap", "--quiet", "--variant=minbase", *excluded, packages, _SUITE, "-")
        pipe(bootstrap, ("docker", "import", "-", base), {**os.environ, **engine.environ()})
    return base


def _ensure_support(engine: Engine, node: str, coredns: Path, pause: Path) -> None:
    for image, program in ((PAUSE, pause), (COREDNS, coredns)):
        if _label(engine, image) != program.name:
            name = image.partition(":")[0].rpartition("/")[2]
            recipe = f'FROM scratch\nCOPY {name} /{name}\nLABEL made-of={program.name}\nENTRYPOINT ["/{name}"]\n'
            _build(engine, image, {name: program}, recipe=recipe)
    if _label(engine, BUSYBOX) != "node":
        recipe = (
            f"FROM {node} AS node\nFROM scratch\nCOPY --from=node /bin/busybox /bin/busybox\n"
            'RUN ["/bin/busybox", "--install", "/bin"]\nLABEL made-of=node\nCMD ["/bin/sh"]\n'
        )
        _build(engine, BUSYBOX, {}, recipe=recipe)


def _build(engine: Engine, image: str, files: dict[str, Path], *arguments: str, recipe: str = "") -> None:
    with tempfile.TemporaryDirectory(dir=paths.cache(), prefix=".context-") as context:
        for name, path in files.items():
            shutil.copyfile(path, Path(context, name))
            Path(context, name).chmod(path.stat().st_mode & 0o777)
        if recipe:
            Path(context, "Dockerfile").write_text(recipe)
        engine.run("build", "--quiet", "--tag", image, *arguments, context)


def _exists(engine: Engine, image: str) -> bool:
    return engine.run("image", "inspect", image, check=False).returncode == 0


def _label(engine: Engine, image: str) -> str:
    template = '{{index .Config.Labels "made-of"}}'
    return engine.run("image", "inspect", "--format", template, image, check=False).stdout.strip()


def _contents() -> list[str]:
    return [path.read_text() for path in sorted((paths.HERE / "node").iterdir())]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
