"""``make demo``: the main job on a real cluster, from nothing to a database that is back, row for row.

What is applied lies in ``examples/`` and is applied as it is. The rows are compared by this script's own SQL, in the
servers' pods, not by the tool that is shown.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import images
from tests.cluster import Cluster, EngineUnavailable, ensure_cluster
from tests.cluster.cluster import ClusterError, environ
from tests.cluster.command import CommandError
from tests.cluster.engine import ensure_engine
from tests.demo import cli_story
from tests.demo.story import Story, StoryFailedError

CHECKOUT = Path(__file__).parents[2]
SHOP = ("customers", "products", "orders", "order_items", "audit")
CRM = ("accounts", "tickets", "events")
ROOT_OF_MARIADB = "MYSQL_PWD=$(cat /run/secrets/root/password) exec mariadb --user=root --batch --skip-column-names"


@contextmanager
def _commands() -> Iterator[Path]:
    """Give a folder whose `helm` is the PATH's, or Helm's own library under that name."""
    folder = Path(tempfile.mkdtemp(prefix="vya-demo-bin-"))
    try:
        if shutil.which("helm") is None:
            helm = folder / "helm"
            helm.write_text(f'#!/bin/sh\nPYTHONPATH="{CHECKOUT}" exec "{sys.executable}" -m tests.helm "$@"\n')
            helm.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(cluster: Cluster, say: Callable[[str], None]) -> None:
    """Make every image available and give it to the nodes, the servers' under their official names."""
    ours = [images.ensure(name, say) for name in ("operator", "dumper")]
    engine = ensure_engine(say)
    borrowed = []
    for official in ("mariadb:11.8", "postgres:17"):
        reference = images.ensure(official, say)
        if reference != official:
            engine.run("tag", reference, official)
            borrowed.append(official)
    cluster.load(*ours, "mariadb:11.8", "postgres:17")
    for official in borrowed:  # left behind, the name would pass for the official image
        engine.run("rmi", "--no-prune", official)


