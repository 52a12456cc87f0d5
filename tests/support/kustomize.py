"""What `kustomize build` makes of a folder, for the features that our overlays use and no others.

A stranger feature is an error, so that a manifest is never checked in another form than the one
that a cluster gets. Where kubectl is installed, a test compares both.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_KNOWN = {
    "apiVersion", "kind", "namespace", "labels", "resources", "images", "replicas",
    "configMapGenerator", "patches",
}  # fmt: skip
_WITHOUT_NAMESPACE = {"Namespace"}


def build(folder: Path) -> list[Manifest]:
    """All manifests of a kustomization; generated names lack the hash that kustomize appends."""
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    _require(not set(said) - _KNOWN, f"{folder}: {set(said) - _KNOWN}")
    manifests = [each for name in said["resources"] for each in _resource(folder / name)]
    for each in said.get("configMapGenerator", []):
        _generate(folder, each, manifests)
    for manifest in manifests:
        if "namespace" in said and manifest["kind"] not in _WITHOUT_NAMESPACE:
            manifest["metadata"]["namespace"] = said["namespace"]
        for each in said.get("labels", []):
            _require(set(each) == {"pairs", "includeSelectors"}, f"labels: {each}")
            _require(each["includeSelectors"] is False, "labels in selectors")
            manifest["metadata"].setdefault("labels", {}).update(each["pairs"])
    for each in said.get("patches", []):
        _patch(folder, each, manifests)
    for each in said.get("replicas", []):
        for manifest in _named(manifests, each["name"], "Deployment", "StatefulSet"):
            manifest["spec"]["replicas"] = each["count"]
    for manifest in manifests:
        _set_images(manifest, {each["name"]: each for each in said.get("images", [])})
    return manifests


def pod_spec(manifest: Manifest) -> dict[str, Any] | None:
    """The pods that a workload makes."""
    template = manifest.get("spec", {}).get("template")
    return template["spec"] if template else None


def _named(manifests: list[Manifest], name: str, *kinds: str) -> list[Manifest]:
    return [
        each for each in manifests if each["kind"] in kinds and each["metadata"]["name"] == name
    ]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(f"this reader of kustomize does not know: {message}")


def _resource(path: Path) -> list[Manifest]:
    if path.is_dir():
        return build(path.resolve())
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def _generate(folder: Path, said: dict[str, Any], manifests: list[Manifest]) -> None:
    _require(not set(said) - {"name", "envs", "literals", "behavior"}, f"generator {said}")
    lines = [
        line
        for name in said.get("envs", [])
        for line in (folder / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    data = dict(line.split("=", 1) for line in [*lines, *said.get("literals", [])])
    same = _named(manifests, said["name"], "ConfigMap")
    _require(bool(same) == (said.get("behavior") == "merge"), f"behavior of {said['name']}")
    if same:
        same[0]["data"].update(data)
    else:
        metadata = {"name": said["name"]}
        manifests.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        )


def _patch(folder: Path, said: dict[str, Any], manifests: list[Manifest]) -> None:
    _require(set(said) == {"path", "target"}, f"patch {said}")
    _require(set(said["target"]) == {"kind", "name"}, f"target {said['target']}")
    operations = yaml.safe_load((folder / said["path"]).read_text())
    _require(isinstance(operations, list), f"{said['path']} is no JSON patch")
    found = _named(manifests, said["target"]["name"], said["target"]["kind"])
    _require(len(found) == 1, f"the target {said['target']} is there {len(found)} times")
    for operation in operations:
        _apply(found[0], copy.deepcopy(operation))


def _apply(manifest: Manifest, operation: dict[str, Any]) -> None:
    """`add` and `replace` of RFC 6902; `replace` only of what is there."""
    *parents, last = operation["path"].removeprefix("/").split("/")
    place: Any = manifest
    for step in parents:
        place = place[int(step) if isinstance(place, list) else step.replace("~1", "/")]
    last = last.replace("~1", "/")
    match operation["op"], place:
        case "add", list() if last == "-":
            place.append(operation["value"])
        case "add", dict():
            place[last] = operation["value"]
        case "replace", dict() if last in place:
            place[last] = operation["value"]
        case _:
            raise ValueError(f"{operation['op']} {operation['path']} does not apply")


def _set_images(manifest: Manifest, images: dict[str, dict[str, str]]) -> None:
    for container in (pod_spec(manifest) or {}).get("containers", []):
        if said := images.get(container["image"]):
            container["image"] = f"{said['newName']}:{said['newTag']}"
