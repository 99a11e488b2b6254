# For hack/deny, hack/docs, hack/fuzz and hack/sbom: a program from a crate that is built once and kept outside the checkout.
# shellcheck shell=bash
set -euo pipefail

name=${0##*/}

say() { echo "$name: $*" >&2; }
fail() { say "$@"; exit 1; }

# cargo_once CRATE VERSION MINUTES ARGUMENT... prints the path of the program. Unless it is there in this version, cargo
# builds it, with these arguments; two that want it at once build it once.
cargo_once() {
  local crate=$1 version=$2 minutes=$3 target started=$SECONDS
  shift 3
  target=${XDG_CACHE_HOME:-$HOME/.cache}/pguser-operator/$crate-$version
  if [ ! -x "$target/bin/$crate" ]; then
    command -v cargo >/dev/null || fail "cargo is missing: see https://rustup.rs"
    mkdir -p "$target"
    exec 9>"$target/lock"
    flock --nonblock 9 || { say "waiting for another build to finish"; flock 9; }
  fi
  if [ ! -x "$target/bin/$crate" ]; then
    say "building $crate once; about $minutes minutes on two free cores"
    # It runs for seconds: what optimising it takes is never made up for. RUSTFLAGS are for what is ours.
    env -u RUSTFLAGS CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
      CARGO_PROFILE_RELEASE_DEBUG=0 nice -n "${NICE:-10}" \
      cargo install --quiet --locked "$crate@$version" --root "$target" --target-dir "$target/building" "$@" >&2 \
      || { rm -rf "$target/building"; fail "$crate could not be built"; }
    rm -rf "$target/building"
    say "built in $((SECONDS - started)) s"
  fi
  echo "$target/bin/$crate"
}
