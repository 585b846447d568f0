#!/bin/sh
# Installs the system packages that some tests need: a browser, an SSH server, a sandbox.
# As root on Debian or Ubuntu it installs what is missing; elsewhere it only names it, and those
# tests report that they were not run, and why.
set -eu

missing=""
add_if_absent() { # command to look for, package that has it
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
PATH="$PATH:/usr/sbin:/sbin"
command -v chromium-browser >/dev/null 2>&1 || add_if_absent chromium chromium
add_if_absent sshd openssh-server
add_if_absent bwrap bubblewrap

[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # A machine without the package server still runs every other test.
    # shellcheck disable=SC2086
    if apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends \
        $missing >/dev/null; then
        exit 0
    fi
    echo "apt-get could not install:$missing" >&2
fi
echo "Missing, so the tests that need them are not run:$missing" >&2
