# Sourced by ./demo, ./test and bench/run: makes an environment in the checkout, with every distribution of the
# repository installed editable. Safe to repeat: it works only when something that it depends on has changed.
# Usage: . tools/setup.sh [test]      "test" adds what the checks and the tests need.
# The environment is .venv, or what $venv says; $MDACORE_PYTHON names the interpreters to choose from, the best first.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${venv:-.venv}
cd "$root"
unset PYTHONPATH PYTHONHOME

find_python() {
    local candidate
    for candidate in ${MDACORE_PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: ${MDACORE_PYTHON:+MDACORE_PYTHON=$MDACORE_PYTHON will not do: }Python 3.11, 3.12 or 3.13 is needed" >&2
    return 1
}

make_venv() {
    local python=$1 other
    rm -rf "$venv"
    ! "$python" -m venv "$venv" 2>/dev/null || return 0
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv"
    for other in "$python" python3 python; do # a Python without ensurepip: somebody's pip fills the environment
        if "$other" -m pip --version >/dev/null 2>&1; then
            "$other" -m pip --disable-pip-version-check --python "$venv/bin/python" install -qq pip
            return
        fi
    done
    echo "setup: $python has no venv with pip, and there is no other pip" >&2
    return 1
}

install_distributions() {
    local wanted=(-r requirements/build.txt) editable=(-e core) plugin
    [ "$1" = test ] && wanted+=(-r requirements/test.txt)
    for plugin in plugins/*/; do
        [ -f "$plugin/pyproject.toml" ] && editable+=(-e "$plugin")
    done
    "${pip[@]}" install -qq -c requirements/constraints.txt "${wanted[@]}"
    "${pip[@]}" install -qq -c requirements/constraints.txt --no-build-isolation "${editable[@]}"
}

ensure_environment() {
    local python stamp
    python=$(find_python)
    stamp="$1 $({ "$python" -V; pwd; cat requirements/*.txt core/pyproject.toml plugins/*/pyproject.toml tools/setup.sh; } | sha256sum)"
    case "$(cat "$venv/stamp" 2>/dev/null || true)" in
        "$stamp" | "test ${stamp#* }") return ;;
    esac
    echo "setup: installing mdacore and its plugins into $venv ($("$python" -V)) ..." >&2
    pip=("$venv/bin/python" -m pip --disable-pip-version-check)
    make_venv "$python"
    install_distributions "$1"
    echo "$stamp" > "$venv/stamp"
}

# apt_missing PACKAGE...: those that dpkg does not know as installed, one a line.
apt_missing() {
    local package
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

# apt_need PACKAGE...: install with apt what is missing; 1 if that may not or cannot be done here.
apt_need() {
    local missing as_root=()
    mapfile -t missing < <(apt_missing "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    echo "setup: installing ${missing[*]} with apt ..." >&2
    "${as_root[@]}" apt-get -qq update >&2 || return 1
    # RUNLEVEL=1: what gets installed for the tests starts no service of its own
    "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null || return 1
}

{
    # Two at once would take each other's half-made environment for their own.
    ! command -v flock >/dev/null || flock 9
    ensure_environment "${1:-run}"
} 9>"$venv.lock"
export PATH="$root/$venv/bin:$PATH"
