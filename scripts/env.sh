# Sourced by ./run, ./test and .ci/run, which set $root to the checkout. `ensure run` or `ensure dev` gives it a .venv with
# what requirements/run.txt or requirements/dev.txt (the same and more) locks, and the package itself, editable.
#
# .venv/ready says which of the two is in there, the checksum of all it was made from, and where the checkout was. It is
# written last and removed first, so a .venv without it was left half-made and is made anew.

venv=$root/.venv

ensure() {
    key=$(checksum)
    ! is_ready "$1" || return 0
    find_python
    # Two set-ups at once would write over each other. The lock belongs to descriptor 9, which pip inherits too: it goes
    # when the last of them ends, however that happens, so there is never a stale one to remove.
    exec 9>"$root/.venv.lock"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'
    is_ready "$1" || make_ready "$1"
    exec 9>&-
}

checksum() {
    cat "$root/requirements/run.txt" "$root/requirements/dev.txt" "$root/pyproject.toml" | cksum
}

is_ready() {
    case $(ready) in "$1 $key $root" | "dev $key $root") ;; *) return 1 ;; esac
}

ready() { # empty too when the Python that .venv links to was uninstalled
    [ ! -x "$venv/bin/python" ] || cat "$venv/ready" 2>/dev/null || :
}

make_ready() {
    [ ! -t 2 ] || echo "Setting up .venv from requirements/$1.txt: once, about a minute." >&2
    case $(ready) in # the scripts in a .venv name its path: one that was moved is of no use
        *" $root") rm "$venv/ready" ;;
        *) logged make_venv ;;
    esac
    logged install --require-hashes -r "$root/requirements/$1.txt"
    logged install --no-index --no-deps --no-build-isolation -e "$root"
    echo "$1 $key $root" >"$venv/ready"
    rm "$root/.venv.log"
}

make_venv() {
    if [ -n "$uv" ]; then "$uv" venv --clear --python "$python" "$venv"; else "$python" -m venv --clear "$venv"; fi
}

install() {
    if [ -x "$venv/bin/pip" ]; then
        "$venv/bin/python" -m pip install --disable-pip-version-check "$@"
    else
        uv pip install --python "$venv/bin/python" "$@"
    fi
}

find_python() { # some systems ship Python without venv or ensurepip: uv stands in for them
    uv=
    ! python=$(first_python venv, ensurepip) || return 0
    python=$(first_python sys) || fail "Lamplighter needs Python 3.11 or newer, and PATH has none: install one."
    uv=$(command -v uv) || fail "$python cannot make a virtual environment: install its venv package, or uv."
}

first_python() { # that is new enough and can import "$*"
    for name in python3 python3.14 python3.13 python3.12 python3.11 python; do
        "$name" -c "import sys, $*; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)" 2>/dev/null &&
            return
    done
    return 1
}

logged() {
    "$@" >"$root/.venv.log" 2>&1 || fail "Setting up .venv failed ($(tail -n 1 "$root/.venv.log")): check that the package" \
        "index can be reached and try again; .venv.log has the details."
}

fail() {
    echo "$*" >&2
    exit 1
}
