"""Batches, callbacks and diagnoses: what clients are promised beside calls."""

from collections.abc import Sequence

from deploy.dashboards.panels import Panel, board, graph, number
from deploy.dashboards.promql import quantile, rate, rows

BATCHES: Sequence[Panel] = [
    number(
        "Open batches",
        "Batches that take consultations.",
        rows("callytics_batches_open"),
        width=6,
    ),
    number(
        "Overdue",
        "Since when an open batch should have been closed. Two minutes: BatchOverdue.",
        rows("callytics_batch_overdue_seconds"),
        unit="s",
        bad=120,
        width=6,
    ),
    number(
        "Longest run",
        "Since when the batch runs that does so longest. An hour: BatchRunsLong.",
        rows("callytics_batch_running_oldest_seconds"),
        unit="s",
        bad=3600,
        width=6,
    ),
    number(
        "Latest batch",
        "Consultations in the batch that was closed last; twenty at most unless settings say otherwise.",
        rows("mlm_batch_size"),
        width=6,
    ),
    graph(
        "Seconds of a batch",
        "From the start of a run to its end.",
        (quantile(0.5, "callytics_batch_seconds"), "half of them"),
        (quantile(0.95, "callytics_batch_seconds"), "95 %"),
        unit="s",
    ),
    graph(
        "Consultations in a batch",
        "When it closed: small ones closed by time, full ones by number.",
        (quantile(0.5, "callytics_batch_consultations"), "half of them"),
        (quantile(0.95, "callytics_batch_consultations"), "95 %"),
    ),
    graph(
        "Batches that end, a second",
        "By how they stand then.",
        (f"sum by (status) ({rate('callytics_batch_seconds_count')})", "{{status}}"),
        unit="ops",
        stacked=True,
    ),
]

JOBS = [
    graph(
        "Jobs that end, a second",
        "By kind and outcome: done, cancelled, or the problem's code. A fifth failed: JobsFailing.",
        (f"sum by (kind, outcome) ({rate('callytics_job_ends_total')})", "{{kind}}: {{outcome}}"),
        unit="ops",
    ),
    graph(
        "Run of a job: 95 %",
        "What the attempt took that did it.",
        (quantile(0.95, "callytics_job_seconds", "kind"), "{{kind}}"),
        unit="s",
    ),
    graph(
        "Wait of a job: 95 %",
        "How long it was due, where its first attempt was its last.",
        (quantile(0.95, "callytics_job_wait_seconds", "kind"), "{{kind}}"),
        unit="s",
    ),
]

CALLBACKS: Sequence[Panel] = [
    number(
        "Undelivered",
        "Callbacks that are neither delivered nor given up.",
        rows('callytics_deliveries{status="pending"}'),
        width=6,
    ),
    number(
        "Oldest undelivered",
        "An hour: CallbacksLate.",
        rows("callytics_delivery_oldest_seconds"),
        unit="s",
        bad=3600,
        width=6,
    ),
    number(
        "Given up",
        "Dead letters that were not replayed. New ones: CallbacksDead.",
        rows('callytics_deliveries{status="dead"}'),
        bad=1,
        width=6,
    ),
    number(
        "Endpoints switched off",
        "Addresses that said 410: `callytics endpoints list`.",
        rows('callytics_endpoints{state="disabled"}'),
        bad=1,
        width=6,
    ),
    graph(
        "Attempts a second",
        "By the class of the answer and what follows from it.",
        (
            f"sum by (status, verdict) ({rate('callytics_callback_attempts_total')})",
            "{{status}}: {{verdict}}",
        ),
        unit="ops",
        stacked=True,
    ),
    graph(
        "Seconds of an attempt",
        "How long clients' endpoints take to answer.",
        (quantile(0.5, "callytics_callback_seconds"), "half of them"),
        (quantile(0.95, "callytics_callback_seconds"), "95 %"),
        unit="s",
    ),
    graph(
        "Endpoints",
        "Paused ones failed several times in a row and are tried again after a while.",
        (rows("callytics_endpoints"), "{{state}}"),
        stacked=True,
    ),
]

DIAGNOSES = [
    graph(
        "Diagnoses a second",
        "By what they rest on and what came of them.",
        (
            f"sum by (kind, outcome) ({rate('callytics_diagnoses_total')})",
            "{{kind}}: {{outcome}}",
        ),
        unit="ops",
        stacked=True,
        width=12,
    ),
    graph(
        "Seconds to a diagnosis: 95 %",
        "From the request. Texts are promised in 15, images in 30.",
        (quantile(0.95, "callytics_diagnosis_seconds", "kind"), "{{kind}}"),
        unit="s",
        width=12,
    ),
]

BOARD = board(
    "callytics-batches",
    "batches and callbacks",
    "Consultations that are analysed together, the callbacks that tell of it, and diagnoses.",
    {"Batches": BATCHES, "Jobs": JOBS, "Callbacks": CALLBACKS, "Diagnoses": DIAGNOSES},
)
