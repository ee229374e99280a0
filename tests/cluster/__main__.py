"""`python -m tests.cluster`: the cluster under the tests, from the command line."""

import argparse
import sys

from tests.cluster import api, cluster, paths
from tests.cluster.cluster import Cluster, ClusterError
from tests.cluster.command import CommandError, NotRootError, say_to_stderr
from tests.cluster.dockerd import DaemonError
from tests.cluster.engine import EngineUnavailable, find_engine

_KNOWN_ERRORS = (EngineUnavailable, ClusterError, CommandError, DaemonError, NotRootError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="bring up the cluster, or find it up")
    up.add_argument("--nodes", type=int, default=1)
    down = commands.add_parser("down", help="take it away")
    down.add_argument("--engine", action="store_true", help="stop the private Docker engine, too")
    load = commands.add_parser("load", help="give images of the engine to the nodes")
    load.add_argument("images", nargs="+", metavar="IMAGE")
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    commands.add_parser("env", help="print what to export, to look around with kubectl and docker")
    commands.add_parser("status", help="say what is up")
    logs = commands.add_parser("logs", help="print a component's log")
    logs.add_argument("node")
    logs.add_argument("component", help="kubelet, kube-apiserver, containerd, …")
    execute = commands.add_parser("exec", help="run a command on a node")
    execute.add_argument("node")
    execute.add_argument("argv", nargs="+", metavar="CMD")
    return parser


def _up(arguments: argparse.Namespace) -> int:
    api.ensure_cluster(arguments.nodes)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    api.take_down(engine=arguments.engine)
    return 0


def _kubeconfig(_: argparse.Namespace) -> int:
    print(paths.kubeconfig())
    return 0


def _env(_: argparse.Namespace) -> int:
    engine = find_engine()
    for name, value in {**(engine.environ() if engine else {}), **cluster.environ()}.items():
        print(f"export {name}={value}")
    return 0


def _status(_: argparse.Namespace) -> int:
    engine = find_engine()
    print(f"engine: {engine.host + (' (private)' if engine.private else '') if engine else 'none answers'}")
    found = api.existing_cluster()
    if found is None:
        print("cluster: down")
        return 1
    print(f"cluster: up ({found.provider}), KUBECONFIG={found.kubeconfig}")
    print(found.kubectl("get", "nodes", "-o", "wide").stdout, end="")
    return 0


def _existing() -> Cluster:
    found = api.existing_cluster()
    if found is None:
        raise ClusterError("no cluster is up: bring it up with `make cluster-up`")
    return found


def _load(arguments: argparse.Namespace) -> int:
    _existing().load(*arguments.images)
    return 0


def _logs(arguments: argparse.Namespace) -> int:
    print(_existing().logs(arguments.node, arguments.component), end="")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    result = _existing().exec(arguments.node, *arguments.argv, check=False)
    sys.stdout.write(result.stdout)
    sys.stderr.write(result.stderr)
    return result.returncode


_COMMANDS = {
    "up": _up, "down": _down, "load": _load, "kubeconfig": _kubeconfig, "env": _env, "status": _status,
    "logs": _logs, "exec": _exec,
}  # fmt: skip


def main() -> int:
    """Run the command that is asked for; an error that we know is one message, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        return _COMMANDS[arguments.command](arguments)
    except _KNOWN_ERRORS as error:
        say_to_stderr(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say_to_stderr("interrupted; the same command goes on from here")
        return 130


if __name__ == "__main__":
    sys.exit(main())
