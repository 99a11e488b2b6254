# For hack/helm, hack/judge and hack/prometheus: a Go program that is built once and kept outside the checkout.
# shellcheck shell=bash
set -euo pipefail

name=${0##*/}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pguser-operator/$name

say() { echo "$name: $*" >&2; }
fail() { say "$@"; exit 1; }

# build_once HASH MINUTES ARGUMENT... prints the path of the program. Unless it is there under this hash, `go build` makes
# it, with these arguments, in $module; two that want it at once build it once.
build_once() {
  local hash=$1 minutes=$2 target building started=$SECONDS
  shift 2
  target=$cache/$hash/$name
  if [ ! -x "$target" ]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock --nonblock 9 || { say "waiting for another build to finish"; flock 9; }
  fi
  if [ ! -x "$target" ]; then
    command -v go >/dev/null || fail "Go 1.26 or newer is needed to build it (https://go.dev/dl)"
    say "building it once, from its sources; about $minutes minutes on two free cores"
    building=$(mktemp -d "$cache/building.XXXXXX")
    # shellcheck disable=SC2064 # the folder's name of now
    trap "rm -rf '$building'" EXIT
    (cd "$module" && CGO_ENABLED=0 nice -n "${NICE:-10}" go build -trimpath -o "$building/$name" "$@") >&2 \
      || fail "the build failed"
    chmod 755 "$building"
    mv -T "$building" "$cache/$hash"
    say "built in $((SECONDS - started)) s"
  fi
  echo "$target"
}
