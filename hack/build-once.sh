# To be sourced by bash: builds programs of others from their Go modules, once, into a cache outside of the checkout.

say() { echo "$tool: $*" >&2; }
fail() { say "$@"; exit 1; }

# The version of a module in a go.mod.
version_of() { awk -v name="$1" '$1 == name { print $2; exit }' "$2/go.mod"; }

# Prints the folder that has them, built if need be.
#   build_once MODULE KEY TAKES INSTEAD ARGUMENTS...
# MODULE is the folder whose go.sum has the versions, KEY what else decides what comes out, TAKES how long it takes,
# INSTEAD what can be done where Go is missing; the arguments go to go build. The variable tool names the cache.
build_once() {
  local module=$1 key=$2 takes=$3 instead=$4 cache hash building started=$SECONDS
  shift 4
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/pguser-operator/$tool
  hash=$({ uname -sm; printf '%s' "$key"; cat "$module/go.sum"; } | sha256sum | cut -c1-16)
  if [ ! -d "$cache/$hash" ]; then
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock --nonblock 9 || { say "waiting for another build to finish"; flock 9; }
  fi
  if [ ! -d "$cache/$hash" ]; then
    command -v go >/dev/null || fail "Go 1.26 or newer is needed to build it (https://go.dev/dl); or $instead"
    say "building it once, from its sources; $takes"
    building=$(mktemp -d "$cache/building.XXXXXX")
    # shellcheck disable=SC2064 # the folder's name of now
    trap "rm -rf '$building'" EXIT
    (cd "$module" && CGO_ENABLED=0 nice -n "${NICE:-10}" go build -trimpath -o "$building/" "$@") >&2 \
      || fail "the build failed"
    chmod 755 "$building"
    mv -T "$building" "$cache/$hash"
    say "built in $((SECONDS - started)) s"
  fi
  echo "$cache/$hash"
}
