#!/usr/bin/env bash
# Brings Prometheus, Alertmanager, their tools (promtool, amtool) and node_exporter for the tests that run alerts for
# real, out of Debian's packages. Root has them installed (no service is started); others have them unpacked into
# .observability. Where they are installed already, or are not to be had, it does nothing; tests that need them say
# so and are skipped. Debian's Alertmanager finds its own templates only where it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(prometheus prometheus-alertmanager prometheus-node-exporter)

give_up() { echo "Tests that need Prometheus will be skipped: $1 (Debian: ${PACKAGES[*]})."; exit 0; }

mkdir -p .observability
here() { type "$@" &>/dev/null; }
if here prometheus promtool prometheus-alertmanager amtool prometheus-node-exporter; then exit 0; fi
here apt-get dpkg-deb || give_up "they are not installed, and this is no Debian"

download() { (cd .observability && apt-get download -qq "${PACKAGES[@]}") 2>/dev/null; }

if [ "$(id -u)" = 0 ]; then
    echo "Installing ${PACKAGES[*]} ..."
    # As in runlevel 1, so that no service is started.
    install() { RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}"; }
    # A fresh machine knows no packages yet.
    install &>/dev/null || { apt-get update -qq && install; } &>/dev/null || give_up "their packages could not be installed"
    exit 0
fi

echo "Fetching ${PACKAGES[*]} into .observability ..."
download || give_up "their packages could not be fetched"
for package in .observability/*.deb; do dpkg-deb -x "$package" .observability; done
rm .observability/*.deb
