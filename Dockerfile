# One image a part, each with only its own libraries: docker build --build-arg EXTRAS=stt .
FROM python:3.11-slim AS build
ARG EXTRAS
WORKDIR /src
COPY pyproject.toml requirements.lock README.md ./
COPY api api
COPY beat beat
COPY callytics callytics
COPY migrations migrations
COPY tasks tasks
COPY workers workers
# The lock fixes versions; the extras choose among them.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -c requirements.lock ".[${EXTRAS}]"

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 callytics
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER callytics
WORKDIR /home/callytics
ENTRYPOINT ["callytics"]
