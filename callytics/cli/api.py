"""The HTTP API as the command line uses it: one method a request, a fresh bound key for each."""

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx

from callytics.cli import local, sse
from callytics.cli.credentials import signer
from callytics.cli.problems import CommandError, ExitCode, ProblemError

CALLS = "/api/v1/calls"
DIAGNOSE = "/diagnose"

TIMEOUT = httpx.Timeout(30, connect=5)
UPLOAD_TIMEOUT = httpx.Timeout(300, connect=5)
# The server sends a comment every few seconds, so silence means that the connection is dead.
EVENTS_TIMEOUT = httpx.Timeout(60, connect=5)

_ADDRESS = re.compile(r"https?://[^/\s]")

# A proxy of the environment is for addresses beyond this machine.
NO_PROXY: Mapping[str, None] = {
    "all://127.0.0.1": None,
    "all://localhost": None,
    "all://[::1]": None,
}


class BoundKeyAuth(httpx.Auth):
    """Signs each request anew: a key is good for minutes, a command may wait for hours."""

    def __init__(self, make_key: Callable[[], str]) -> None:
        self._make_key = make_key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["X-Bound-Key"] = self._make_key()
        yield request


class Api:
    """Talks to the server at `url`; faults come as ProblemError or CommandError."""

    def __init__(self, url: str, make_key: Callable[[], str]) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            auth=BoundKeyAuth(make_key),
            timeout=TIMEOUT,
            headers={"User-Agent": "callytics-cli"},
            mounts=NO_PROXY,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit_file(
        self, file: BinaryIO, name: str, options: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Any:
        """Upload a recording: `call_id`, `status`, `status_url`, `events_url`."""
        # In a form, lists are repeated fields and objects are JSON.
        fields = {
            key: json.dumps(value) if isinstance(value, dict) else value
            for key, value in options.items()
        }
        return self._json(
            "POST",
            CALLS,
            files={"audio": (name, file)},
            data=fields,
            headers=dict(headers),
            timeout=UPLOAD_TIMEOUT,
        )

    def submit_reference(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        """Submit what the server fetches or reads itself (`audio_url`, `audio_path`)."""
        return self._json("POST", CALLS, json=dict(body), headers=dict(headers))

    def call(self, call_id: str, *, words: bool = False) -> Any:
        """A call's status, and its results as far as they have come."""
        return self._json("GET", f"{CALLS}/{call_id}", params={"words": "true"} if words else {})

    def calls(self, **filters: str | int | None) -> Any:
        """One page, newest first: `{object, data, first_id, last_id, has_more}`."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._json("GET", CALLS, params=given)

    def rerun(self, call_id: str, stage: str) -> Any:
        return self._json("POST", f"{CALLS}/{call_id}/rerun", json={"from": stage})

    def cancel(self, call_id: str) -> Any:
        return self._json("POST", f"{CALLS}/{call_id}/cancel")

    def delete(self, call_id: str) -> None:
        self._send("DELETE", f"{CALLS}/{call_id}")

    def transcript(self, call_id: str, form: str) -> bytes:
        """The transcript as a file in the format `form`."""
        return self._send("GET", f"{CALLS}/{call_id}/transcript", params={"format": form}).content

    @contextmanager
    def events(self, call_id: str) -> Iterator[Iterator[sse.Event]]:
        """The call's events as they come; raises httpx.TransportError when the stream breaks."""
        headers = {"Accept": "text/event-stream"}
        path = f"{CALLS}/{call_id}/events"
        with self._http.stream("GET", path, headers=headers, timeout=EVENTS_TIMEOUT) as response:
            if response.is_error:
                response.read()
                raise _problem(response)
            yield sse.parse(response.iter_bytes())

    def submit_complaint(
        self, text: str | None, image: Path | None, language: str, headers: Mapping[str, str]
    ) -> Any:
        """Have a skin lesion judged: `job_id`, `status`, `status_url`, `cached`."""
        fields = {"language": language} if text is None else {"language": language, "text": text}
        body: dict[str, Any] = {"json": fields}
        if image is not None:
            body = {"data": fields, "files": {"image": (image.name, image.read_bytes())}}
        path = f"{DIAGNOSE}/skin-lesion-async"
        return self._json("POST", path, **body, headers=dict(headers), timeout=UPLOAD_TIMEOUT)

    def diagnosis(self, job_id: str) -> Any:
        """Where a diagnosis stands, and its result."""
        return self._json("GET", f"{DIAGNOSE}/jobs/{job_id}")

    def request(self, method: str, path: str, **options: Any) -> Any:
        """What the server answers to a request that has no method of its own here."""
        return self._json(method, path, **options)

    def _json(self, method: str, path: str, **options: Any) -> Any:
        response = self._send(method, path, **options)
        try:
            return response.json()
        except ValueError as error:
            raise CommandError(f"What answers at {self.url} is no Callytics server.") from error

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error
        if response.is_error:
            raise _problem(response)
        return response

    def unreachable(self, error: Exception) -> CommandError:
        """What to tell the user about a connection that failed with `error`."""
        return CommandError(
            f"No answer from {self.url} ({type(error).__name__}). Start a local stack with "
            "`callytics up`, or name the server with --api-url or CALLYTICS_API__PUBLIC_URL.",
            ExitCode.UNREACHABLE,
        )


def check_address(url: str) -> str:
    if not _ADDRESS.match(url):
        raise CommandError(f"{url} is no address: it begins with http://", ExitCode.USAGE)
    return url


@contextmanager
def connect(url: str | None, client: str | None) -> Iterator[Api]:
    """The API at `url` as `client`; None: those of the running stack or of the environment."""
    address = check_address(url or local.settings().api.url)
    with signer(client) as make_key, Api(address, make_key) as api:
        yield api


def _problem(response: httpx.Response) -> ProblemError:
    try:
        return ProblemError(response.status_code, response.json())
    except ValueError:
        return ProblemError(response.status_code, None)
