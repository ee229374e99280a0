"""The Gateway over ``kubernetes.aio``: plain JSON in and out, one place for every request.

The client's generated classes are passed by: they drop fields that they do not know, so that a manifest read and
written back would lose them. Its connection, login and token refresh are what we take. No retries here: the queue
repeats a whole reconcile, which reads anew, and a repeated POST could not be told from a second one. Only a request
that the server did not even look at (429) is sent again: a pass of ten calls would never get through a busy server.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from vya_backupdb.domain.errors import ConfigurationError
from vya_backupdb.domain.redact import Redactor
from vya_backupdb.domain.yaml_text import yaml_text
from vya_backupdb.kube.errors import Conflict, KubernetesError, NotFound, TooManyRequests, Unavailable, map_status
from vya_backupdb.kube.gateway import CRONJOBS, EVENTS, FIELD_MANAGER, PAGE, Manifest, ResourceType

SECONDS: Final = 30
#: How often a request that the server put off (429) is sent again, and the longest pause (s) that is waited out here.
PATIENCE: Final = 5
LONGEST_PAUSE: Final = 10.0
_JSON: Final = "application/json"
#: With the parameter the client takes the text as it is; without it, it would write JSON that no YAML parser reads.
_APPLY: Final = "application/apply-patch+yaml; charset=utf-8"
_MERGE: Final = "application/merge-patch+json"
_redact = Redactor()


class AioGateway:
    """Talks to one API server. Use as an async context manager: it holds connections."""

    def __init__(self, configuration: Configuration) -> None:
        self._client = ApiClient(configuration)
        self._client.user_agent = FIELD_MANAGER

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, type_: ResourceType, namespace: str, name: str) -> Manifest:
        """Return the object. Raise NotFound."""
        return await self._call("GET", _path(type_, namespace, name))

    async def find(self, type_: ResourceType, namespace: str | None, labels: Mapping[str, str]) -> list[Manifest]:
        """Return the objects with these `labels`, page by page."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return await self._pages(type_, namespace, {"labelSelector": selector} if selector else {})

    async def events_about(self, namespace: str, uid: str) -> list[Manifest]:
        """Return the Events about the object of this `uid`."""
        return await self._pages(EVENTS, namespace, {"fieldSelector": f"involvedObject.uid={uid}"})

    async def create(self, type_: ResourceType, manifest: Manifest) -> Manifest:
        """POST the object. Raise AlreadyExists."""
        path = _path(type_, manifest["metadata"]["namespace"])
        return await self._call("POST", path, query={"fieldManager": FIELD_MANAGER}, body=manifest)

    async def apply(self, type_: ResourceType, manifest: Manifest, *, uid: str | None) -> Manifest:
        """Server-side apply, by force: whoever changed one of our fields on our own object did not mean it."""
        meta = manifest["metadata"]
        if uid is not None:
            manifest = {**manifest, "metadata": {**meta, "uid": uid}}
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = _path(type_, meta["namespace"], meta["name"])
        return await self._call("PATCH", path, query=query, body=yaml_text(manifest), content_type=_APPLY)

    async def suspend(self, namespace: str, name: str, *, uid: str) -> None:
        """Merge ``spec.suspend: true`` into the CronJob of this `uid`."""
        patch = {"metadata": {"uid": uid}, "spec": {"suspend": True}}
        path = _path(CRONJOBS, namespace, name)
        await self._call("PATCH", path, query={"fieldManager": FIELD_MANAGER}, body=patch, content_type=_MERGE)

    async def replace_status(self, type_: ResourceType, manifest: Manifest, status: Mapping[str, Any]) -> Manifest:
        """PUT the status of the object as it was read; its resourceVersion is the precondition."""
        meta = manifest["metadata"]
        # managedFields would be read back as ours; without them the server keeps its own account
        kept = {key: value for key, value in meta.items() if key != "managedFields"}
        body = {**manifest, "apiVersion": type_.api_version, "kind": type_.kind, "metadata": kept, "status": status}
        path = f"{_path(type_, meta['namespace'], meta['name'])}/status"
        return await self._call("PUT", path, query={"fieldManager": FIELD_MANAGER}, body=body)

    async def delete(self, type_: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        """DELETE with the uid as precondition; a Conflict means that it is another object by now, so ours is gone."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        try:
            await self._call("DELETE", _path(type_, namespace, name), body=options)
        except (NotFound, Conflict):
            return

    async def _pages(self, type_: ResourceType, namespace: str | None, query: Mapping[str, str]) -> list[Manifest]:
        items: list[Manifest] = []
        following = ""
        while True:
            page = {**query, "limit": str(PAGE), **({"continue": following} if following else {})}
            answer = await self._call("GET", _path(type_, namespace), query=page)
            # a list's items lack what every single object has
            items += [{"apiVersion": type_.api_version, "kind": type_.kind, **item} for item in answer["items"] or ()]
            following = answer.get("metadata", {}).get("continue") or ""
            if not following:
                return items

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = _JSON,
    ) -> Manifest:
        """Send a request and return the JSON of its answer; what the server has put off it is asked again.

        Raise what `map_status` makes of a refusal.
        """
        for _ in range(PATIENCE):
            try:
                return await self._once(method, path, query, body, content_type)
            except TooManyRequests as error:
                if error.retry_after > LONGEST_PAUSE:
                    raise
                await asyncio.sleep(error.retry_after)
        return await self._once(method, path, query, body, content_type)

    async def _once(
        self, method: str, path: str, query: Mapping[str, str] | None, body: Any, content_type: str
    ) -> Manifest:
        request = await self._client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": _JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client.call_api(*request, _request_timeout=SECONDS)
            data = await answer.read()  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            text = _redact(str(error)) or type(error).__name__
            raise Unavailable(f"the API server did not answer {method} {path}: {text}") from error
        if 200 <= answer.status < 300:
            return _json(data)
        raise _refusal(answer.status, data, answer.headers.get("Retry-After"), f"{method} {path}")


async def connect(*, kubeconfig: str | None) -> AioGateway:
    """Return a Gateway to the cluster of `kubeconfig`, or, if that is None, of the pod that we run in.

    Raise ConfigurationError where neither is to be had.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(Path(kubeconfig).expanduser()),
                client_configuration=configuration,
                # a kubeconfig is the user's: a refreshed token is not written into it
                persist_config=False,
            )
    except (config.ConfigException, OSError) as error:
        where = kubeconfig or "the pod's service account"
        hint = "Run inside a cluster, or name a kubeconfig file in KUBECONFIG."
        raise ConfigurationError(f"no way to the API server by {where}: {error}", hint=hint) from error
    return AioGateway(configuration)


def _path(type_: ResourceType, namespace: str | None, name: str | None = None) -> str:
    root = f"/apis/{type_.group}/{type_.version}" if type_.group else f"/api/{type_.version}"
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
    return f"{root}{within}/{type_.plural}" + (f"/{quote(name, safe='')}" if name is not None else "")


def _json(data: bytes) -> Manifest:
    parsed = json.loads(data) if data else {}
    return parsed if isinstance(parsed, dict) else {}


def _refusal(code: int, data: bytes, retry_after: str | None, what: str) -> KubernetesError:
    try:
        status = _json(data)
    except ValueError:
        status = {}
    message = _redact(str(status.get("message") or data[:200].decode("utf-8", "replace")))[:1000]
    if any(cause.get("field") == "metadata.uid" for cause in (status.get("details") or {}).get("causes") or ()):
        # a PATCH that names another object's uid is told to be invalid, where a DELETE is told to be in conflict
        return Conflict(f"{what}: {message}")
    pause = float(retry_after) if retry_after and retry_after.isdigit() else None
    return map_status(code, str(status.get("reason") or ""), f"{what}: {message}", retry_after=pause)