def _in_pod(story: Story, pod: str, script: str, statements: str) -> list[bytes]:
    """Run SQL in a server's pod; return the lines as bytes, for some values are no text."""
    argv = ("kubectl", "-n", "shop", "exec", "-i", pod, "--", "sh", "-c", script)
    done = subprocess.run(argv, input=statements.encode(), env=dict(story.environ), capture_output=True, check=False)
    if done.returncode:
        raise StoryFailedError(f"step {story.steps}: SQL in {pod}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.split(b"\n")[:-1]  # not splitlines: a value may hold a carriage return


def _print_of(rows: list[bytes]) -> str:
    return f"{len(rows):>6} rows  sha256 {hashlib.sha256(b'/'.join(sorted(rows))).hexdigest()[:16]}…"


def _mariadb_prints(story: Story, database: str) -> dict[str, str]:
    script = f"{ROOT_OF_MARIADB} {database}"
    return {table: _print_of(_in_pod(story, "mariadb-0", script, f"SELECT * FROM {table}")) for table in SHOP}


def _postgresql_prints(story: Story, database: str) -> dict[str, str]:
    script = f"exec psql -X -U postgres -d {database} -At"
    return {table: _print_of(_in_pod(story, "postgresql-0", script, f"SELECT t::text FROM {table} t")) for table in CRM}


def _show_prints(story: Story, database: str, prints: dict[str, str]) -> None:
    for table, line in prints.items():
        story.say(f"{f'{database}.{table}':<28} {line}")


def _kubectl(story: Story, *words: str) -> str:
    return story.run(["kubectl", "-n", "shop", *words])


def _files(*names: str) -> Iterator[str]:
    for name in names:
        yield from ("-f", f"examples/{name}.yaml")


def _install(story: Story) -> None:
    story.step("A namespace under Pod Security 'restricted', and the operator with its chart")
    story.run(["kubectl", "apply", "-f", "examples/10-namespace.yaml"])
    # this namespace alone: another operator in this cluster, of a test say, keeps to its own
    helm = ["helm", "upgrade", "--install", "vya-backupdb", "charts/vya-backupdb", "-n", "vya-backupdb"]
    story.run([*helm, "--create-namespace", "--set-json", 'watchNamespaces=["shop"]'], quiet=True)
    story.run(["kubectl", "-n", "vya-backupdb", "rollout", "status", "deployment/vya-backupdb", "--timeout=180s"])
    story.run(["kubectl", "api-resources", "--api-group=backupdb.vya.digital"])


def _servers(story: Story) -> None:
    story.step("Passwords, a volume, and two servers with data")
    story.run(["examples/20-secrets.sh"])
    story.run(["kubectl", "apply", *_files("30-volume", "40-mariadb", "41-postgresql")])
    for name in ("mariadb", "postgresql"):
        _kubectl(story, "rollout", "status", f"statefulset/{name}", "--timeout=300s")


def _back_up(story: Story) -> None:
    story.step("What is backed up, and when")
    story.run(["kubectl", "apply", *_files("50-instances", "60-schedules")])
    _kubectl(story, "wait", "--for=condition=Ready", "backupinstance", "--all", "--timeout=300s")
    _kubectl(story, "get", "backupinstances")

    story.step("Back up now: any new value of manualTrigger runs a Job")
    value = f"demo-{int(time.time())}"
    for name in ("mariadb-nightly", "postgresql-hourly"):
        _kubectl(story, "patch", "backupschedule", name, "--type=merge", f'-p={{"spec":{{"manualTrigger":"{value}"}}}}')
    for name in ("mariadb-nightly", "postgresql-hourly"):
        _kubectl(
            story,
            "wait",
            f"--for=jsonpath={{.status.lastManualTrigger}}={value}",
            f"backupschedule/{name}",
            "--timeout=300s",
        )
        _kubectl(story, "wait", "--for=condition=LastBackupSucceeded", f"backupschedule/{name}", "--timeout=300s")
    _kubectl(story, "get", "jobs,cronjobs")

    story.step("The tree on the volume")
    story.run(["kubectl", "apply", "-f", "examples/80-look.yaml"])
    _kubectl(story, "wait", "--for=condition=Ready", "pod/look", "--timeout=120s")
    _kubectl(story, "exec", "look", "--", "find", ".", "-type", "f", "-not", "-path", "*/.*", "-printf", "%9s  %P\\n")


def _restore(story: Story) -> None:
    before, crm = _mariadb_prints(story, "shop"), _postgresql_prints(story, "crm")

    story.step("Disaster: the database 'shop' is dropped")
    _show_prints(story, "shop", before)
    _in_pod(story, "mariadb-0", ROOT_OF_MARIADB, "DROP DATABASE shop")
    story.say("MariaDB [(none)]> DROP DATABASE shop;")

    story.step("Restore it, and restore 'crm' beside itself under another name")
    story.run(["kubectl", "apply", *_files("70-restore", "71-restore-beside")])
    _kubectl(
        story,
        "wait",
        "--for=condition=Succeeded",
        "restorerequest/shop-back",
        "restorerequest/crm-beside",
        "--timeout=300s",
    )
    after, beside = _mariadb_prints(story, "shop"), _postgresql_prints(story, "crm_as_it_was")
    _show_prints(story, "shop", after)
    story.expect(after == before, "shop: every row of every table is back, byte for byte", "the rows of shop differ")
    _show_prints(story, "crm_as_it_was", beside)
    story.expect(beside == crm, "crm_as_it_was holds exactly the rows of crm", "the rows of crm_as_it_was differ")

    story.step("The same request again, as Git would apply it: it does not run twice")
    _kubectl(story, "delete", "restorerequest", "shop-back")
    story.run(["kubectl", "apply", "-f", "examples/70-restore.yaml"])
    _kubectl(story, "wait", "--for=condition=Succeeded=False", "restorerequest/shop-back", "--timeout=300s")
    reason = 'jsonpath={range .status.conditions[?(@.type=="Succeeded")]}{.reason}: {.message}{"\\n"}{end}'
    _kubectl(story, "get", "restorerequest", "shop-back", "-o", reason)


def _tell(story: Story, cluster: Cluster) -> None:
    _install(story)
    _servers(story)
    _back_up(story)
    _restore(story)
    story.step("The dashboard")
    _kubectl(story, "get", "bki,bks,rr")
    print(
        f"""
Done in {story.elapsed():.0f} s. The cluster stays up. To look around:

   export KUBECONFIG={cluster.kubeconfig} PATH={environ()["PATH"].split(os.pathsep)[0]}:$PATH
   kubectl -n shop get bki,bks,rr
   kubectl -n shop describe backupschedule mariadb-nightly
   kubectl explain backupschedule.spec.retention
   kubectl -n shop exec look -- sh -c 'zcat mariadb/mariadb/shop/*/*.sql.gz | head -40'

To clean up: kubectl delete namespace shop; or the whole cluster: make cluster-down"""
    )


def _clean_slate(story: Story, cluster: Cluster) -> None:
    """Remove what an earlier demonstration left: the story tells of a new server and an empty volume."""
    if cluster.kubectl("get", "namespace", "shop", check=False).returncode == 0:
        story.step("Remove what an earlier demonstration left")
        story.run(["kubectl", "delete", "namespace", "shop", "--timeout=180s"])


def main() -> int:
    """Tell the story; return 0, or 1 with the step that failed. Where no cluster can run, tell the other one."""
    os.chdir(CHECKOUT)
    story = Story({})
    story.title(
        "VYA BackupDB on a real Kubernetes cluster",
        "Two database servers are backed up to a volume; one loses a database, and gets it back.",
    )
    try:
        story.step("A Kubernetes cluster (the first time it is compiled: 7 to 15 minutes on 2 cores; then 20 seconds)")
        cluster = ensure_cluster(say=story.say)
    except EngineUnavailable as reason:
        print(f"\nNo cluster can run on this machine ({reason}), so here is the same story without one.\n")
        return cli_story.main()
    except (ClusterError, CommandError) as error:
        print(f"\nthe cluster did not come up: {error}", file=sys.stderr)
        return 1
    with _commands() as folder:
        path = f"{folder}:{environ()['PATH'].split(os.pathsep)[0]}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        story.environ = {**os.environ, **environ(), "PATH": path}
        try:
            story.run(["kubectl", "get", "nodes"])
            _clean_slate(story, cluster)
            story.step("Images: the operator, the dumper, and two servers")
            _load(cluster, story.say)
            _tell(story, cluster)
        except (StoryFailedError, images.ImageUnavailableError, CommandError) as error:
            print(f"\nthe demonstration stopped: {error}", file=sys.stderr)
            return 1
    return 0
