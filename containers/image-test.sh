#!/usr/bin/env bash
# Build the image, and run it as clusters do: as a user without an account in it, with read-only data, no network, and
# an empty, read-only home folder. The first failed check ends it with an error.
#   make image-test [BASE=IMAGE] [TORCH_INDEX=URL] [DATA=FOLDER] [ENGINE=docker|buildah] [BUILD_FLAGS=...] [IMAGE=NAME]
# DATA: a BIDS dataset; default: that of getnet-demo. BUILD_FLAGS: more options of the build command, for instance a
# mirror (--build-arg PIP_INDEX_URL=...). IMAGE: name of the image; with BUILD=no an existing image is tested.
# buildah needs root here, but no daemon, registry or namespace.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:-localhost/getnet_bids:latest}
engine=${ENGINE:-$(command -v docker >/dev/null && docker info >/dev/null 2>&1 && echo docker || echo buildah)}
command -v "$engine" >/dev/null || { echo "image-test: neither a running docker nor buildah is here" >&2; exit 1; }
work=$(mktemp -d)
container=
finish() {
    # What user 1234 has made, only that user or root can remove.
    [ "$engine" = buildah ] || [ ! -d "$work/out" ] || in_image /nonexistent find /out -mindepth 1 -delete || true
    [ -z "$container" ] || buildah rm "$container" >/dev/null
    rm -rf "$work"
}
trap finish EXIT

say() { printf '\n== %s\n' "$*"; }
fail() { echo "image-test: $*" >&2; exit 1; }

arguments=(--build-arg VERSION="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' getnet_bids/__init__.py)"
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
    --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)")
[ -z "${BASE:-}" ] || arguments+=(--build-arg BASE="$BASE")
[ -z "${TORCH_INDEX+set}" ] || arguments+=(--build-arg TORCH_INDEX="$TORCH_INDEX")
if [ "${BUILD:-yes}" = yes ]; then
    say "build with $engine"
    # BUILD_FLAGS holds several words.
    # shellcheck disable=SC2086
    case $engine in
    buildah) buildah bud --isolation chroot "${arguments[@]}" ${BUILD_FLAGS:-} -t "$image" . ;;
    *) "$engine" build "${arguments[@]}" ${BUILD_FLAGS:-} -t "$image" . ;;
    esac
fi

say "what it says of itself"
if [ "$engine" = buildah ]; then
    buildah inspect --type image "$image" > "$work/inspect.json"
    container=$(buildah from --pull-never "$image")
else
    "$engine" image inspect "$image" > "$work/inspect.json"
fi
config() { # config KEY: of the image, as JSON
    python3 - "$work/inspect.json" "$1" << 'P'
import json, sys
told = json.load(open(sys.argv[1]))
config = told[0]["Config"] if isinstance(told, list) else told["OCIv1"]["config"]
print(json.dumps(config[sys.argv[2]]))
P
}
for key in User Entrypoint Labels; do echo "$key $(config $key)"; done
[ "$(config Entrypoint)" = '["getnet-bids"]' ] || fail "the entry point is not getnet-bids"
case $(config User) in '"0'* | '"root'* | '""') fail "it runs as root" ;; esac
config Labels | grep -q '"org.opencontainers.image.version": "[0-9]' || fail "no version among the labels"

mkdir -m 0777 "$work/out"
mkdir -m 0555 "$work/home"
data=$work/demo/bids
# in_image HOME COMMAND...: run a command in the image with /data, /out and /home/none mounted and HOME set.
in_image() {
    local home=$1 options=(--user 1234:1234 -v "$data:/data:ro" -v "$work/out:/out" -v "$work/home:/home/none:ro")
    shift
    if [ "$engine" = buildah ]; then
        # With chroot isolation buildah gives no network namespace of its own.
        unshare --net buildah run --isolation chroot "${options[@]}" --env HOME="$home" "$container" -- "$@"
    else
        "$engine" run --rm --network none --read-only --tmpfs /tmp "${options[@]}" -e HOME="$home" \
            --entrypoint "$1" "$image" "${@:2}"
    fi
}

if [ -n "${DATA:-}" ]; then
    data=$(realpath "$DATA")
else
    say "no DATA: getnet-demo makes some"
    mkdir -p "$data"
    in_image /nonexistent sh -c 'umask 0; exec getnet-demo /out/demo' # so that this user may move it
    rm -r "$data"
    mv "$work/out/demo/bids" "$data"
    rm -r "$work/out/demo"
fi

say "the walls"
in_image /home/none sh -c 'set -e
    echo "user $(id -u), home $HOME"
    test "$(id -u)" = 1234
    ! touch /data/x 2>/dev/null
    ! touch "$HOME/x" 2>/dev/null
    ! touch /opt/getnet/x 2>/dev/null
    test "$(grep -c . /proc/net/route)" -le 1' || fail "the user can write where it should not, or has a network"

say "getnet-bids /data /out participant"
in_image /home/none getnet-bids /data /out participant || fail "exit $?"
say "once more: nothing is left to do"
in_image /nonexistent getnet-bids /data /out participant || fail "exit $?"
newest=$(ls -t "$work"/out/logs/*/status.tsv | head -1)
! grep -qP '\tdone\t' "$newest" || fail "done again what was done"

say "bids-validator"
validator=$(PATH=$PATH:.venv/bin command -v bids-validator-deno || true)
if [ -z "$validator" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet "$(grep '^bids-validator-deno==' constraints.txt)"
    validator=$work/venv/bin/bids-validator-deno
fi
"$validator" --format json "$work/out" > "$work/issues.json" || true
python3 - "$work/issues.json" <<'P' || fail "the outputs are not valid"
import json, sys
issues = json.load(open(sys.argv[1]))["issues"]["issues"]
counts = {level: sum(issue["severity"] == level for issue in issues) for level in ("error", "warning")}
print(counts)
sys.exit(any(counts.values()))
P

say "getnet-bids doctor, and on a processor with no more than AVX2"
in_image /nonexistent getnet-bids doctor || fail "something is wrong in the image"
in_image /nonexistent env ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 \
    getnet-bids doctor > "$work/doctor" || { cat "$work/doctor"; fail "something is wrong without AVX-512"; }
grep self-test "$work/doctor"

say "size, MB"
in_image /nonexistent sh -c 'du -xsm / 2>/dev/null | sed "s,/$,all," ; du -sm /opt/getnet /opt/templateflow
    du -sm /opt/getnet/lib/python3*/site-packages/* | sort -rn | head -12'
say "passed"
