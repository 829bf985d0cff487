#!/usr/bin/env bash
# Makes .venv from requirements.lock (`venv.sh install`), or the lock from pyproject.toml (`venv.sh lock`).
# By uv, which takes seconds where pip takes minutes; by pip where uv cannot.
set -euo pipefail
cd "$(dirname "$0")/.."

# Where pip has been told to look, on the command line's behalf or in a file; nothing if nowhere.
pip_setting() {
    .venv/bin/python -m pip config get ":env:.$1" 2>/dev/null ||
        .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true
}

# uv does not read pip's configuration: say the same in its own words.
export_if_set() { if [ -n "$2" ]; then export "$1=$2"; fi; }
configure_uv() {
    export_if_set UV_DEFAULT_INDEX "$(pip_setting index-url)"
    export_if_set UV_INDEX "$(pip_setting extra-index-url | xargs)"
    export_if_set UV_FIND_LINKS "$(pip_setting find-links | xargs | tr ' ' ,)"
    export_if_set UV_INSECURE_HOST "$(pip_setting trusted-host | xargs)"
    export_if_set SSL_CERT_FILE "$(pip_setting cert)"
    export_if_set UV_HTTP_TIMEOUT "$(pip_setting timeout)"
    # As pip does: the best version of all indexes, not of the first that knows the name.
    export UV_INDEX_STRATEGY=unsafe-best-match UV_PYTHON=.venv/bin/python
    # Without a folder of chosen wheels: the CPU build, the one that needs no other package.
    [ -n "${UV_FIND_LINKS:-}" ] || export UV_TORCH_BACKEND=cpu
}

install() {
    local python=${PYTHON:-python3} version
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "Callytics needs Python 3.11 or newer: make PYTHON=python3.11 ..." >&2
        exit 1
    fi
    [ -x .venv/bin/pip ] || "$python" -m venv .venv
    echo "Installing the locked packages into .venv ..."
    version=$(sed -n 's/^uv==//p' requirements.lock)
    if ! { pip_install "uv==$version" && configure_uv && uv_install; }; then
        echo "uv could not do it; once more with pip, which takes minutes ..."
        pip_install --no-deps -r requirements.lock -e .
    fi
}

uv_install() { .venv/bin/uv pip install --quiet --no-deps -r requirements.lock -e .; }
pip_install() { .venv/bin/python -m pip install -qq --disable-pip-version-check "$@"; }

lock() {
    configure_uv
    local torch
    torch=$(sed -n 's/^torch==//p' requirements.lock)
    # The versions in the lock stay unless pyproject.toml asks for others; `--upgrade` moves them, but for
    # torch: its CPU build is asked for by name, since the one for CUDA brings 3 GB of packages with it.
    .venv/bin/uv pip compile --quiet pyproject.toml --all-extras --python-version 3.11 \
        --constraint <(echo "torch==$torch+cpu") \
        --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock "$@"
    # The same version wherever it is found, and no trace of the constraint.
    sed -i -e 's/+cpu$//' -e '/#   -c /d' requirements.lock
}

"$@"
