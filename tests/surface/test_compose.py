"""docker-compose.yaml and the image: valid, in step with the code, allowed what they need."""

import importlib.util
import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest
import yaml

from infra.local.compose import read
from pipelines.settings import Settings
from tests.support.dockerfile import Stage, stages

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yaml"
DOCUMENT = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
LASTING = [name for name, each in SERVICES.items() if each["restart"] != "no"]
STAGES = {stage.name: stage for stage in stages(ROOT / "infra" / "docker" / "Dockerfile")}
# Read by the code without being a field of the settings.
OTHER_VARIABLES = {"TWOFOLD_SECRETS_DIR", "TWOFOLD_TEST_QDRANT_URL"}


def violations(service: dict[str, Any]) -> list[str]:
    """What a service may that it must not."""
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    user = str(service.get("user", "0")).partition(":")[0]
    sources = [str(each).partition(":")[0] for each in service.get("volumes", [])]
    published = [str(each) for each in service.get("ports", [])]
    rules = {
        "root": user not in {"0", "root", ""},
        "writable root": service.get("read_only") is True,
        "capabilities": service.get("cap_drop") == ["ALL"] and "cap_add" not in service,
        "escalation": "no-new-privileges:true" in service.get("security_opt", []),
        "privileged": not service.get("privileged") and "devices" not in service,
        "the host": not {"pid", "ipc", "userns_mode", "cgroup"} & set(service)
        and service.get("network_mode", "none") == "none",
        "its disk": all(not each.startswith(("/", "~", "..")) for each in sources),
        "no limits": {"cpus", "memory", "pids"} <= set(limits),
        "endless logs": "max-size" in service.get("logging", {}).get("options", {}),
        "any version": ":" in service["image"] and not service["image"].endswith(":latest"),
        "open port": all(each.startswith("127.0.0.1:") for each in published),
    }
    return [what for what, kept in rules.items() if not kept]


def test_the_file_is_what_the_compose_specification_accepts() -> None:
    vendored = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    schema = json.loads((vendored / "compose-spec.json").read_text())
    jsonschema.validate(DOCUMENT, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"api": {"imagee": "x"}}}, schema)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="Compose is not installed")
@pytest.mark.parametrize("profile", ["cpu", "gpu", "test"])
def test_compose_itself_sees_in_the_file_what_our_reader_sees(profile: str) -> None:
    command = ["docker-compose", "--file", FILE, "--profile", profile, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    theirs = json.loads(done.stdout)["services"]
    ours = read(FILE, {}, profile).services
    assert set(ours) == set(theirs)
    for name, service in ours.items():
        assert service.command == (theirs[name].get("command") or [])
        assert service.environment == (theirs[name].get("environment") or {})
        assert set(service.depends_on) == set(theirs[name].get("depends_on") or {})


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_more_than_it_needs(name: str) -> None:
    assert violations(SERVICES[name]) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"user": "0:0"}, "root"),
        ({"read_only": False}, "writable root"),
        ({"cap_add": ["NET_ADMIN"]}, "capabilities"),
        ({"security_opt": []}, "escalation"),
        ({"privileged": True}, "privileged"),
        ({"network_mode": "host"}, "the host"),
        ({"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}, "its disk"),
        ({"deploy": {}}, "no limits"),
        ({"logging": {}}, "endless logs"),
        ({"image": "twofold"}, "any version"),
        ({"ports": ["6333:6333"]}, "open port"),
    ],
)
def test_the_policy_notices_a_service_that_may_too_much(change: dict[str, Any], what: str) -> None:
    assert what in violations(SERVICES["qdrant"] | change)


def test_redis_qdrant_and_the_workers_have_no_way_in_or_out() -> None:
    assert DOCUMENT["networks"]["inside"] == {"internal": True}
    assert {name for name, each in SERVICES.items() if each.get("ports")} == {"api"}
    assert {name for name in LASTING if SERVICES[name]["networks"] != ["inside"]} == {"api"}


@pytest.mark.parametrize("name", LASTING)
def test_a_service_that_lasts_is_asked_for_its_health_and_given_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    drain_s = Settings.model_fields["drain_s"].default
    assert float(service["stop_grace_period"].removesuffix("s")) > drain_s


def test_answers_come_before_background_work_on_a_machine_that_is_busy() -> None:
    shares = {name: SERVICES[name].get("cpu_shares", 1024) for name in LASTING}
    assert shares["ingest"] == shares["ingest-gpu"] < shares["reranker"] < shares["api"]


def test_what_is_started_first_is_well_before_the_rest_is_started() -> None:
    for name in LASTING:
        for dependency, how in SERVICES[name].get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[dependency]
            assert not SERVICES[dependency].get("profiles"), "it might not be there"


def test_secrets_lie_in_files_and_only_where_they_are_needed() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            named_like_one = re.search(r"PASSWORD|TOKEN|API_KEY$|REDIS_URL", variable)
            assert not named_like_one, f"{name}: {variable}={value}"
    assert SERVICES["reranker"]["secrets"] == ["twofold_redis_url"]
    [writable] = [
        name
        for name, each in SERVICES.items()
        if "./secrets/keys:/run/keys" in each.get("volumes", [])
    ]
    assert writable == "keys"


