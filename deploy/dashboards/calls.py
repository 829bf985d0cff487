"""A call's way: from stage to stage, where time goes and what fails."""

from deploy.dashboards.panels import board, graph
from deploy.dashboards.promql import quantile, rate, rows, share

AUDIO = "callytics_stage_audio_seconds_total"

CALLS = [
    graph(
        "Calls that end, a second",
        "By how they end. More than a fifth failed: CallsFailing.",
        (f"sum by (status) ({rate('callytics_calls_ended_total')})", "{{status}}"),
        unit="ops",
        stacked=True,
    ),
    graph(
        "Seconds to completion",
        "From submission to the last stage; a call that is run again counts to its later end.",
        (quantile(0.5, "callytics_call_seconds"), "half of them"),
        (quantile(0.95, "callytics_call_seconds"), "95 %"),
        unit="s",
    ),
    graph(
        "Audio worked through, seconds a second",
        "How many seconds of recordings each stage does in a second: what the machines are worth.",
        (f"sum by (stage) ({rate(AUDIO)})", "{{stage}}"),
    ),
]

STAGES = [
    graph(
        "Wait before a stage: 95 %",
        "How long a stage was due before a worker took it.",
        (
            quantile(0.95, "callytics_stage_wait_seconds", "stage", "variant"),
            "{{stage}} {{variant}}",
        ),
        unit="s",
        width=12,
    ),
    graph(
        "Run of a stage: 95 %",
        "What successful attempts took.",
        (quantile(0.95, "callytics_stage_seconds", "stage", "variant"), "{{stage}} {{variant}}"),
        unit="s",
        width=12,
    ),
    graph(
        "Seconds for a second of audio: half of the attempts",
        "The real-time factor: above 1 a stage takes longer than the call did.",
        (
            quantile(0.5, "callytics_stage_realtime_factor", "stage", "variant"),
            "{{stage}} {{variant}}",
        ),
        limit=1,
        width=12,
    ),
    graph(
        "Mean seconds of a stage",
        "Of successful attempts, by variant.",
        (
            share(
                rate("callytics_stage_seconds_sum"),
                rate("callytics_stage_seconds_count"),
                "stage",
                "variant",
            ),
            "{{stage}} {{variant}}",
        ),
        unit="s",
        width=12,
    ),
]

FAILURES = [
    graph(
        "Attempts a second",
        "By outcome. Handed back: by a worker that stopped; abandoned: the call was run again meanwhile.",
        (f"sum by (outcome) ({rate('callytics_stage_attempts_total')})", "{{outcome}}"),
        unit="ops",
        stacked=True,
    ),
    graph(
        "Failures a second",
        "By stage and the problem's code; worker_lost: the process was killed.",
        (
            f"sum by (stage, code) ({rate('callytics_stage_failures_total')})",
            "{{stage}}: {{code}}",
        ),
        unit="ops",
    ),
    graph(
        "What the sweeper does, a second",
        "Leases taken from silent workers (SweeperBusy), work given up (WorkGivenUp), messages sent again, "
        "work moved to another variant.",
        (rate("callytics_sweeper_actions_total"), "{{action}}"),
        unit="ops",
    ),
    graph(
        "Rounds of the sweeper a second",
        "0: SweeperStopped, beat or the worker of control does not run.",
        (rate("callytics_sweeps_total"), "rounds"),
        unit="ops",
    ),
    graph(
        "Leases that ran out",
        "Work of silent workers that the sweeper has not taken back yet: 0 but for seconds.",
        (rows("callytics_leases_lapsed"), "leases"),
    ),
    graph(
        "Messages that workers hold",
        "What runs, and what was fetched ahead.",
        (rows("callytics_broker_unacked"), "messages"),
    ),
]

BOARD = board(
    "callytics-calls",
    "a call's way",
    "From the recording to the summary: how long each stage waits and runs, and what fails.",
    {"Calls": CALLS, "Stages": STAGES, "What fails, and who mends it": FAILURES},
)
