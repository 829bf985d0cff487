"""A classifier in ONNX and INT8 labels as it did before, and what does not is never published."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from callytics.errors import ConfigurationError, ModelDisagreesError, ModelExportError
from callytics.model_files.export import Format, read_texts, target_name
from callytics.model_files.locate import check
from callytics.model_files.store import ModelDirectory
from callytics.settings import Settings
from tests.support.tiny_models import (
    save_electra,
    save_sequence_classifier,
    save_taught_electra,
    save_undecided_electra,
)
from tests.support.waiting import wait_until
from workers.export import export, original_of
from workers.runtimes import import_runtime, spec_of

# torch's exporter warns of its own use of pytrees, and of axes that share a name.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

LABELS = ("negative", "neutral", "positive")
SAID = {"화가 나요": "negative", "네 그래요": "neutral", "고마워요": "positive"}
ANSWERS = {f"{text} {number}": label for text, label in SAID.items() for number in range(60)}
TEXTS = tuple(ANSWERS)
ALIKE = tuple("가나다라마바사아자차카타파하 " * 8 + chr(0xAC00 + number) for number in range(200))
LONG = ("아직도 안 되네요. " * 200, "네" * 511, "", "네")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path / "models")


@pytest.fixture(scope="module")
def electra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "tiny"
    save_taught_electra(folder, ANSWERS, steps=60)
    return folder


def made(model: Path, settings: Settings, *formats: Format, texts: Sequence[str] = TEXTS) -> Any:
    said: list[Any] = []
    export(
        original_of(str(model), settings), formats or tuple(Format), texts, settings, said.append
    )
    return [line for line in said if "step" not in line]


def load(runtime: str, where: Path) -> Any:
    return import_runtime(spec_of(runtime)).load(
        original_of(str(where), Settings()),
        where=where,
        device="cpu",
        threads=1,
        settings=Settings(),
    )


def labels(classifier: Any, texts: Sequence[str]) -> list[str]:
    return [judgement.label.value for judgement in classifier.classify(texts)]


def content(folder: Path) -> set[str]:
    return {
        path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != ".locks"
    }


@pytest.fixture(scope="module")
def exported(electra: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Any]:
    settings = Settings(model_dir=tmp_path_factory.mktemp("models"))
    return settings, made(electra, settings)


def test_both_forms_label_as_the_original_does(
    electra: Path, exported: tuple[Settings, Any]
) -> None:
    expected = labels(load("transformers", electra), TEXTS)
    assert expected == [*ANSWERS.values()]
    for line in exported[1]:
        found = labels(load("onnx", Path(line["path"])), TEXTS)
        same = sum(map(str.__eq__, found, expected)) / len(TEXTS)
        assert same == line["agreement"] == 1
        assert line["problem"] is None


def test_8_bit_weights_are_a_quarter_of_the_original(exported: tuple[Settings, Any]) -> None:
    whole, small = (Path(line["path"]) / "model.onnx" for line in exported[1])
    assert small.stat().st_size < 0.5 * whole.stat().st_size


@pytest.mark.parametrize("number", [0, 1])
def test_texts_beyond_512_tokens_are_cut_and_pooled_as_by_the_original(
    electra: Path, exported: tuple[Settings, Any], number: int
) -> None:
    expected = load("transformers", electra).classify(LONG)
    found = load("onnx", Path(exported[1][number]["path"])).classify(LONG)
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=(1e-4, 0.1)[number])


def test_the_folder_says_what_it_was_made_of(exported: tuple[Settings, Any], electra: Path) -> None:
    settings, lines = exported
    for line in lines:
        said = json.loads((Path(line["path"]) / "config.json").read_text("utf-8"))
        assert said["export"]["source"] == str(electra)
        assert said["export"]["texts"] == len(TEXTS)
        assert said["export"]["versions"].keys() >= {"torch", "onnxruntime"}
    assert {one.problem for one in check(settings, ["tiny-onnx", "tiny-int8"])} == {None}


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_other_families_too(tmp_path: Path, settings: Settings, family: str) -> None:
    save_sequence_classifier(tmp_path / family, family, LABELS)
    (line,) = made(tmp_path / family, settings, Format.ONNX)
    assert line["agreement"] == 1
    expected = load("transformers", tmp_path / family).classify(LONG)
    for one, other in zip(load("onnx", Path(line["path"])).classify(LONG), expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_one_that_disagrees_is_refused_and_nothing_is_left(
    tmp_path: Path, settings: Settings
) -> None:
    save_undecided_electra(tmp_path / "tiny", ALIKE)
    whole, small = made(tmp_path / "tiny", settings, texts=ALIKE)
    assert whole["problem"] is None
    assert small["problem"]["code"] == ModelDisagreesError.code
    assert small["agreement"] < 0.99
    assert f"{small['agreement']:.2%} of 200 texts" in small["problem"]["detail"]
    assert not (settings.model_dir / "tiny-int8").exists()
    assert content(settings.model_dir / ".partial") == set()


def test_an_export_is_only_replaced_by_a_good_one(
    tmp_path: Path, settings: Settings, electra: Path
) -> None:
    (first,) = made(electra, settings, Format.INT8)
    before = ModelDirectory(root=settings.model_dir).manifest("tiny-int8")
    save_undecided_electra(tmp_path / "tiny", ALIKE)
    (refused,) = made(tmp_path / "tiny", settings, Format.INT8, texts=ALIKE)
    assert refused["problem"]
    assert ModelDirectory(root=settings.model_dir).manifest("tiny-int8") == before
    made(electra, settings, Format.INT8)
    assert content(Path(first["path"])) == {
        "config.json", "manifest.json", "model.onnx", "tokenizer.json",
    }  # fmt: skip


def test_an_encoder_without_a_trained_head_is_refused(tmp_path: Path, settings: Settings) -> None:
    save_electra(tmp_path / "encoder", LABELS, head=False)
    with pytest.raises(ConfigurationError, match="not trained for this task"):
        made(tmp_path / "encoder", settings)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_damaged_folder_is_refused(
    tmp_path: Path, settings: Settings, electra: Path, file: str
) -> None:
    shutil.copytree(electra, tmp_path / "damaged")
    (tmp_path / "damaged" / file).write_bytes(b"\0 not what it was")
    with pytest.raises(ModelExportError, match="does not load"):
        made(tmp_path / "damaged", settings)
    assert content(settings.model_dir) == set()


def test_what_is_onnx_already_is_not_exported() -> None:
    with pytest.raises(ModelExportError, match="--model"):
        original_of(None, Settings(preset="offline"))


def test_a_folder_that_somebody_else_made_is_left_alone(settings: Settings) -> None:
    directory = ModelDirectory(root=settings.model_dir)
    (settings.model_dir / "mine-int8").mkdir(parents=True)
    with pytest.raises(ModelExportError, match="is no export"):
        target_name("mine", Format.INT8, directory)
    with pytest.raises(ModelExportError, match="catalog"):
        target_name("somebody/sentiment-e5-small", Format.INT8, directory)
    assert target_name("beomi/KcELECTRA", Format.ONNX, directory) == "KcELECTRA-onnx"


def test_too_few_texts_do_not_judge(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("\n".join([*map(str, range(99)), "98", "", " 0 "]), "utf-8")
    with pytest.raises(ModelExportError, match="99 different texts"):
        read_texts(file)
    file.write_bytes(b"\xff\xfe" * 100)
    with pytest.raises(ModelExportError, match="UTF-8"):
        read_texts(file)


# --- as a process -------------------------------------------------------------------------------


def started(model: Path, settings: Settings) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "workers.export", "--int8", "--", str(model)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "CALLYTICS_MODEL_DIR": str(settings.model_dir)},
    )


def test_a_kill_leaves_nothing_under_the_name_and_the_next_export_clears_up(
    settings: Settings, electra: Path
) -> None:
    partial = settings.model_dir / ".partial" / "tiny-int8" / "folder" / "model.onnx"
    with started(electra, settings) as process:
        wait_until(partial.exists, timeout_s=120)
        process.send_signal(signal.SIGKILL)
    assert not (settings.model_dir / "tiny-int8").exists()
    (line,) = made(electra, settings, Format.INT8)
    assert line["problem"] is None
    assert content(settings.model_dir / ".partial") == set()


def test_two_exports_at_once_take_turns(settings: Settings, electra: Path) -> None:
    with started(electra, settings) as one, started(electra, settings) as other:
        ends = [process.communicate()[0].splitlines()[-1] for process in (one, other)]
    assert [json.loads(end)["problem"] for end in ends] == [None, None]
    assert check(settings, ["tiny-int8"])[0].problem is None