def test_the_script_makes_every_secret_once_and_shows_none(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = ["/bin/sh", str(ROOT / "infra" / "secrets.sh"), str(folder)]
    first = subprocess.run(command, check=True, capture_output=True, text=True)
    made = {path: path.read_text() for path in folder.rglob("*") if path.is_file()}
    wanted = {Path(each["file"]).name for each in DOCUMENT["secrets"].values()}
    assert wanted <= {path.name for path in made}
    assert folder.stat().st_mode & 0o777 == 0o700
    password = (folder / "redis_password").read_text()
    assert re.fullmatch(r"[0-9a-f]{64}", password)
    assert password not in first.stdout
    assert (folder / "twofold_redis_url").read_text() == f"redis://:{password}@redis:6379/0"
    assert yaml.safe_load((folder / "qdrant_config").read_text()) == {
        "service": {"api_key": (folder / "twofold_qdrant_api_key").read_text()}
    }
    second = subprocess.run(command, check=True, capture_output=True, text=True)
    assert second.stdout == ""
    assert {path: path.read_text() for path in made} == made


def test_every_setting_is_one_that_there_is() -> None:
    known = {f"TWOFOLD_{field.upper()}" for field in Settings.model_fields} | OTHER_VARIABLES
    said = {
        variable
        for service in SERVICES.values()
        for variable in service.get("environment", {})
        if variable.startswith("TWOFOLD_")
    }
    assert {"TWOFOLD_QDRANT_URL", "TWOFOLD_SECRETS_DIR", "TWOFOLD_BLOBS_URL"} <= said <= known


def test_every_command_runs_a_module_that_there_is() -> None:
    modules = {
        command[command.index("-m") + 1]
        for service in SERVICES.values()
        for command in (service.get("command", []), service.get("healthcheck", {}).get("test", []))
        if "python" in command and "-m" in command
    }
    assert {"services.api", "services.ingest", "services.reranker"} <= modules
    for module in modules - {"pytest"}:
        assert importlib.util.find_spec(f"{module}.__main__"), module


@pytest.mark.parametrize(("profile", "workers"), [("cpu", ""), ("gpu", "-gpu")])
def test_a_profile_starts_the_five_with_the_same_models_for_all(profile: str, workers: str) -> None:
    services = read(FILE, {"TWOFOLD_RERANKER": "chosen"}, profile).services
    assert set(services) == {"qdrant", "redis", "api", f"ingest{workers}", f"reranker{workers}"}
    ours = [each for each in services.values() if each.image.startswith("twofold:")]
    assert {each.environment["TWOFOLD_RERANKER"] for each in ours} == {"chosen"}
    assert len({each.environment["TWOFOLD_EMBEDDER"] for each in ours}) == 1


def test_the_gpu_profile_reserves_a_device_for_the_two_that_compute() -> None:
    for name, service in SERVICES.items():
        reserved = service.get("deploy", {}).get("resources", {}).get("reservations")
        if name.endswith("-gpu"):
            [device] = reserved["devices"]
            assert device["driver"] == "nvidia"
            assert device["capabilities"] == ["gpu"]
            assert service["build"]["args"] == {"DEVICE": "cuda"}
        else:
            assert reserved is None


def test_redis_keeps_what_it_is_given_or_refuses_it() -> None:
    command = SERVICES["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--aclfile"] == "/run/secrets/redis_acl"


# --- The image ------------------------------------------------------------------------------


def copied(stage: Stage) -> list[str]:
    """What a stage takes from the checkout."""
    return [
        source.rstrip("/")
        for each in stage.instructions
        if each.word == "COPY" and "--from" not in each.rest
        for source in each.rest.split()[:-1]
    ]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a path from the builder: the last line that fits decides."""
    state = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#") and fnmatch(name, line.removeprefix("!")):
            state = not line.startswith("!")
    return state


def test_the_image_runs_our_code_as_nobody_in_particular_and_holds_no_tests() -> None:
    runtime = STAGES["twofold"]
    users = [each.rest for each in runtime.instructions if each.word == "USER"]
    assert users[-1] == "10001:10001"
    assert set(copied(runtime)) == {"pipelines", "services"}
    assert list(STAGES)[-1] == "final"
    assert STAGES["final"].base == "twofold"
    assert {"HEALTHCHECK", "LABEL", "STOPSIGNAL", "CMD"} <= {
        each.word for each in runtime.instructions
    }


def test_the_image_has_no_build_tools_and_nothing_that_was_not_pinned() -> None:
    text = " ".join(each.rest for stage in STAGES.values() for each in stage.instructions)
    assert not re.search(r"apt-get|curl|wget|gcc|build-essential", text)
    assert all(each.word != "ADD" for stage in STAGES.values() for each in stage.instructions)
    for stage in ("packages-cpu", "packages-cuda"):
        for each in STAGES[stage].instructions:
            for install in re.findall(r"pip install[^&]*", each.rest):
                assert "--only-binary :all:" in install
                assert "constraints.txt" in install
    uninstall = [
        each.rest for each in STAGES["twofold"].instructions if "pip uninstall" in each.rest
    ]
    assert uninstall, "the package installer stays in the image"


def test_the_builder_gets_what_the_image_copies_and_no_secrets_or_data() -> None:
    for stage in STAGES.values():
        for source in copied(stage):
            assert source == "." or (ROOT / source).exists()
            assert source == "." or not ignored(source)
    for private in ("secrets", "data", ".git", ".venv", ".env"):
        assert ignored(private)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    subprocess.run(["hadolint", ROOT / "infra" / "docker" / "Dockerfile"], check=True, timeout=60)
