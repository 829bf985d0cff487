"""What `callytics doctor --deploy` asks a live deployment over HTTP, as a client and as a stranger."""

import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from callytics.cli import deploy_findings
from callytics.cli.api import CALLS, NO_PROXY
from callytics.cli.deploy_findings import Finding, fail, ok, warn

TIMEOUT_S = 10
STRANGER = "https://stranger.invalid"
DEAD = "/api/v1/consultation/deliveries"

ODD = (AttributeError, LookupError, TypeError, ValueError)
"""What comes of reading a page that is none of the API's."""
MEND_ODD = "look what answers there: a proxy's own page, or an API of another version"


class Deployment:
    """The deployment at `url`; `make_key` signs as a client, None: there is no secret to do so."""

    def __init__(
        self, url: str, make_key: Callable[[], str] | None, flower_url: str | None
    ) -> None:
        self.url = url.rstrip("/")
        self._make_key = make_key
        self._flower_url = flower_url
        self._http = httpx.Client(
            base_url=self.url,
            timeout=TIMEOUT_S,
            headers={"User-Agent": "callytics-doctor"},
            mounts=NO_PROXY,
            verify=ssl.create_default_context(),
        )

    def close(self) -> None:
        self._http.close()

    def examine(self) -> Iterator[Finding]:
        """Every finding; the first ones alone where nothing answers."""
        yield deploy_findings.certificate(self.url)
        live = self._get("/health/live")
        if live is None or live.status_code != httpx.codes.OK:
            mend = "start `callytics api`, or correct --api-url, the proxy or the firewall"
            yield fail("API", "does not answer" if live is None else _status(live), mend)
            return
        if not _is_ours(live):
            yield fail("API", "what answers is no Callytics server", "correct --api-url")
            return
        yield ok("API", f"answers at {self.url}")
        yield deploy_findings.clock(live, time.time())
        yield self._ready()
        yield from self._health()
        yield self._metrics()
        yield self._cors()
        yield self._docs()
        yield from self._keys()
        yield self._flower()

    def _get(self, path: str, **options: Any) -> httpx.Response | None:
        try:
            return self._http.get(path, **options)
        except httpx.RequestError:
            return None

    def _ready(self) -> Finding:
        answer = self._get("/health/ready")
        if answer is not None and answer.status_code == httpx.codes.OK:
            return ok("servers", "PostgreSQL and Redis answer the API")
        return fail("servers", _problem(answer), "look at the API's log; mend what it names")

    def _health(self) -> Iterator[Finding]:
        answer = self._get("/health")
        if answer is None or answer.status_code != httpx.codes.OK:
            yield fail("health", _problem(answer), "mend the servers first")
            return
        try:
            found = answer.json()
            yield deploy_findings.version(found.get("version"))
            yield deploy_findings.schema(found.get("database") or {})
            data = found["data"]
            yield deploy_findings.models(data["model_status"])
            yield from deploy_findings.queues(data["queues"])
            yield from deploy_findings.upkeep(data.get("upkeep") or {})
        except ODD:
            yield fail("health", "the answer is not the API's", MEND_ODD)

    def _metrics(self) -> Finding:
        answer = self._get("/metrics")
        if answer is None or answer.status_code != httpx.codes.OK:
            return ok("metrics", "not reachable from here")
        try:
            silent = deploy_findings.heartbeats(answer.text)
        except ODD:
            return warn("metrics", "the answer is not the API's", MEND_ODD)
        if silent:
            mend = "if they were stopped for good, nothing: their rows go in an hour"
            return warn("metrics", f"silent workers: {', '.join(silent)}", mend)
        if deploy_findings.is_near(self.url):
            return ok("metrics", "answer, at an address of this network")
        mend = "let the proxy refuse /metrics from outside; Prometheus asks the API itself"
        return warn("metrics", "answer anybody", mend)

    def _cors(self) -> Finding:
        answer = self._get("/health/live", headers={"Origin": STRANGER})
        allowed = answer.headers.get("access-control-allow-origin") if answer else None
        if allowed in ("*", STRANGER):
            mend = "name the origins in CALLYTICS_API__CORS_ORIGINS"
            return fail("CORS", f"pages of any origin are let in ({allowed})", mend)
        return ok("CORS", "a strange origin is not let in")

    def _docs(self) -> Finding:
        answer = self._get("/docs")
        if answer is not None and answer.status_code == httpx.codes.OK:
            return ok("documentation", f"{self.url}/docs")
        return ok("documentation", "not served here")

    def _keys(self) -> Iterator[Finding]:
        yield self._wrong_key()
        if self._make_key is None:
            mend = "set CALLYTICS_CLIENT__NAME and CALLYTICS_CLIENT__SECRET"
            yield warn("bound key", "no secret here to sign with", mend)
            return
        signed = {"X-Bound-Key": self._make_key()}
        answer = self._get(CALLS, params={"limit": 1}, headers=signed)
        if answer is None or answer.status_code != httpx.codes.OK:
            mend = "check the secret, the client (`callytics clients list`) and both clocks"
            yield fail("bound key", _problem(answer), mend)
            return
        yield ok("bound key", "a signed request is taken")
        yield self._dead_letters()

    def _wrong_key(self) -> Finding:
        forged = f"doctor:{int(time.time())}:{'0' * 64}"
        for headers in ({}, {"X-Bound-Key": forged}):
            answer = self._get(CALLS, params={"limit": 1}, headers=headers)
            if answer is None or answer.status_code != httpx.codes.UNAUTHORIZED:
                mend = "nothing in front of the API may sign requests or cache answers"
                return fail("wrong key", f"not refused: {_problem(answer)}", mend)
        return ok("wrong key", "refused, and a request without one")

    def _dead_letters(self) -> Finding:
        signed = {"X-Bound-Key": self._make_key()} if self._make_key else {}
        answer = self._get(DEAD, params={"status": "dead", "limit": 1}, headers=signed)
        if answer is None or answer.status_code != httpx.codes.OK:
            return warn("dead letters", _problem(answer), "give the client the scope to read")
        try:
            dead = answer.json()["data"]
        except ODD:
            return warn("dead letters", "the answer is not the API's", MEND_ODD)
        if dead:
            mend = "callytics deliveries list --dead, then deliveries replay"
            return warn("dead letters", "callbacks of this client were given up", mend)
        return ok("dead letters", "this client has none")

    def _flower(self) -> Finding:
        if self._flower_url is None:
            return ok("Flower", "not looked at: --flower-url names it")
        answer = self._get(f"{self._flower_url.rstrip('/')}/workers")
        if answer is None:
            return ok("Flower", "not reachable from here")
        if answer.status_code == httpx.codes.OK:
            mend = "set CALLYTICS_FLOWER__BASIC_AUTH, and keep Flower off public addresses"
            return fail("Flower", "shows its pages without a password", mend)
        return ok("Flower", f"asks who is there ({answer.status_code})")


def _is_ours(answer: httpx.Response) -> bool:
    try:
        return bool(answer.json()["status"] == "alive")
    except (ValueError, TypeError, KeyError):
        return False


def _status(answer: httpx.Response) -> str:
    return f"answers with {answer.status_code}"


def _problem(answer: httpx.Response | None) -> str:
    """What the answer says, in the words of its problem document where it has one."""
    if answer is None:
        return "no answer"
    try:
        document = answer.json()
    except ValueError:
        return _status(answer)
    detail = document.get("detail") if isinstance(document, dict) else None
    return f"{_status(answer)}: {detail}" if detail else _status(answer)
