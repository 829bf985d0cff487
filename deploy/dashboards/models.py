"""Models, who answers for them, and the machines below."""

from deploy.dashboards.panels import board, graph
from deploy.dashboards.promql import RATE, rate, rows, share

REQUESTS = "callytics_provider_requests_total"
DISKS = 'fstype!~"tmpfs|ramfs|overlay|squashfs|erofs|iso9660|vfat"'

MODELS = [
    graph(
        "Models",
        "Living workers by how far they are with a model. Failed for five minutes: ModelFailed.",
        (f"{rows('callytics_models')} > 0", "{{model}}: {{status}}"),
    ),
    graph(
        "Seconds to load",
        "What each living worker took to load its model and warm it up.",
        (rows("callytics_model_load_seconds"), "{{model}} {{worker}}"),
        unit="s",
    ),
    graph(
        "Texts judged a second",
        "The sentiment service: by the model, the cache, or word lists where the model was not to be had.",
        (f"sum by (source) (rate(callytics_sentiment_texts_total[{RATE}]))", "{{source}}"),
        unit="ops",
        stacked=True,
    ),
]

PROVIDERS = [
    graph(
        "Requests a second",
        "To chat models, by who was asked and what came of it. A fifth failed: ProviderFailing.",
        (
            f"sum by (task, provider, outcome) ({rate(REQUESTS)})",
            "{{task}} {{provider}}: {{outcome}}",
        ),
        unit="reqps",
    ),
    graph(
        "Answered",
        "Share of requests in this hour and the one before that were answered.",
        (rows("callytics_provider_success_rate"), "{{task}} {{provider}}"),
        unit="percentunit",
    ),
    graph(
        "Mean seconds",
        "Of a request, answered or not.",
        (
            share(rate("callytics_provider_seconds_total"), rate(REQUESTS), "task", "provider"),
            "{{task}} {{provider}}",
        ),
        unit="s",
    ),
    graph(
        "Tokens a second",
        "Read (prompt) and written (output).",
        (
            f"sum by (task, direction) ({rate('callytics_provider_tokens_total')})",
            "{{task}} {{direction}}",
        ),
    ),
    graph(
        "Cost, USD an hour",
        "Where a price is set.",
        (
            f"3600 * sum by (task, provider) ({rate('callytics_provider_cost_usd_total')})",
            "{{task}} {{provider}}",
        ),
        unit="currencyUSD",
    ),
    graph(
        "Left alone for a while",
        "Workers that do not ask a provider because it failed too often in a row.",
        (rows('callytics_provider_breakers{state="open"}'), "{{task}} {{provider}}"),
    ),
]

VLLM = [
    graph(
        "Requests in vLLM",
        "From vLLM: those that are written, and those that wait for room.",
        ("sum by (model_name) (vllm:num_requests_running)", "{{model_name}} running"),
        ("sum by (model_name) (vllm:num_requests_waiting)", "{{model_name}} waiting"),
    ),
    graph(
        "Seconds to the first token: 95 %",
        "From vLLM.",
        (
            "histogram_quantile(0.95, sum by (le, model_name) "
            f"(rate(vllm:time_to_first_token_seconds_bucket[{RATE}])))",
            "{{model_name}}",
        ),
        unit="s",
    ),
    graph(
        "Cache of what was read",
        "From vLLM: how full the memory for keys and values is. Full: requests wait.",
        ("max by (model_name) (vllm:kv_cache_usage_perc)", "{{model_name}}"),
        unit="percentunit",
    ),
]

GPUS = [
    graph(
        "GPUs at work",
        "From NVIDIA's dcgm-exporter.",
        ("DCGM_FI_DEV_GPU_UTIL", "{{instance}} GPU {{gpu}}"),
        unit="percent",
        width=6,
    ),
    graph(
        "GPU memory",
        "From NVIDIA's dcgm-exporter: the share in use.",
        (
            "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)",
            "{{instance}} GPU {{gpu}}",
        ),
        unit="percentunit",
        width=6,
    ),
    graph(
        "GPU temperature",
        "From NVIDIA's dcgm-exporter.",
        ("DCGM_FI_DEV_GPU_TEMP", "{{instance}} GPU {{gpu}}"),
        unit="celsius",
        width=6,
    ),
    graph(
        "GPU power",
        "From NVIDIA's dcgm-exporter.",
        ("DCGM_FI_DEV_POWER_USAGE", "{{instance}} GPU {{gpu}}"),
        unit="watt",
        width=6,
    ),
]

HOSTS = [
    graph(
        "Disk free",
        "From node_exporter. DiskFilling below 15 %, DiskFull below 5 %.",
        (
            f"node_filesystem_avail_bytes{{{DISKS}}} / node_filesystem_size_bytes",
            "{{instance}} {{mountpoint}}",
        ),
        unit="percentunit",
    ),
    graph(
        "Processors at work",
        "From node_exporter.",
        (
            f'1 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}[{RATE}]))',
            "{{instance}}",
        ),
        unit="percentunit",
    ),
    graph(
        "Memory in use",
        "From node_exporter. A worker that is killed for memory shows as WorkerSilent.",
        ("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}"),
        unit="percentunit",
    ),
]

BOARD = board(
    "callytics-models",
    "models and GPUs",
    "Which models are loaded, who answers for the chat models, and how the machines bear it.",
    {
        "Models": MODELS,
        "Chat models: who answers": PROVIDERS,
        "vLLM": VLLM,
        "GPUs (dcgm-exporter)": GPUS,
        "Machines (node_exporter)": HOSTS,
    },
)
