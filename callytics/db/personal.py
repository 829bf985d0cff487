"""Which columns hold what people said or who they are, and so are the business of a purge.

Every column of text, JSON or bytes stands in here (tests/contract/test_personal_data.py). Words of our own
(status, stage, kind) and figures are no text.
"""

from collections.abc import Collection, Mapping

PERSONAL: Mapping[str, Collection[str]] = {
    "calls": ("consultation_id", "hotwords", "metadata", "audio_url"),
    "stage_runs": ("output",),
    "turns": ("text", "words", "sentences"),
    "summaries": ("text", "checks"),
    "shadow_runs": ("input", "output"),
    "quick_summaries": ("consultation_id", "conversation", "text", "checks"),
    "conversations": ("consultation_id",),
    "spoken_turns": ("text",),
    "analysis_batches": ("metadata",),
    "analysis_items": ("consultation_id", "conversation", "metadata"),
    "analysis_results": ("analysis",),
    "batch_files": ("filename", "content"),
    "deliveries": ("body",),
    "delivery_attempts": ("answer",),
    "diagnoses": ("text", "image", "result"),
    "idempotency_keys": ("key", "answer"),
    "sentiment_requests": ("texts", "judgements"),
}
"""Gone after a purge by age; by a consultation's id, as far as they are linked to it (docs/retention.md)."""

PLAIN: Mapping[str, Collection[str]] = {
    "clients": ("name", "scopes"),
    "client_secrets": ("ciphertext",),
    "api_keys": ("name", "hint", "digest"),
    # Which channel is whose, labels and figures, the address to call back, the key of what is purged, and the
    # request's id, which clients choose and logs show: docs/observability.md asks for no names in it.
    "calls": (
        "language",
        "channels",
        "stages",
        "callback_url",
        "audio_key",
        "audio_sha256",
        "detected_language",
        "speaker_roles",
        "sentiment",
        "metrics",
        "request_id",
        "trace_parent",
    ),
    "stage_runs": ("worker", "problem", "model", "revision", "device", "model_settings", "variant"),
    "stage_attempts": ("worker", "outcome", "variant"),
    "turns": ("speaker", "sentiment"),
    "summaries": ("provider", "model", "revision", "prompt_version"),
    "jobs": ("worker", "problem", "variant", "request_id", "trace_parent"),
    "model_routes": ("queue", "weights", "shadow", "note"),
    "shadow_runs": ("main_variant", "model", "revision"),
    "quick_summaries": ("content_hash", "provider", "model", "revision", "prompt_version"),
    "sentiment_requests": ("variant", "worker", "model", "problem"),
    "analysis_batches": ("name", "callback_url"),
    "batch_numbers": ("day",),
    "analysis_runs": ("model", "prompt_version", "options"),
    "analysis_items": ("content_hash",),
    "analysis_results": ("problem", "provider", "model", "revision", "prompt_version"),
    "diagnoses": (
        "content_hash",
        "image_sizes",
        "provider",
        "model",
        "revision",
        "prompt_version",
    ),
    "endpoints": ("url", "origin", "disabled_reason"),
    "deliveries": ("key",),
    "delivery_attempts": ("problem", "verdict"),
    "worker_heartbeats": ("worker", "queues", "state", "device", "models"),
    "ticks": ("name",),
    "metric_sums": ("metric", "labels"),
    "provider_choices": ("task", "providers"),
    "provider_usage": ("task", "provider", "model", "outcome"),
    "idempotency_keys": ("request_hash",),
    "purges": ("actor", "reason", "scope", "counts"),
    "audio_purges": ("prefix",),
}
"""Stays, or goes with its row. A problem never holds what was said (callytics/errors.py)."""
