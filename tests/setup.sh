#!/bin/sh
# What `make demo` and `make test` need: Debian packages (as root, or with sudo), then a
# virtual environment with exactly the locked versions. Says what it does; repeats nothing.
set -eu

say() { printf '%s\n' "setup: $*"; }

packages="gcc swig pcscd libpcsclite-dev libccid vsmartcard-vpcd vsmartcard-vpicc chromium curl \
fonts-noto-cjk faketime"
windowless=chromium-headless-shell # half the work for the tests; not every release has it
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "Python 3.11 or newer is needed; name one like this: make PYTHON=python3.11 ..."
  exit 1
}
"$PYTHON" -c 'import ensurepip' 2>/dev/null || packages="$packages python3-venv"
"$PYTHON" -c 'import os, sysconfig
os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null ||
  packages="$packages python3-dev"

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
  for package in $packages $windowless; do
    state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
  done
fi
if [ "$missing" = " $windowless" ] &&
  { [ "$(id -u)" -ne 0 ] || ! apt-cache show "$windowless" >/dev/null 2>&1; }; then
  missing="" # nobody is asked for a password for that
fi
if [ -n "$missing" ]; then
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
    command -v sudo >/dev/null 2>&1 || {
      say "please install as root: apt-get install$missing"
      exit 1
    }
  fi
  say "installing Debian packages (some minutes):$missing"
  $as_root apt-get update -qq
  apt-cache show "$windowless" >/dev/null 2>&1 || missing=${missing%" $windowless"}
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends $missing >/dev/null
fi

if [ ! -x "$VENV/bin/python" ]; then
  say "making $VENV with $($PYTHON --version)"
  $PYTHON -m venv "$VENV"
fi
say "installing the locked Python packages (a minute the first time)"
"$VENV/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements.lock
"$VENV/bin/pip" install -q --disable-pip-version-check --no-deps -e .
say "done"
