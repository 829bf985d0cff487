"""`callytics callback-receiver`: see what is called back, and whether it is signed well."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callytics.cli import local
from callytics.cli.console import colored, print_json, print_plain, print_table, say, stdout
from callytics.cli.credentials import signer
from callytics.cli.options import Json
from callytics.cli.problems import CommandError

if TYPE_CHECKING:
    from callytics.adapters.callback_receiver import Received, Reply


def callback_receiver(
    client: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Client whose callbacks are taken. (default: CALLYTICS_CLIENT__NAME)",
        ),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            help="Its secret. (default: CALLYTICS_CLIENT__SECRET, or the running stack's database)"
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8787,
    fail_share: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Share of callbacks to answer with 500, to watch them come again."
        ),
    ] = 0.0,
    *,
    as_json: Json = False,
) -> None:
    """Take callbacks, check both signatures, and show what they say, until Ctrl-C.

    The server must allow the address: CALLYTICS_CALLBACKS__ALLOWED_HOSTS=127.0.0.1 callytics up
    """
    from callytics.adapters.callback_receiver import CallbackReceiver, Received, Reply

    name = client or local.settings().client.name
    show = _print_line if as_json else _print_callback
    one_by_one = Lock()

    def reply(received: Received) -> Reply:
        answer = Reply(status=_status(received, fail_share))
        with one_by_one:
            show(received, answer)
        return answer

    with _secrets(name, secret) as secrets, ExitStack() as stack:
        try:
            server = stack.enter_context(
                CallbackReceiver((host, port), client_id=name, secrets=secrets, reply=reply)
            )
        except OSError as error:
            raise CommandError(
                f"Port {port} of {host} cannot be taken ({error.strerror}): name another with --port."
            ) from error
        say(f"Callbacks to {name} are taken at http://{host}:{server.server_port}/. Ctrl-C ends.")
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            say(f"{len(server.accepted)} callbacks were accepted.")


@contextmanager
def _secrets(name: str, given: str | None) -> Iterator[Callable[[], Sequence[str]]]:
    """What gives the secrets of `name` that are live when it is asked."""
    own = local.settings().client
    if given is None and own.secret is not None and name == own.name:
        given = own.secret.get_secret_value()
    if given is not None:
        known = [given]
        yield lambda: known
        return
    with signer(name):  # the command line's own client comes with its first use
        pass
    with _secrets_of_stack(name) as found:
        yield found


@contextmanager
def _secrets_of_stack(name: str) -> Iterator[Callable[[], Sequence[str]]]:
    from callytics.db.clients import Clients
    from callytics.db.engine import unit_of_work
    from callytics.services import keys

    cipher = keys.make_cipher(local.settings())
    with local.sessions() as sessions:

        def live() -> Sequence[str]:
            with unit_of_work(sessions) as session:
                return keys.live_secrets(session, cipher, Clients(session).get(name).id)

        live()
        yield live


def _status(received: "Received", fail_share: float) -> int:
    if received.faults:
        return HTTPStatus.UNAUTHORIZED
    try:
        is_object = isinstance(received.payload, dict)
    except ValueError:
        is_object = False
    if not is_object:
        return HTTPStatus.BAD_REQUEST
    failing = random.random() < fail_share  # noqa: S311 (no secret)
    return HTTPStatus.INTERNAL_SERVER_ERROR if failing else HTTPStatus.OK


def _print_line(received: "Received", reply: "Reply") -> None:
    try:
        payload = received.payload
    except ValueError:
        payload = None
    print_json(
        {
            "received_at": datetime.now().astimezone().isoformat(timespec="milliseconds"),
            "webhook_id": received.id,
            "event": received.event,
            "signatures": "good" if not received.faults else "; ".join(received.faults),
            "repeated": received.repeated,
            "answered": int(reply.status),
            "payload": payload,
        },
        indent=None,
    )


def _print_callback(received: "Received", reply: "Reply") -> None:
    good = not received.faults
    said = "signatures good" if good else "; ".join(received.faults)
    again = " (again)" if received.repeated else ""
    head = f"{time.strftime('%H:%M:%S')}  {received.event or 'callback'}  {received.id}{again}"
    stdout().print(colored(head, "bold"), soft_wrap=True)
    stdout().print(
        colored(f"{said}; answered {int(reply.status)}", "green" if good else "red"), soft_wrap=True
    )
    if good and reply.status != HTTPStatus.BAD_REQUEST:
        _print_payload(received.payload)
    print_plain("")


def _print_payload(payload: dict[str, Any]) -> None:
    """A batch as a table, a line a consultation; anything else by its plain fields."""
    plain = {key: value for key, value in payload.items() if not isinstance(value, dict | list)}
    print_plain("  ".join(f"{key}={value}" for key, value in plain.items() if value is not None))
    rows = [
        (
            one.get("consultation_id"),
            one.get("quality_score"),
            one.get("titles", {}).get("descriptive"),
            one.get("summary", {}).get("result"),
            ", ".join(one.get("keywords", [])),
        )
        for one in payload.get("results", [])
    ]
    if rows:
        print_table(("consultation", "quality", "title", "result", "keywords"), rows)
    for one in payload.get("errors", []):
        fault = one.get("error", {})
        print_plain(f"{one.get('consultation_id')}: {fault.get('code')}: {fault.get('detail')}")
