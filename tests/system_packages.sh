#!/bin/sh
# Installs the system packages that some tests need: a browser, an SSH server, a sandbox, a
# compiler for AMD's GPUs, OpenCL on the processor and its checker, the tool for networks, and a
# stand-in for the kernel's devices.
# As root on Debian or Ubuntu it installs what is missing; elsewhere it only names it, and those
# tests report that they were not run, and why.
set -eu

# Where Debian asks whether a freshly installed service may start.
POLICY=${POLICY:-/usr/sbin/policy-rc.d}

missing=""
add_if_absent() { # command to look for, package that has it
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

# The tests start an SSH server of their own on loopback; the system's own must not come up.
forbid_services() {
    [ ! -e "$POLICY" ] || return 0
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
    trap 'rm -f "$POLICY"' EXIT
}

install_missing() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null &&
        # shellcheck disable=SC2086  # one word a package
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

PATH="$PATH:/usr/sbin:/sbin"
add_if_absent chromium chromium
add_if_absent sshd openssh-server
add_if_absent bwrap bubblewrap
add_if_absent clang-19 "clang-19 lld-19"
add_if_absent oclgrind oclgrind
add_if_absent ip iproute2
add_if_absent umockdev-run umockdev
# An OpenCL platform is no command: it names itself in a folder.
[ -e "${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}/pocl.icd" ] || missing="$missing pocl-opencl-icd"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$missing"
    forbid_services
    if install_missing; then exit 0; fi
fi
echo "Missing, so the tests that need them are not run:$missing" >&2
