#!/usr/bin/env bash
# Brings Prometheus, Alertmanager and their tools (promtool, amtool) for the tests that run alerts for real, out of
# Debian's packages and into .observability: nothing is installed, nothing is started. Where they are installed
# already, or are not to be had, it does nothing; tests that need them say so and are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(prometheus prometheus-alertmanager)

give_up() { echo "Tests that need Prometheus will be skipped: $1 (Debian: ${PACKAGES[*]})."; exit 0; }

mkdir -p .observability
if command -v prometheus promtool prometheus-alertmanager amtool >/dev/null; then exit 0; fi
command -v apt-get dpkg-deb >/dev/null || give_up "they are not installed, and this is no Debian"

download() { (cd .observability && apt-get download -qq "${PACKAGES[@]}") 2>/dev/null; }

echo "Fetching ${PACKAGES[*]} into .observability ..."
if ! download; then
    # A fresh machine knows no packages yet; only root may change that.
    [ "$(id -u)" = 0 ] && apt-get update -qq || true
    download || give_up "their packages could not be fetched"
fi
for package in .observability/*.deb; do dpkg-deb -x "$package" .observability; done
rm .observability/*.deb
