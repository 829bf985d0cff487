"""What Grafana would ask Prometheus for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "deploy/grafana/dashboards"
BOARDS: Mapping[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.json"))
}

NODE = {
    "node_cpu_seconds_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_memory_MemAvailable_bytes",
    "node_memory_MemTotal_bytes",
}
"""Of node_exporter, which tests run."""

ABSENT = {
    # NVIDIA's dcgm-exporter.
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_POWER_USAGE",
    # vLLM, which shows them at /metrics of its own server.
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:time_to_first_token_seconds_bucket",
}
"""Of what tests do not run."""

EXPORTED = NODE | ABSENT
"""Metrics of others that dashboards and rules name."""

PROMETHEUS = {"up", "ALERTS"}
"""Those that Prometheus makes itself."""


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its dashboard's name; the rows' titles are left out."""
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield name, panel


def queries() -> Iterator[str]:
    """All of them, with Grafana's variables as they stand where nothing was chosen."""
    for _, panel in panels():
        for target in panel["targets"]:
            asked: str = target["expr"].replace("$__rate_interval", "1m")
            yield asked.replace("$queue", ".*")
