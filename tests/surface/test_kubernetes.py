"""The manifests of every overlay: valid, safe, and in step with the code that they run."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from pipelines.queue.broker import QUEUE
from pipelines.rerank.streams.wire import Stream
from pipelines.settings import Settings
from tests.support.keda import SCHEMAS
from tests.support.kustomize import Manifest, build, pod_spec

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "infra" / "kubernetes" / "overlays"
NAMES = sorted(path.name for path in OVERLAYS.iterdir())
BUILT = {name: build(OVERLAYS / name) for name in NAMES}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
# Read by the code without being a field of the settings.
OTHER_VARIABLES = {"TWOFOLD_SECRETS_DIR"}


def of_kind(name: str, *kinds: str) -> list[Manifest]:
    return [each for each in BUILT[name] if each["kind"] in kinds]


def one(name: str, kind: str, of: str) -> Manifest:
    [found] = [each for each in of_kind(name, kind) if each["metadata"]["name"] == of]
    return found


def settings_of(name: str) -> dict[str, str]:
    return one(name, "ConfigMap", "settings")["data"]


def containers(name: str) -> list[tuple[Manifest, dict[str, Any], dict[str, Any]]]:
    return [
        (workload, pod, container)
        for workload in of_kind(name, *WORKLOADS)
        for pod in [pod_spec(workload) or {}]
        for container in pod["containers"]
    ]


def violations(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """What a container may that it must not."""
    whole, own = pod.get("securityContext", {}), container.get("securityContext", {})
    rules = {
        "root": whole.get("runAsNonRoot") is True and whole.get("runAsUser", 0) > 0,
        "system calls": whole.get("seccompProfile") == {"type": "RuntimeDefault"},
        "escalation": own.get("allowPrivilegeEscalation") is False,
        "privileged": not own.get("privileged"),
        "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "writable root": own.get("readOnlyRootFilesystem") is True,
        "the node": not {"hostNetwork", "hostPID", "hostIPC"} & set(pod),
        "its disk": all("hostPath" not in each for each in pod.get("volumes", [])),
        "the cluster": pod.get("automountServiceAccountToken") is False,
        "memory without limit": "memory" in container.get("resources", {}).get("limits", {}),
        "any version": ":" in container["image"] and not container["image"].endswith(":latest"),
    }
    return [what for what, kept in rules.items() if not kept]


@pytest.mark.parametrize("name", NAMES)
def test_every_manifest_is_what_kubernetes_and_keda_accept(name: str) -> None:
    for manifest in BUILT[name]:
        if schema := SCHEMAS.get(manifest["kind"]):
            jsonschema.validate(manifest, schema)
        else:
            kubernetes_validate.validate(manifest, "1.31", strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_no_container_may_more_than_it_needs(name: str) -> None:
    found = {
        workload["metadata"]["name"]: violations(pod, container)
        for workload, pod, container in containers(name)
    }
    assert {who: what for who, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("where", "change", "what"),
    [
        ("pod", {"securityContext": {"runAsUser": 0}}, "root"),
        ("pod", {"hostNetwork": True}, "the node"),
        ("pod", {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "its disk"),
        ("pod", {"automountServiceAccountToken": True}, "the cluster"),
        ("container", {"securityContext": {"privileged": True}}, "privileged"),
        ("container", {"image": "twofold:latest"}, "any version"),
        ("container", {"resources": {}}, "memory without limit"),
    ],
)
def test_the_policy_notices_a_container_that_may_too_much(where, change, what) -> None:
    _, pod, container = containers("cpu")[0]
    planted = {"pod": pod, "container": container}
    planted[where] = planted[where] | change
    assert what in violations(**planted)


@pytest.mark.parametrize("name", NAMES)
def test_every_process_is_probed_and_drains_before_it_is_killed(name: str) -> None:
    drain_s = Settings.model_fields["drain_s"].default
    for workload, pod, container in containers(name):
        if workload["kind"] == "Job":
            continue
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        if container["image"].startswith("twofold"):
            assert pod["terminationGracePeriodSeconds"] > drain_s


@pytest.mark.parametrize("name", NAMES)
def test_what_a_probe_and_a_service_name_as_port_is_one(name: str) -> None:
    ports = {
        workload["metadata"]["name"]: {each["name"]: each["containerPort"] for each in named}
        for workload, _, container in containers(name)
        for named in [container.get("ports", [])]
    }
    for workload, _, container in containers(name):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket"):
                if said := container.get(probe, {}).get(how):
                    assert said["port"] in ports[workload["metadata"]["name"]]
    for service in of_kind(name, "Service"):
        selected = service["spec"]["selector"]["app.kubernetes.io/name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in ports[selected]


@pytest.mark.parametrize("name", NAMES)
def test_every_selector_finds_a_workload_and_every_workload_its_own_pods(name: str) -> None:
    labels = {}
    for workload in of_kind(name, *WORKLOADS):
        said = workload["spec"]["template"]["metadata"]["labels"]
        labels[said["app.kubernetes.io/name"]] = workload["metadata"]["name"]
        if workload["kind"] != "Job":
            assert workload["spec"]["selector"]["matchLabels"] == said
    wanted = {
        str(value)
        for manifest in BUILT[name]
        if manifest["kind"] not in WORKLOADS
        for value in _selected(manifest.get("spec", {}))
    }
    assert wanted <= set(labels)
    assert {"api", "ingest", "reranker", "redis", "qdrant"} <= wanted
    scaled = of_kind(name, "ScaledObject", "HorizontalPodAutoscaler")
    for each in scaled:
        target = each["spec"]["scaleTargetRef"]["name"]
        # Two that decide about one number would fight.
        assert "replicas" not in one(name, "Deployment", target)["spec"]
    assert len({each["spec"]["scaleTargetRef"]["name"] for each in scaled}) == len(scaled) == 3


def _selected(said: Any) -> list[Any]:
    """Every value of `app.kubernetes.io/name` that is looked for, at any depth."""
    match said:
        case {"key": "app.kubernetes.io/name", "values": values}:
            return list(values)
        case dict():
            own = [value for key, value in said.items() if key == "app.kubernetes.io/name"]
            return own + [found for value in said.values() for found in _selected(value)]
        case list():
            return [found for each in said for found in _selected(each)]
    return []


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_one_that_there_is(name: str) -> None:
    known = {f"TWOFOLD_{field.upper()}" for field in Settings.model_fields} | OTHER_VARIABLES
    said = set(settings_of(name))
    for _, _, container in containers(name):
        said |= {each["name"] for each in container.get("env", [])}
    assert {each for each in said if each.startswith("TWOFOLD_")} <= known
    Settings.model_validate(
        {key.removeprefix("TWOFOLD_").lower(): value for key, value in settings_of(name).items()}
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_runs_a_module_that_there_is(name: str) -> None:
    modules = {
        command[2]
        for _, _, container in containers(name)
        for command in [
            container["command"],
            *(probe["exec"]["command"] for key, probe in container.items() if "exec" in probe),
        ]
        if command[:2] == ["python", "-m"]
    }
    assert modules == {"services.api", "services.ingest", "services.reranker"}
    for module in modules:
        assert importlib.util.find_spec(f"{module}.__main__"), module


@pytest.mark.parametrize("name", NAMES)
def test_only_who_needs_a_secret_gets_it_and_the_script_makes_every_one(
    name: str, tmp_path: Path
) -> None:
    subprocess.run(
        ["/bin/sh", ROOT / "infra" / "secrets.sh", tmp_path], check=True, capture_output=True
    )
    made = {path.stem for path in tmp_path.rglob("*")}
    asked: dict[str, set[str]] = {}
    for workload, pod, _ in containers(name):
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] == "twofold"
                keys = {each["key"] for each in volume["secret"]["items"]}
                asked[workload["metadata"]["name"]] = keys
    assert set().union(*asked.values()) <= made
    assert asked["reranker"] == {"twofold_redis_url"}
    assert [who for who, keys in asked.items() if "api_keys" in keys] == ["api"]


@pytest.mark.parametrize("name", NAMES)
def test_queues_are_measured_under_the_names_that_the_processes_use(name: str) -> None:
    said = settings_of(name)
    rerank, embed = one(name, "ScaledObject", "reranker")["spec"]["triggers"]
    [documents] = one(name, "ScaledObject", "ingest")["spec"]["triggers"]
    assert rerank["metadata"]["stream"] == Stream.rerank(said["TWOFOLD_RERANKER"]).key
    assert embed["metadata"]["stream"] == Stream.embed(said["TWOFOLD_EMBEDDER"]).key
    assert documents["metadata"]["listName"] == QUEUE


@pytest.mark.parametrize("name", NAMES)
def test_redis_and_qdrant_can_be_reached_by_those_who_use_them_and_nobody_else(name: str) -> None:
    policies = of_kind(name, "NetworkPolicy")
    [deny] = [each for each in policies if each["spec"]["podSelector"] == {}
              and set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}]  # fmt: skip
    assert "ingress" not in deny["spec"]
    assert "egress" not in deny["spec"]
    sources = {"redis": set(), "qdrant": set()}
    for policy in policies:
        target = policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for rule in policy["spec"].get("ingress", []) if target in sources else []:
            assert rule["from"], "a rule without `from` lets everybody in"
            sources[target] |= set(map(str, _selected(rule["from"])))
            sources[target] |= {
                each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
                for each in rule["from"]
                if "namespaceSelector" in each
            }
    peers = {"qdrant"} if name == "high-availability" else set()
    assert sources == {
        "redis": {"api", "ingest", "reranker", "keda"},
        "qdrant": {"api", "ingest"} | peers,
    }
    for service in of_kind(name, "Service"):
        assert service["spec"].get("type", "ClusterIP") == "ClusterIP"
    assert not of_kind(name, "Ingress")


def test_a_gpu_overlay_puts_the_two_that_compute_on_a_gpu_and_the_api_not() -> None:
    for name in ("gpu", "high-availability"):
        on_gpu = {
            workload["metadata"]["name"]
            for workload, pod, container in containers(name)
            if container["resources"]["limits"].get("nvidia.com/gpu") == "1"
            and pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
            and pod["tolerations"][0]["key"] == "nvidia.com/gpu"
            and container["image"].endswith("-cuda")
        }
        assert on_gpu == {"ingest", "reranker"}


def test_high_availability_survives_any_one_node() -> None:
    name = "high-availability"
    qdrant = one(name, "StatefulSet", "qdrant")
    pod = pod_spec(qdrant) or {}
    environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    [apart] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert qdrant["spec"]["replicas"] == 3
    assert apart["topologyKey"] == "kubernetes.io/hostname"
    assert int(settings_of(name)["TWOFOLD_QDRANT_REPLICAS"]) >= 2
    assert environment["QDRANT__CLUSTER__ENABLED"] == "true"
    assert environment["QDRANT__STORAGE__COLLECTION__WRITE_CONSISTENCY_FACTOR"] == "2"
    budgets = {
        each["metadata"]["name"]: each["spec"] for each in of_kind(name, "PodDisruptionBudget")
    }
    assert budgets["qdrant"]["maxUnavailable"] == 1
    assert one(name, "HorizontalPodAutoscaler", "api")["spec"]["minReplicas"] >= 2
    for worker in ("reranker", "ingest"):
        assert one(name, "ScaledObject", worker)["spec"]["minReplicaCount"] >= 2


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_kustomize_makes_of_an_overlay_what_was_checked_here(name: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", OVERLAYS / name], capture_output=True, text=True, check=True
    )
    theirs = [each for each in yaml.safe_load_all(done.stdout) if each]
    [generated] = [each["metadata"]["name"] for each in theirs if each["kind"] == "ConfigMap"]
    without_hash = json.loads(json.dumps(theirs).replace(f'"{generated}"', '"settings"'))

    def ordered(manifests: list[Manifest]) -> list[str]:
        return sorted(json.dumps(each, sort_keys=True) for each in manifests)

    assert ordered(without_hash) == ordered(BUILT[name])
