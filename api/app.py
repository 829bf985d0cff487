"""The application: routers, errors, the frame around every request."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline

from api import errors, openapi
from api.context import ApiContext, make_context
from api.middleware import RequestFrame
from api.routers import (
    batch_files,
    batches,
    calls,
    consultation,
    deliveries,
    diagnosis,
    health,
    sentiment,
    synchronous,
)
from callytics import __version__, tracing
from callytics.errors import ConfigurationError
from callytics.logs import configure
from callytics.settings import get_settings

RESOURCES = (
    calls,
    consultation,
    batches,
    batch_files,
    sentiment,
    diagnosis,
    deliveries,
    synchronous,
    health,
)


def create_app() -> FastAPI:
    """For `uvicorn --factory api.app:create_app`: the application of this process's settings. Ends the
    process with a sentence where one of them is wrong.
    """
    try:
        settings = get_settings()
        configure(settings)
        tracing.configure(settings.tracing, "api")
    except ConfigurationError as error:
        sys.exit(error.detail)
    return make_app(make_context(settings))


EXPOSED_HEADERS = (
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Cache",
    "X-Model",
    "X-Request-ID",
)
"""What pages of other origins may read of an answer."""


def make_app(context: ApiContext) -> FastAPI:
    # Its pages load nothing from elsewhere: a call centre's network may be closed.
    app = FastAPIOffline(
        title=openapi.TITLE,
        version=__version__,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.context = context
    app.add_middleware(RequestFrame, metrics=context.metrics)
    if origins := context.settings.api.cors_origins:
        # Around everything else, so that a page is told of errors too.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    errors.install(app)
    for resource in RESOURCES:
        app.include_router(resource.router)
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: ApiContext = app.state.context
    listening = asyncio.create_task(context.watch.run())
    try:
        yield
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        context.limiter.close()
        context.cache.close()
        context.metrics.close()
        context.engine.dispose()
        tracing.close()
