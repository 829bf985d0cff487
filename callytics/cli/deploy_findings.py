"""What is well and what is not with a live deployment, judged from what it says of itself."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import httpx

from callytics import __version__

CONNECT_S = 10
CERTIFICATE_WARN_DAYS, CERTIFICATE_FAIL_DAYS = 30, 7
SKEW_WARN_S, SKEW_FAIL_S = 30, 240
"""A bound key is good for 300 s either way."""

SWEEP_LATE_S, TIDY_LATE_S = 60, 1800
OLDEST_WARN_S = 300
HEARTBEAT_LATE_S = 15


class Grade(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of the report; `mend` says what to do where it is not ok."""

    name: str
    grade: Grade
    detail: str
    mend: str | None = None


def ok(name: str, detail: str) -> Finding:
    return Finding(name=name, grade=Grade.OK, detail=detail)


def warn(name: str, detail: str, mend: str) -> Finding:
    return Finding(name=name, grade=Grade.WARN, detail=detail, mend=mend)


def fail(name: str, detail: str, mend: str) -> Finding:
    return Finding(name=name, grade=Grade.FAIL, detail=detail, mend=mend)


def certificate(url: str) -> Finding:
    """Whether the way is encrypted, by a certificate that this machine trusts and that lasts."""
    parts = urlsplit(url)
    host, mend = parts.hostname or "", "renew the certificate and reload the proxy"
    if parts.scheme != "https":
        if is_near(url):
            return ok("TLS", "none, at an address of this network")
        return fail("TLS", "recordings travel in the clear", "put a proxy with TLS before the API")
    try:
        ends_at = _ends_at(host, parts.port or 443)
    except ssl.SSLCertVerificationError as error:
        return fail("TLS", f"the certificate is not good: {error.verify_message}", mend)
    except OSError as error:
        return fail("TLS", f"no connection: {type(error).__name__}", "look at the proxy")
    days = (ends_at - time.time()) / 86_400
    detail = f"the certificate is good for {days:.0f} days"
    if days < CERTIFICATE_FAIL_DAYS:
        return fail("TLS", detail, mend)
    return warn("TLS", detail, mend) if days < CERTIFICATE_WARN_DAYS else ok("TLS", detail)


def _ends_at(host: str, port: int) -> float:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), CONNECT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as encrypted,
    ):
        ends: Any = (encrypted.getpeercert() or {})["notAfter"]
        return ssl.cert_time_to_seconds(ends)


def is_near(url: str) -> bool:
    """Whether the address is spelled as one of this machine or of a private network."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host


def clock(answer: httpx.Response, now_s: float) -> Finding:
    if "date" not in answer.headers:
        return warn("clock", "the answer has no Date", "let the proxy pass Date on")
    try:
        skew_s = parsedate_to_datetime(answer.headers["date"]).timestamp() - now_s
    except ValueError:
        return warn("clock", "the answer's Date is none", "let the proxy pass Date on")
    detail, mend = f"the server is {skew_s:+.0f} s off", "run NTP on both machines"
    if abs(skew_s) > SKEW_FAIL_S:
        return fail("clock", f"{detail}: bound keys are refused", mend)
    return warn("clock", detail, mend) if abs(skew_s) > SKEW_WARN_S else ok("clock", detail)


def version(found: str | None) -> Finding:
    if found == __version__:
        return ok("version", found)
    mend = "use the command line of the server's version, or finish the upgrade"
    return warn("version", f"the API has {found or 'none to tell'}, this is {__version__}", mend)


def schema(found: Mapping[str, str | None]) -> Finding:
    stands, needed = found.get("found") or "", found.get("needed")
    if needed is None:
        return warn("tables", "the API does not say", "finish the upgrade of the API")
    if stands < needed:
        detail = f"at {stands or 'nothing'}, the API needs {needed}"
        return fail("tables", detail, "callytics db upgrade")
    if stands > needed:
        mend = "finish the upgrade, or, after a rollback, leave it"
        return warn("tables", f"at {stands}, newer than the API ({needed})", mend)
    return ok("tables", f"at {stands}, as the API needs")


def models(statuses: Mapping[str, str]) -> Finding:
    missing = [f"{name}: {status}" for name, status in statuses.items() if status != "ready"]
    if missing:
        mend = "start the workers; GET /health says why a model does not load"
        return fail("models", ", ".join(missing), mend)
    return ok("models", f"{len(statuses)} are ready")


def queues(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    for name, queue in found.items():
        if not queue["ready"]:
            detail = f"no ready worker; {queue['queued']} wait"
            yield fail(f"queue {name}", detail, f"callytics worker --queues {name}")
        elif (queue["oldest_queued_s"] or 0) > OLDEST_WARN_S:
            detail = f"{queue['queued']} wait, the oldest for {queue['oldest_queued_s']:.0f} s"
            yield warn(f"queue {name}", detail, "more workers of it, or fewer calls")
    ready = sum(bool(queue["ready"]) for queue in found.values())
    yield ok("queues", f"{ready} of {len(found)} have a ready worker")


def upkeep(ages_s: Mapping[str, float]) -> Iterator[Finding]:
    mend = "start `callytics beat` and a worker of the queue control"
    for name, what, late_s in (
        ("sweep", "sweeper", SWEEP_LATE_S),
        ("tidy", "upkeep", TIDY_LATE_S),
    ):
        age_s = ages_s.get(name)
        if age_s is None:
            # The tidying comes every five minutes, so a young deployment has not had it.
            young = warn(what, "has not worked yet", f"wait five minutes; else {mend}")
            yield fail(what, "has not worked yet", mend) if name == "sweep" else young
        elif age_s > late_s:
            yield fail(what, f"worked last {age_s:.0f} s ago", mend)
        else:
            yield ok(what, f"worked {age_s:.0f} s ago")


def heartbeats(text: str) -> list[str]:
    """The workers that Prometheus' text says have been silent."""
    from prometheus_client.parser import text_string_to_metric_families

    return [
        sample.labels["worker"]
        for family in text_string_to_metric_families(text)
        if family.name == "callytics_heartbeat_age_seconds"
        for sample in family.samples
        if sample.value > HEARTBEAT_LATE_S
    ]
