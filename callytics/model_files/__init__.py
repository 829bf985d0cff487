"""Model files: what there is (catalog), how it gets here (fetch), where it is (locate)."""

from callytics.model_files.catalog import CATALOG
from callytics.model_files.fetch import FetchEvent, FetchPlan, fetch, plan_fetch
from callytics.model_files.locate import (
    Checked,
    ConfiguredModel,
    Found,
    check,
    list_models,
    resolve,
    revision_of,
)

__all__ = [
    "CATALOG",
    "Checked",
    "ConfiguredModel",
    "FetchEvent",
    "FetchPlan",
    "Found",
    "check",
    "fetch",
    "list_models",
    "plan_fetch",
    "resolve",
    "revision_of",
]
