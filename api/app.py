"""The application: routers, errors, the frame around every request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
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
    synchronous,
)
from callytics import __version__
from callytics.logs import configure
from callytics.settings import get_settings


def create_app() -> FastAPI:
    """For `uvicorn --factory api.app:create_app`: the application of this process's settings."""
    settings = get_settings()
    configure(settings)
    return make_app(make_context(settings))


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
    errors.install(app)
    for resource in (
        calls,
        consultation,
        batches,
        batch_files,
        deliveries,
        diagnosis,
        synchronous,
        health,
    ):
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
        context.engine.dispose()
