"""Exports a sentiment model: `python -m workers.export [MODEL] --onnx --int8 [--texts FILE]`.

It says what it does in one JSON object a line; the exit status is 1 if a form of the model was not
published. `callytics models export` runs it, since that package knows no runtime.
"""

import json
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from callytics.domain.transcript import SentimentLabel
from callytics.errors import CallyticsError, ModelDisagreesError, ModelExportError
from callytics.model_files.catalog import short_digest
from callytics.model_files.export import (
    Format,
    make_graph,
    note,
    read_texts,
    target_name,
    write_folder,
)
from callytics.model_files.hub import fetch_cached
from callytics.model_files.int8 import LEAST_AGREEMENT, in_int8
from callytics.model_files.locate import resolve
from callytics.model_files.store import ModelDirectory, describe_files
from callytics.ports import SentimentModel
from callytics.settings import ModelSettings, Settings, get_settings
from workers.runtimes.onnx import OnnxClassifier
from workers.runtimes.pretrained import Pretrained, load_pretrained
from workers.runtimes.transformers import TransformersClassifier

Report = Callable[[Mapping[str, Any]], None]


def export(
    model: ModelSettings,
    formats: Sequence[Format],
    texts: Sequence[str],
    settings: Settings,
    report: Report,
) -> None:
    """Make `model` (a classifier of transformers) in `formats`; what it does goes to `report`.

    A form that disagrees with the original on `texts` is reported with its problem, not published.
    """
    directory = ModelDirectory(root=settings.model_dir)
    names = {form: target_name(model.model, form, directory) for form in formats}
    report({"step": "load", "model": model.model})
    original = _load(model, settings)
    report({"step": "label", "model": model.model, "texts": len(texts)})
    labels = _labels(TransformersClassifier.around(original, model), texts)
    report({"step": "export", "model": model.model})
    exporter = _Exporter(
        original=original,
        graph=make_graph(original.network),
        model=model,
        texts=texts,
        labels=labels,
        directory=directory,
        settings=settings,
    )
    for form, name in names.items():
        report(exporter.make(form, name, report))


def original_of(name: str | None, settings: Settings) -> ModelSettings:
    """How to load the model `name` (None: the configured one) as what the others are measured by.

    Raises ModelExportError where the configured one is ONNX already.
    """
    configured = settings.models.sentiment
    if name is None and configured.runtime != "transformers":
        raise ModelExportError(
            f"{configured.model}, the configured model, is made for the runtime `{configured.runtime}` "
            "already: name a classifier of transformers by --model."
        )
    found = name or configured.model
    return ModelSettings(
        runtime="transformers",
        model=found,
        revision=configured.revision if found == configured.model else None,
        device="cpu",
        precision="float32",
        batch_size=configured.batch_size,
        options=configured.options,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Exporter:
    original: Pretrained
    graph: Any
    model: ModelSettings
    texts: Sequence[str]
    labels: Sequence[SentimentLabel]
    directory: ModelDirectory
    settings: Settings

    def make(self, form: Format, name: str, report: Report) -> Mapping[str, Any]:
        """Make, check and publish one form; what came of it."""
        with self._empty_folder(name, report) as folder:
            report({"step": "make", "model": name})
            graph = in_int8(self.graph) if form is Format.INT8 else self.graph
            write_folder(folder, graph, self.original.tokenizer, self.original.network.config)
            report({"step": "check", "model": name})
            agreement = self._agreement(folder)
            found = {"model": name, "format": form, **self._sizes(folder), "agreement": agreement}
            if agreement < LEAST_AGREEMENT:
                return {**found, "path": None, "problem": self._disagrees(name, agreement)}
            return {**found, "path": str(self._publish(folder, name, agreement)), "problem": None}

    @contextmanager
    def _empty_folder(self, name: str, report: Report) -> Iterator[Path]:
        """Where `name` is made; what is left of it in the end, or by a run that was killed, goes."""
        partial = self.directory.partial(name)
        waiting = {"step": "wait for another export", "model": name}
        with self.directory.locked(name, waiting=lambda: report(waiting)):
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "folder").mkdir(parents=True)
            try:
                yield partial / "folder"
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def _agreement(self, folder: Path) -> float:
        made = OnnxClassifier.load(
            self.model, where=folder, device="cpu", threads=None, settings=self.settings
        )
        pairs = zip(self.labels, _labels(made, self.texts), strict=True)
        return sum(one is other for one, other in pairs) / len(self.texts)

    def _sizes(self, folder: Path) -> Mapping[str, int]:
        weights = self.original.network.parameters()
        return {
            "bytes": sum(file.bytes for file in describe_files(folder)),
            "original_bytes": sum(one.numel() * one.element_size() for one in weights),
        }

    def _disagrees(self, name: str, agreement: float) -> Mapping[str, Any]:
        return ModelDisagreesError(
            f"{name} gives {agreement:.2%} of {len(self.texts)} texts the label that "
            f"{self.model.model} gives them; {LEAST_AGREEMENT:.0%} are asked for, so it is not "
            "published. Texts like those that the model was trained on (--texts) are a fairer check; "
            "if it disagrees on them too, stay with the original or with --onnx."
        ).as_problem()

    def _publish(self, folder: Path, name: str, agreement: float) -> Path:
        info = self.original.info
        made_of = {"source": info.name, "revision": info.revision}
        note(folder, {**made_of, "agreement": round(agreement, 4), "texts": len(self.texts)})
        digest = short_digest([f"{one.sha256}  {one.path}" for one in describe_files(folder)])
        return self.directory.publish(
            folder,
            name=name,
            revision=digest,
            licence="as its source",
            source=(f"{info.name}@{info.revision}",),
        )


def _load(model: ModelSettings, settings: Settings) -> Pretrained:
    where = resolve(model.model, settings, named_by="--model")
    folder = where if isinstance(where, Path) else fetch_cached(where, settings)
    try:
        return load_pretrained(
            "AutoModelForSequenceClassification",
            model,
            where=folder,
            device="cpu",
            threads=None,
            settings=settings,
        )
    except CallyticsError:
        raise
    except Exception as error:  # of several libraries; only the model's files are at hand
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelExportError(f"{model.model} does not load: {reason}") from error


def _labels(classifier: SentimentModel, texts: Sequence[str]) -> list[SentimentLabel]:
    return [judgement.label for judgement in classifier.classify(texts)]


def main() -> int:
    problems = []
    stdout = sys.stdout

    def report(line: Mapping[str, Any]) -> None:
        problems.extend([line["problem"]] if line.get("problem") else [])
        print(json.dumps(line, ensure_ascii=False), file=stdout, flush=True)

    given, settings = _read_arguments(), get_settings()
    try:
        with redirect_stdout(sys.stderr):  # what libraries print is no line of ours
            model = original_of(given.model, settings)
            export(model, given.formats, read_texts(given.texts), settings, report)
    except CallyticsError as error:
        report({"problem": error.as_problem()})
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        report({"problem": ModelExportError(f"{named}{error.strerror}").as_problem()})
    except Exception as error:
        # Its words might be those of a text.
        report({"problem": ModelExportError(f"Unforeseen {type(error).__name__}.").as_problem()})
    return int(bool(problems))


def _read_arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?")
    for form in Format:
        parser.add_argument(f"--{form}", action="append_const", dest="formats", const=form)
    parser.add_argument("--texts", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
