"""The CRDs: structural, described to the last field, bounded where CEL reads, and equal to what is committed."""

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.tools.generate import ROOT, generated

from vya_backupdb.builders.crd import crds

CRDS = crds()
# the limit of an annotation, which client-side apply needs for a copy of the whole object
MAX_BYTES = 262_144


def _name(crd: dict[str, Any]) -> str:
    return str(crd["spec"]["names"]["kind"])


def _root(crd: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _walk(node: dict[str, Any], path: str, in_list: bool = False) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield each node of a schema with its path and whether it lies in a list."""
    yield path, node, in_list
    for name, child in node.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}", in_list)
    if "items" in node:
        yield from _walk(node["items"], f"{path}[]", True)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _walk(node["additionalProperties"], f"{path}{{}}", True)


NODES = [(_name(crd), path, node, in_list) for crd in CRDS for path, node, in_list in _walk(_root(crd), "")]
PARTS = [(kind, path, node, in_list) for kind, path, node, in_list in NODES if path.startswith((".spec", ".status"))]


@pytest.mark.parametrize("crd", CRDS, ids=_name)
def test_kubernetes_own_schema_takes_it(crd: dict[str, Any]) -> None:
    kubernetes_validate.validate(crd, "1.36", strict=True)


def test_committed_files_are_what_the_models_make() -> None:
    for path, text in generated().items():
        assert (ROOT / path).read_text() == text, f"{path} is stale; run 'make generate'"


@pytest.mark.parametrize("crd", CRDS, ids=_name)
def test_fits_client_side_apply(crd: dict[str, Any]) -> None:
    assert len(yaml.safe_dump(crd)) < MAX_BYTES / 2


def test_every_field_is_described() -> None:
    silent = [
        f"{kind}{path}"
        for kind, path, node, _ in PARTS
        if not path.endswith(("[]", "{}")) and len(node.get("description", "")) < 8
    ]
    assert silent == []


def test_every_description_is_a_sentence() -> None:
    assert [path for _, path, node, _ in PARTS if not node.get("description", ".").endswith(".")] == []


def test_schema_is_structural() -> None:
    for kind, path, node, _ in NODES:
        at = f"{kind}{path}"
        assert not {"$ref", "$defs", "title", "const", "prefixItems"} & node.keys(), at
        if node.get("x-kubernetes-int-or-string"):
            assert "type" not in node, at
            continue
        assert "anyOf" not in node, at
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, f"{at} is {node.get('type')}"
        assert not ("properties" in node and "additionalProperties" in node), at


def test_every_text_list_and_map_is_bounded() -> None:
    for kind, path, node, _ in PARTS:
        at = f"{kind}{path}"
        if node.get("type") == "array":
            assert node["maxItems"] <= 256, at
        if node.get("type") == "string" and "enum" not in node and "format" not in node:
            assert node["maxLength"] <= 32_768, at
        if "additionalProperties" in node:
            assert node["maxProperties"] <= 32, at


def test_no_default_where_a_git_tool_would_see_a_difference_for_ever() -> None:
    for kind, path, node, in_list in NODES:
        if "default" in node and path != ".status":
            assert not in_list, f"{kind}{path}"
            assert path.startswith(".spec."), f"{kind}{path}"
            assert isinstance(node["default"], str | int | bool), f"{kind}{path}"


def test_enums_are_camel_case() -> None:
    words = {word for _, _, node, _ in PARTS for word in node.get("enum", ())}

    assert words >= {"MariaDB", "VerifyFull", "GFS", "Fail"}
    assert [word for word in words if not word[0].isupper()] == []


@pytest.mark.parametrize("crd", CRDS, ids=_name)
def test_status_says_not_yet_before_the_first_reconcile(crd: dict[str, Any]) -> None:
    status = _root(crd)["properties"]["status"]

    assert status["default"] == {"observedGeneration": -1}
    assert status["properties"]["conditions"]["x-kubernetes-list-type"] == "map"
    assert status["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}


def _has(root: dict[str, Any], path: str) -> bool:
    """Whether the schema knows the field at a column's path."""
    if path.startswith(".metadata"):
        return True
    node = root
    for part in path.replace("[?(@", "\0").split(".")[1:]:
        name = part.split("\0")[0]
        if not name or "\0" in part or "==" in part:
            return "conditions" in node.get("properties", {}) or name == "conditions"
        if name not in node.get("properties", {}):
            return False
        node = node["properties"][name]
    return True


@pytest.mark.parametrize("crd", CRDS, ids=_name)
def test_columns_and_selectors_name_fields_that_exist(crd: dict[str, Any]) -> None:
    version = crd["spec"]["versions"][0]
    for entry in (*version["additionalPrinterColumns"], *version["selectableFields"]):
        assert _has(_root(crd), entry["jsonPath"]), entry


def test_time_to_come_is_no_date_column() -> None:
    columns = [column for crd in CRDS for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]

    assert {column["jsonPath"]: column["type"] for column in columns}[".status.nextScheduleTime"] == "string"


def test_short_names_and_category() -> None:
    names = [crd["spec"]["names"] for crd in CRDS]

    assert [one["shortNames"] for one in names] == [["bki"], ["bks"], ["rr"]]
    assert all(one["categories"] == ["backupdb"] for one in names)
