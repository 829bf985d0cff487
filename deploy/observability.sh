#!/usr/bin/env bash
# Brings Prometheus, Alertmanager, their tools (promtool, amtool) and node_exporter for the tests that run alerts for
# real, out of Debian's packages and into .observability: nothing is installed, nothing is started. Where they are
# installed already, or are not to be had, it does nothing; tests that need them say so and are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(prometheus prometheus-alertmanager prometheus-node-exporter)

give_up() { echo "Tests that need Prometheus will be skipped: $1 (Debian: ${PACKAGES[*]})."; exit 0; }

mkdir -p .observability
here() { type "$@" &>/dev/null; }
if here prometheus promtool prometheus-alertmanager amtool prometheus-node-exporter; then exit 0; fi
here apt-get dpkg-deb || give_up "they are not installed, and this is no Debian"

download() { (cd .observability && apt-get download -qq "${PACKAGES[@]}") 2>/dev/null; }

echo "Fetching ${PACKAGES[*]} into .observability ..."
if ! download; then
    # A fresh machine knows no packages yet; only root may change that.
    [ "$(id -u)" = 0 ] && apt-get update -qq || true
    download || give_up "their packages could not be fetched"
fi
for package in .observability/*.deb; do dpkg-deb -x "$package" .observability; done
rm .observability/*.deb
