"""Is it well? What somebody sees who was just woken."""

from deploy.dashboards.panels import board, graph, number
from deploy.dashboards.promql import RATE, gained, quantile, rate, rows

QUEUE = '{queue=~"$queue"}'
READY_FIRST = 'callytics_queue_workers_ready{queue!~".+[.].+"}'
LATE = "callytics_quick_summaries_late_total"

WELL = [
    number(
        "Alerts",
        "Alerts that fire, but for the one that always does. docs/runbook.md has an entry for each.",
        'count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)',
        bad=1,
    ),
    number(
        "API",
        "API processes that answer Prometheus. 0: APIDown.",
        'sum(up{job="callytics"}) or vector(0)',
        good=1,
        bad=0,
    ),
    number(
        "PostgreSQL",
        "1 as long as every API process reaches it. 0: DatabaseDown.",
        "min(callytics_database_up)",
        good=1,
        bad=0,
    ),
    number(
        "Redis",
        "1 as long as every API process reaches it. 0: BrokerDown.",
        "min(callytics_broker_up)",
        good=1,
        bad=0,
    ),
    number(
        "Queues nobody serves",
        "Queues without a ready worker, variants' lanes left out. More than none: NoReadyWorker.",
        f"count({rows(READY_FIRST)} == 0) or vector(0)",
        bad=1,
    ),
    number(
        "Late summaries",
        "Quick summaries of the last hour that were not made in their three seconds.",
        gained(LATE, "1h"),
        bad=1,
    ),
]

AGENTS = [
    graph(
        "Seconds to a quick summary",
        "From the request to its answer, late ones included; promised within three seconds.",
        (quantile(0.5, "slm_response_time"), "half of them"),
        (quantile(0.95, "slm_response_time"), "95 %"),
        (quantile(0.99, "slm_response_time"), "99 %"),
        unit="s",
        limit=3,
    ),
    graph(
        "Quick summaries a second",
        "How many are made, and how many of them are late: QuickSummariesLate, QuickSummariesSlow.",
        (rate("slm_response_time_count"), "made"),
        (rate(LATE), "late"),
        unit="ops",
    ),
    graph(
        "Answers from the cache",
        "Share of quick summaries and diagnoses that an earlier request's answer served.",
        (
            f'sum by (cache) (rate(callytics_cache_requests_total{{outcome="hit"}}[{RATE}]))'
            f" / sum by (cache) (rate(callytics_cache_requests_total[{RATE}]))",
            "{{cache}}",
        ),
        unit="percentunit",
    ),
]

QUEUES = [
    graph(
        "Waiting",
        "Stages and jobs that wait for a worker.",
        (rows(f"queue_length{QUEUE}"), "{{queue}}"),
    ),
    graph(
        "Age of the oldest",
        "How long what waits longest does so. QueueLate from 15 minutes, QueueVeryLate from an hour.",
        (rows(f"callytics_queue_oldest_seconds{QUEUE}"), "{{queue}}"),
        unit="s",
        limit=900,
    ),
    graph(
        "Running",
        "Stages and jobs that a worker has in hand.",
        (rows(f"callytics_queue_running{QUEUE}"), "{{queue}}"),
    ),
    graph(
        "Ready workers",
        "Living workers that take messages: their models are warm. 0: NoReadyWorker.",
        (rows(f"callytics_queue_workers_ready{QUEUE}"), "{{queue}}"),
    ),
    graph(
        "Messages in the broker",
        "Messages that no worker has fetched.",
        (rows(f"callytics_broker_messages{QUEUE}"), "{{queue}}"),
    ),
    graph(
        "Rows without a message",
        "Rows that wait less messages that wait. Above 0 for a quarter of an hour: MessagesLost.",
        (f"clamp_min({rows(f'callytics_queue_difference{QUEUE}')}, 0)", "{{queue}}"),
    ),
]

HTTP = [
    graph(
        "Requests a second",
        "By outcome, over all API processes. More than 5 % server errors: APIErrors.",
        (f"sum by (outcome) (rate(api_success_rate_total[{RATE}]))", "{{outcome}}"),
        unit="reqps",
        stacked=True,
    ),
    graph(
        "Seconds of 95 % of answers",
        "By route. Those that wait for a result take what that takes.",
        (
            "histogram_quantile(0.95, sum by (le, route) "
            f"(rate(callytics_request_seconds_bucket[{RATE}])))",
            "{{route}}",
        ),
        unit="s",
    ),
    graph(
        "Silence of workers",
        "Since when each worker has said nothing; they speak every five seconds. WorkerSilent from 60.",
        (rows("callytics_heartbeat_age_seconds"), "{{worker}}"),
        unit="s",
        limit=60,
    ),
]

BOARD = board(
    "callytics-overview",
    "overview",
    "Is it well? From the rows as every API process shows them.",
    {
        "Is it well?": WELL,
        "Agents who wait": AGENTS,
        "Queues: $queue": QUEUES,
        "Requests and workers": HTTP,
    },
)
