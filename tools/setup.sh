#!/usr/bin/env bash
# Sets up .venv/ on a Debian or Ubuntu machine that has Python and nothing else.
#   tools/setup.sh run    what `make run` needs
#   tools/setup.sh test   that, and what the tests need
# Says how long each part took and how much it downloaded. Leaves .venv/.ready-<kind> when all went well.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-run}
case $kind in
    run) what=".[agents]" ;;
    test) what=".[test]" ;;
    *) echo "usage: tools/setup.sh run|test" >&2; exit 2 ;;
esac
venv=.venv
report=()

die() { echo "setup: $*" >&2; exit 1; }

# timed NAME COMMAND...: runs it and notes its seconds and the megabytes it left in $megabytes.
timed() {
    local name=$1 start=$SECONDS
    shift
    megabytes=0
    "$@"
    report+=("$(printf '%-28s %4d s %9s MB downloaded' "$name" $((SECONDS - start)) "$megabytes")")
}

# apt PACKAGE...: as root, with sudo only where that is needed.
apt() {
    command -v apt-get >/dev/null || die "this system has no apt-get; please install by hand: $*"
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "please run as root: apt-get install $*"
        root=(sudo)
        echo "setup: sudo is needed once, to install: $*"
    fi
    local log
    log=$(mktemp)
    "${root[@]}" apt-get update -qq
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" \
        | tee "$log" | sed -unE '/^(Setting up|E:)/p'
    megabytes=$(awk '/^Fetched/ {n = $2; gsub(",", "", n); print ($3 == "kB" ? n / 1000 : n)}' "$log")
    megabytes=${megabytes:-0}
    rm -f "$log"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null \
            && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed (PYTHON=/path/to/python make run picks one)"
}

# Debian ships Python without ensurepip unless python3-venv is there.
make_venv() {
    [ -x $venv/bin/pip ] && return
    local python
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    "$python" -m venv --clear $venv
}

gl_works() {
    $venv/bin/python -I -c 'import runpy, sys
gl = runpy.run_path("h2r_bench/envs/rendering/gl.py")
sys.exit(not (gl["egl_works"]() or gl["osmesa_works"]()))'
}

graphics() {
    gl_works && return
    apt libegl1 libopengl0 libgl1-mesa-dri
    gl_works || die "OpenGL still does not work; try: apt-get install libosmesa6"
}

packages() {
    local log=$venv/setup-$kind.log
    $venv/bin/pip install --disable-pip-version-check --progress-bar off --editable "$what" 2>&1 \
        | tee "$log" | sed -unE '/^(Collecting|Installing|Successfully built|ERROR|error)/s/^(.{1,150}).*/\1/p'
    megabytes=$(awk '/^ *Downloading / {
        n = $(NF - 1); sub(/^\(/, "", n); unit = $NF
        sum += n * (unit ~ /^GB/ ? 1000 : unit ~ /^MB/ ? 1 : unit ~ /^kB/ ? 0.001 : 0.000001)
    } END {printf "%.0f", sum}' "$log")
}

timed "virtual environment" make_venv
timed "graphics libraries" graphics
timed "Python packages ($kind)" packages
touch "$venv/.ready-run" "$venv/.ready-$kind"
echo
printf '%s\n' "${report[@]}"
du -sh $venv | awk '{print "size of .venv:               " $1}'
