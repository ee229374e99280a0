"""What the dumper calls by its path, called by the Secret and the key that a user knows.

The dumper reads files and knows of no Kubernetes; who reads its sentence in a condition never sees its files.
"""

from dataclasses import replace

from vya_backupdb.builders.config import CA, CLIENT_CERTIFICATE, CREDENTIALS, KEYRING, MOUNT
from vya_backupdb.domain.specs import BackupInstance
from vya_backupdb.reconcile.world import JobView


def by_source(job: JobView, instance: object) -> JobView:
    """Return `job` with the files of `instance` in what its pods said named by where they come from."""
    if not isinstance(instance, BackupInstance) or not any(MOUNT in pod.message for pod in job.pods):
        return job
    names = _names(instance)
    return replace(job, pods=tuple(replace(pod, message=_renamed(pod.message, names)) for pod in job.pods))


def _names(instance: BackupInstance) -> dict[str, str]:
    """Return the name of each file, and of their folders; all are plain text that JSON need not escape."""
    given, tls = instance.spec.credentials, instance.spec.tls
    keys = (given.username_key, given.password_key)
    sources: list[tuple[str, str, str, tuple[str, ...]]] = [("Secret", given.secret_ref.name, CREDENTIALS, keys)]
    if given.keyring_secret_ref is not None:
        sources.append(("Secret", given.keyring_secret_ref.name, KEYRING, (given.keyring_secret_ref.key,)))
    if tls is not None and tls.ca is not None:
        sources.append(("Secret" if tls.ca_secret_ref else "ConfigMap", tls.ca.name, CA, (tls.ca.key,)))
    if tls is not None and tls.client_certificate_secret_ref is not None:
        name = tls.client_certificate_secret_ref.name
        sources.append(("Secret", name, CLIENT_CERTIFICATE, ("tls.crt", "tls.key")))
    files = {
        f"{MOUNT}/{folder}/{key}": f"key {key} of {kind} {name}" for kind, name, folder, keys in sources for key in keys
    }
    return {**files, **{f"{MOUNT}/{folder}": f"{kind} {name}" for kind, name, folder, _ in sources}}


def _renamed(text: str, names: dict[str, str]) -> str:
    # longest first: one key may be the beginning of another, and a folder is that of its files
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return text
