#!/usr/bin/env bash
# Builds the image and shows what it promises: its size, who it runs as, a root that cannot be written, its health, a
# key that is kept, a prompt end, and agents outside that meet through it.
#
#   deploy/prove-container.sh                   with podman or docker
#   deploy/prove-container.sh --make-base       makes the base image that the Dockerfile names from Debian's packages and
#                                               this machine's Rust, where no registry can be reached; as root
#   deploy/prove-container.sh --nested          on a machine that is a container itself: podman with chroot and runc
#   deploy/prove-container.sh --page=prebuilt   as the build argument PAGE: build, prebuilt or none
#   deploy/prove-container.sh --built           with the image that is there
#   deploy/prove-container.sh --compose         then also starts docker-compose.yml, by `docker compose`
#   deploy/prove-container.sh --cluster         then also starts compose.cluster.yml, and kills one of its servers
set -euo pipefail
cd "$(dirname "$0")/.."

IMAGE=${SYMBOLON_IMAGE:-symbolon-server}
MOST_BYTES=$((40 * 1000 * 1000))
# The server takes up to ten to send its clients elsewhere.
MOST_SECONDS=20
page=build nested='' base='' built='' compose='' cluster=''
for option in "$@"; do
    case "$option" in
        --make-base) base=yes ;;
        --nested) nested=yes ;;
        --page=*) page=${option#--page=} ;;
        --built) built=yes ;;
        --compose) compose=yes ;;
        --cluster) cluster=yes ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done

say() { printf '\n▸ %s\n' "$*"; }
fail() { printf 'prove-container: %s\n' "$*" >&2; exit 1; }

engine=${SYMBOLON_ENGINE:-$(command -v podman || command -v docker || true)}
[ -n "$engine" ] || fail "neither podman nor docker is here; on Debian: apt-get install podman"
build=("$engine" build)
run=("$engine" run)
case "$engine" in *podman) build+=(--format docker) ;; esac
if [ -n "$nested" ]; then
    build+=(--isolation chroot --network host)
    run=("$engine" --runtime runc run --ulimit nofile=4096:4096 --ulimit nproc=4096:4096)
fi

# What the Dockerfile's base is, as far as building here needs it.
make_base() {
    local name=docker.io/library/rust:1.95-trixie rust root
    command -v debootstrap >/dev/null || fail "debootstrap is missing; on Debian: apt-get install debootstrap"
    rust=$(rustc +1.95 --print sysroot 2>/dev/null || rustc --print sysroot)
    root=$(mktemp -d)
    say "$name, from Debian's packages and $(basename "$rust")"
    debootstrap --variant=minbase --include=ca-certificates,curl,gcc,libc6-dev,make,pkg-config trixie "$root" >/dev/null
    mkdir -p "$root/usr/local/rustup/toolchains" "$root/usr/local/cargo/bin"
    cp -a "$rust" "$root/usr/local/rustup/toolchains/"
    cp -L "$(command -v rustup)" "$root/usr/local/cargo/bin/rustup"
    for program in cargo rustc rustdoc; do ln -s rustup "$root/usr/local/cargo/bin/$program"; done
    printf 'version = "12"\ndefault_toolchain = "%s"\nprofile = "minimal"\n' "$(basename "$rust")" \
        >"$root/usr/local/rustup/settings.toml"
    # Whom this machine trusts, the build trusts.
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    tar -C "$root" -c . | "$engine" import \
        --change 'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV RUSTUP_HOME=/usr/local/rustup' --change 'ENV CARGO_HOME=/usr/local/cargo' - "$name" >/dev/null
    rm -rf "$root"
}

# An image of one program of this machine and its libraries, in place of the registry's.
pack() {
    local name=$1 program=$2 root file
    [ -x "$program" ] || fail "$program is missing; on Debian: apt-get install $(basename "$program")"
    root=$(mktemp -d)
    say "$name, from this machine's $program"
    for file in "$program" $(ldd "$program" | grep -o '/[^ ]*'); do install -D "$(readlink -f "$file")" "$root$file"; done
    mkdir -p "$root/data" "$root/config" "$root/etc/caddy"
    shift 2
    tar -C "$root" -c . | "$engine" import "$@" - "$name" >/dev/null
    rm -rf "$root"
}

if [ -n "$base" ]; then
    [ -n "$built" ] || make_base
    if [ -n "$cluster" ]; then
        pack docker.io/library/nats:2.10-alpine /usr/sbin/nats-server --change 'ENTRYPOINT ["/usr/sbin/nats-server"]'
        pack docker.io/library/caddy:2-alpine /usr/bin/caddy --change 'ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config' \
            --change 'ENTRYPOINT ["/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile"]'
    fi
fi
if [ -z "$built" ]; then
    say "The image"
    "${build[@]}" -t "$IMAGE" --build-arg "PAGE=$page" .
fi

programs=${SYMBOLON_BIN_DIR:-target/debug}
[ -x "$programs/symbolon" ] || cargo build --package symbolon

# ── What the image says of itself

inspect() { "$engine" image inspect --format "$1" "$IMAGE"; }
size=$(inspect '{{.Size}}')
[ "$size" -lt "$MOST_BYTES" ] || fail "the image has $size bytes"
[ "$(inspect '{{.Config.User}}')" = 65532:65532 ] || fail "the image runs as $(inspect '{{.Config.User}}')"
say "$((size / 100000 / 10)).$((size / 100000 % 10)) MB, for user 65532"

# ── Running

