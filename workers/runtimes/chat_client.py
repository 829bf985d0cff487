"""The connection to a chat server, by which a request ends in time whatever the server does."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from threading import Thread
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from callytics.domain.providers import LOOPBACK

T = TypeVar("T")

CLOSED = httpx2.TransportError("The client is closed.")


class ChatClient:
    """The OpenAI client on an event loop in a thread of its own, for any number of other threads.

    On a loop every wait can be cut off: for a name, a handshake, a head that comes byte by byte. httpx2's own
    limits hold for each step, and a blocking look-up of a name knows none.
    """

    def __init__(self, base_url: str, api_key: str) -> None:
        """No retries: who asks counts them. No proxy to this very machine. No redirects: a conversation
        goes to nobody but whom the settings name. No bodies of errors: nobody reads them.
        """
        beyond = urlsplit(base_url).hostname not in LOOPBACK
        self.openai = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key,
            max_retries=0,
            timeout=None,
            http_client=DefaultAsyncHttpxClient(
                trust_env=beyond,
                follow_redirects=False,
                event_hooks={"request": [_close_if_called_off], "response": [_drop_error_body]},
            ),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="chat-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, within_s: float | None = None) -> T:
        """What `work` with `openai` returns; raises TimeoutError once `within_s` is over, and CLOSED after
        `close`.
        """

        async def in_time() -> T:
            async with asyncio.timeout(within_s):
                return await work

        if self._loop.is_closed():
            work.close()
            raise CLOSED
        found = asyncio.run_coroutine_threadsafe(in_time(), self._loop)
        try:
            return found.result()
        except CancelledError as error:
            raise CLOSED from error
        except BaseException:
            found.cancel()  # a time limit, or Ctrl-C: nobody waits for it any more
            raise

    def close(self) -> None:
        """Whoever asks just now, or later, finds the server unreachable."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        asking = asyncio.all_tasks() - {asyncio.current_task()}
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self.openai.close()


async def _close_if_called_off(request: httpx2.Request) -> None:
    """httpcore2 2.16 keeps a connection open for ever whose TLS handshake is called off (start_tls)."""
    opened: Any = None

    async def trace(step: str, told: dict[str, Any]) -> None:
        nonlocal opened
        if step.endswith(".connect_tcp.complete"):  # straight, or to a proxy
            opened = told["return_value"]
        elif step.endswith(".start_tls.failed") and opened is not None:
            await opened.aclose()

    request.extensions["trace"] = trace


async def _drop_error_body(response: httpx2.Response) -> None:
    """The library would read the whole of it, however long that is and takes."""
    if not response.is_success:
        await cast("httpx2.AsyncByteStream", response.stream).aclose()
        response.stream = httpx2.ByteStream(b"")