name=symbolon-proof-$$
work=$(mktemp -d)
clean() {
    for home in "$work"/*/; do
        [ ! -e "$home/lock" ] || "$programs/symbolon" --home "$home" down >/dev/null 2>&1 || true
    done
    "$engine" rm -f "$name" >/dev/null 2>&1 || true
    "$engine" volume rm "$name" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

port=${SYMBOLON_PORT:-$((20000 + $$ % 10000))}
address=127.0.0.1:$port
start() {
    "${run[@]}" -d --name "$name" --read-only --cap-drop ALL --security-opt no-new-privileges -p "$address:7600" \
        -e "SYMBOLON_ORIGIN=ws://$address" -v "$name:/var/lib/symbolon" "$IMAGE" >/dev/null
    for _ in $(seq 100); do
        ! "$engine" exec "$name" /symbolon-server health >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    "$engine" logs "$name" >&2
    fail "the server in the container is not well"
}
start
say "It is well, as its own health check says"

pid=$("$engine" inspect --format '{{.State.Pid}}' "$name")
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status" 2>/dev/null || true; }
if [ -n "$(status Uid)" ]; then
    [ "$(status Uid | cut -f1)" -ne 0 ] || fail "it runs as root"
    [ "$(status CapEff)" = 0000000000000000 ] || fail "it has capabilities: $(status CapEff)"
    [ "$(status NoNewPrivs)" = 1 ] || fail "it could get privileges"
    say "It runs as $(status Uid | cut -f1), with no capabilities and no way to get any"
fi
if root=$(awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" 2>/dev/null) && [ -n "$root" ]; then
    case ",$root," in *,ro,*) say "Its root cannot be written" ;; *) fail "its root can be written: $root" ;; esac
fi

# ── From outside

person() { "$programs/symbolon" --home "$work/$1" "${@:2}"; }
ticket() { person "$1" --json invite "${2:-proof}" | sed -n 's/.*"ticket":"\([^"]*\)".*/\1/p'; }
export SYMBOLON_DEVICE_NAME=proof
person ada create proof --server "ws://$address" >/dev/null
person ben join "$(ticket ada)" >/dev/null
person ben edit proof --insert '[ben was here]'
person ada wait proof --text-contains '[ben was here]' >/dev/null
say "Two agents outside met through it"

if [ "$page" != none ]; then
    curl -fsS "http://$address/" | grep -qi '<!doctype html>' || fail "it serves no page"
    curl -fsS "http://$address/config.json" | grep -q '"rendezvous":true' || fail "it serves no page"
    say "It serves the page"
fi

began=$SECONDS
"$engine" stop -t 60 "$name" >/dev/null
took=$((SECONDS - began))
code=$("$engine" inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || fail "it ended with $code"
[ "$took" -le "$MOST_SECONDS" ] || fail "it took $took s to end"
say "It ended by itself $took s after it was asked to, with its clients connected"

"$engine" rm "$name" >/dev/null
start
# Ada's ticket names the server's key; with another one, nobody would come in.
person cleo join "$(ticket ada)" --timeout 60s >/dev/null
[ "$(person cleo cat proof)" = '[ben was here]' ] || fail "the text is not there"
say "Another container with the same volume is the same server: Cleo joined"

# ── As a user starts it

compose() { ${SYMBOLON_COMPOSE:-docker compose} --project-name "$name" --env-file /dev/null --progress quiet "$@"; }
# No `.env` of this machine counts; the files' own defaults do, but for the ports.
export SYMBOLON_PORT=$((port + 1)) SYMBOLON_ADMIN_PORT=$((port + 2)) SYMBOLON_IMAGE=$IMAGE

if [ -n "$compose" ]; then
    trap 'compose down --volumes >/dev/null 2>&1 || true; clean' EXIT
    compose up --detach --no-build
    person ada create composed --server "ws://localhost:$SYMBOLON_PORT" >/dev/null
    person dora join "$(ticket ada composed)" >/dev/null
    compose down --timeout 60 --volumes
    say "Two agents outside met through the server of docker-compose.yml"
fi

if [ -n "$cluster" ]; then
    # Agents remember a server by its address, and this one has another key.
    export SYMBOLON_PORT=$((port + 3)) SYMBOLON_ADMIN_PORT=$((port + 4))
    servers() { compose --file compose.cluster.yml "$@"; }
    sessions() { curl -fsS "http://$1:7601/metrics" | sed -n 's/^symbolon_sessions //p'; }
    # Where a server is within its network; from this machine it can be reached there.
    inside() { "$engine" inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$name-$1-1"; }
    trap 'servers down --volumes >/dev/null 2>&1 || true; clean' EXIT
    servers up --detach --no-build
    person ada create spread --server "ws://localhost:$SYMBOLON_PORT" >/dev/null
    for guest in eve finn gwen; do person "$guest" join "$(ticket ada spread)" --timeout 60s >/dev/null; done
    say "Four agents met, $(sessions "$(inside a)") of them at one server and $(sessions "$(inside b)") at the other"
    [ "$(sessions "$(inside a)")" -gt 0 ] && [ "$(sessions "$(inside b)")" -gt 0 ] || fail "they are all at one server"
    "$engine" kill "$name-a-1" >/dev/null
    person hugo join "$(ticket ada spread)" --timeout 60s >/dev/null
    for guest in ada eve finn gwen hugo; do person "$guest" wait spread --members 5 --timeout 60s >/dev/null; done
    say "One server was killed: all are still together, and a newcomer joined"
fi
say "All is well."
