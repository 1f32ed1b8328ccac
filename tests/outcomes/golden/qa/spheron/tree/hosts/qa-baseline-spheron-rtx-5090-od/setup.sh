#!/bin/bash
# Makes a bare machine (Debian or Ubuntu, with the NVIDIA driver) ready to serve, and starts what docker-compose.yaml says.
# It may be run again at any time: it changes only what is not yet so. Options come first:
#   --dry-run            say what would be changed, and change nothing
#   --yes                do without asking what may disturb others on this machine: restart Docker beside their containers,
#                        close ports on which other programs listen, format blank disks
#   --admin-range RANGE  let these addresses log in, too (203.0.113.0/24); hosts.adminRanges of the stack is the place to keep it
# Without a word it does everything; with one:
#   disks   join blank NVMe disks to the volume of the model cache (at every boot: instance stores come back blank)
#   health  start engines anew that Docker calls unhealthy
#   machines, front  read anew which machines are behind this one, or which one is in front of it
#   prepare, secrets  everything but what needs secrets, where they come later; and the rest, once they are here or new
set -o errexit -o nounset -o pipefail

HERE=/opt/agentgpu
SECRETS=/etc/agentgpu/secrets.env
TLS=/etc/agentgpu/tls
MACHINES=/etc/agentgpu/machines
FRONT=/etc/agentgpu/front
RULES=/etc/agentgpu/firewall.d
LOCK=/run/agentgpu.lock
# A digest of the secrets and the certificate that the engines were started with.
STARTED=/run/agentgpu.started
INTERFACES=/sys/class/net
# cudatools@nvidia.com, since 2017: of all packages of the container toolkit.
NVIDIA_KEY=C95B321B61E88C1809C4F759DDCAE044F796ECB0
# shellcheck source=/dev/null
. "$HERE/machine.env"

say() { echo "agentgpu: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

DRY=no YES=no ADMINS=()

# What changes the machine goes through here, so that a dry run changes nothing.
change() {
    if [ "$DRY" = yes ]; then say "would run: $*"; else "$@"; fi
}

# The same for a file whose text comes on standard input.
put() {
    if [ "$DRY" = yes ]; then
        say "would write $1:"
        sed 's/^/    /'
    else
        cat >"$1"
    fi
}

# What may disturb others is done with --yes, or with a yes at the terminal.
confirm() {
    local answer
    if [ "$DRY" = yes ]; then
        say "would ask: $1"
    elif [ "$YES" != yes ]; then
        [ -t 0 ] || fail "$1: run it again with --yes, or see what it does with --dry-run"
        read -r -p "agentgpu: $1. Go on? [y/N] " answer
        [[ $answer =~ ^[yY] ]] || fail "stopped, as you wish; run it again at any time"
    fi
}

# Whether part of a disk holds anything but zeros: its first byte, and how many bytes.
is_zero() { # DISK START COUNT
    [ "$(dd if="$1" iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" bs=1M status=none | cmp --bytes="$3" - /dev/zero >/dev/null 2>&1 && echo zero)" = zero ]
}

# What a disk holds, in words; nothing where it is blank. What cannot be told is not blank: blkid ends with 8 where it finds
# several signatures, and with 4 where it is asked wrongly; only 2 means that it found none.
content_of() { # DISK
    local code=0 size
    blkid --probe "$1" >/dev/null 2>&1 || code=$?
    case $code in
        0) echo "a file system or a partition table" && return ;;
        2) ;;
        8) echo "signatures of several file systems" && return ;;
        *) echo "what blkid cannot tell (code $code)" && return ;;
    esac
    [ -z "$(wipefs --no-act "$1" 2>&1)" ] || { echo "a signature that wipefs knows" && return; }
    size=$(blockdev --getsize64 "$1" 2>/dev/null) || { echo "a size that cannot be read" && return; }
    [ "$size" -ge 2097152 ] || { echo "less than two MiB" && return; }
    is_zero "$1" 0 1048576 || { echo "data in its first MiB" && return; }
    is_zero "$1" $((size - 1048576)) 1048576 || { echo "data in its last MiB" && return; }
}

# Disks that hold nothing: no partition, no file system, no data where those begin and end, not in use.
blank_disks() {
    local disk held
    for disk in /dev/nvme*n1; do
        [ -b "$disk" ] || continue
        [ "$(lsblk --noheadings --list "$disk" | wc -l)" -eq 1 ] || continue
        findmnt --source "$disk" >/dev/null && continue
        held=$(content_of "$disk")
        if [ -n "$held" ]; then
            say "$disk holds $held, and is left alone; if nobody needs it: wipefs --all $disk, and its first and last MiB zeroed" >&2
        else
            echo "$disk"
        fi
    done
}

# At boot the disks of an array that was made before may be there before the array is, and its label with it.
assemble() {
    command -v mdadm >/dev/null || return 0
    udevadm settle --timeout=60 || true
    mdadm --assemble --scan >/dev/null 2>&1 || true # it fails where there is none, or where all are assembled
}

disks() {
    [ "$AGENTGPU_DISKS" = yes ] || return 0
    local volume mount
    mount=$(dirname "$AGENTGPU_CACHE")
    mountpoint --quiet "$mount" && return 0
    change mkdir --parents "$mount"
    [ "$DRY" = yes ] || assemble
    volume=$(blkid --label agentgpu || true)
    if [ -z "$volume" ]; then
        mapfile -t found < <(blank_disks)
        case ${#found[@]} in
            0)
                say "no blank NVMe disk: the model cache lies on the root volume, and cold starts take longer than planned"
                return 0
                ;;
            1)
                confirm "the blank disk ${found[0]} is formatted for the model cache"
                volume=${found[0]}
                ;;
            *)
                confirm "the blank disks ${found[*]} are joined and formatted for the model cache"
                command -v mdadm >/dev/null || install_packages mdadm
                volume=/dev/md/agentgpu
                change mdadm --create "$volume" --run --level=0 --raid-devices="${#found[@]}" "${found[@]}"
                ;;
        esac
        change mkfs.ext4 -q -F -m 0 -L agentgpu "$volume"
    fi
    change mount -o noatime,discard "$volume" "$mount"
}

health() {
    local label
    for label in agentgpu.dev/agent agentgpu.dev/proxy; do
        docker ps --quiet --filter health=unhealthy --filter "label=$label" | xargs --no-run-if-empty docker restart
    done
}

is_address() { [[ $1 =~ ^[0-9a-fA-F.:]+$ ]]; }

# The address of the machine in front, which whoever makes the machines writes down, comes into a rule of the firewall.
front_rule() {
    [ -s "$FRONT" ] || return 0
    local address family=ip
    address=$(<"$FRONT")
    is_address "$address" || fail "$FRONT holds no address"
    [[ $address != *:* ]] || family=ip6
    change install --directory --mode=0755 "$RULES"
    sed "s/FAMILY/$family/; s/ADDRESS/$address/" "$HERE/front.nft" | put "$RULES/front.nft"
}

front() {
    front_rule
    # Before the machine is set up there may be no nft; the setup itself then loads the rule.
    if command -v nft >/dev/null; then nft -f "$HERE/firewall.nft"; fi
}

# What NGINX is to know of the machines behind this one. Whoever makes them lists those that run: name, address.
machine_lines() {
    local name address machine file text
    while read -r name address; do
        is_address "$address" || fail "$MACHINES/list: $name has no address"
        grep --quiet "^$name " "$HERE/machines.list" || fail "$MACHINES/list: the plan knows no machine $name"
        [[ $address != *:* ]] || address="[$address]"
        while read -r machine file text; do
            [ "$machine" != "$name" ] || echo "${text//ADDRESS/$address}" >>"$1/$file"
        done <"$HERE/machines.list"
    done <"$MACHINES/list"
}

machines() {
    [ -e "$MACHINES/list" ] || return 0
    local new
    new=$(mktemp --directory)
    machine_lines "$new"
    [ ! -e "$new/addresses.map" ] || cp "$HERE/stream.conf" "$new/stream.conf"
    rm --force "$MACHINES"/*.conf "$MACHINES/addresses.map"
    find "$new" -type f -exec install --mode=0644 --target-directory="$MACHINES" {} +
    rm --recursive "$new"
    nginx_again
}

# NGINX reads its files anew. One that does not run yet reads them when it starts.
nginx_again() {
    local nginx
    command -v docker >/dev/null || return 0
    nginx=$(docker ps --quiet --filter label=com.docker.compose.service=nginx) || return 0
    [ -n "$nginx" ] || return 0
    docker exec "$nginx" nginx -t -e stderr -c /etc/nginx/router/nginx.conf || fail "NGINX refuses what $MACHINES holds"
    docker kill --signal=HUP "$nginx" >/dev/null
}

# Who is logged in by SSH just now: address and port of the machine, a line each. sudo hides SSH_CONNECTION, so the sockets of
# the SSH server are asked as well; it may listen elsewhere than on 22.
sessions() {
    [ -z "${SSH_CONNECTION:-}" ] || awk '{ print $1, $4 }' <<<"$SSH_CONNECTION"
    command -v ss >/dev/null || return 0
    { ss --no-header --tcp --numeric --processes state established 2>/dev/null || true; } | awk '
        /"sshd/ {
            here = $3; there = $4
            sub(/.*:/, "", here); sub(/:[0-9]+$/, "", there)
            gsub(/[][]|%.*|^::ffff:/, "", there)
            print there, here
        }'
}

ssh_ports() {
    { sshd -T 2>/dev/null || true; } | awk '$1 == "port" { print $2 }'
}

accept() { # RANGE PORT
    local family=ip
    [[ $1 != *:* ]] || family=ip6
    echo "$family saddr $1 tcp dport $2 accept"
}

# Whoever logs in now can do so again, also where the spec forgot him: a machine that nobody can enter is of no use to its owner.
admin_rules() {
    local address port range
    echo "# Who may log in beside hosts.adminRanges. setup.sh puts in who was logged in when it ran, and --admin-range."
    for range in ${ADMINS[@]+"${ADMINS[@]}"}; do
        for port in $( (echo 22 && ssh_ports) | sort --unique); do accept "$range" "$port"; done
    done
    for range in $AGENTGPU_ADMINS; do
        for port in $(ssh_ports | sort --unique); do [ "$port" = 22 ] || accept "$range" "$port"; done
    done
    sessions | sort --unique | while read -r address port; do
        if is_address "$address" && [[ $port =~ ^[0-9]+$ ]]; then
            say "$address is logged in and stays able to; hosts.adminRanges is the place to keep it" >&2
            accept "$address" "$port"
        fi
    done
}

# What containers and virtual machines of others on this machine ask of it is not ours to judge: their bridges by name, which no
# bridge to the network has.
neighbours() {
    local name
    echo "# Bridges of other containers and virtual machines. setup.sh puts in those that were there when it ran."
    for name in $(ls "$INTERFACES" 2>/dev/null); do
        if [[ $name =~ ^(docker[0-9]+|br-[0-9a-f]{12}|virbr[0-9]+|lxcbr[0-9]+|podman[0-9]+|cni[0-9]+)$ ]]; then
            echo "iifname \"$name\" accept"
        fi
    done
}

# Programs of others that answer to the network now, and would not any more: port and name, a line each.
closed_to_others() {
    command -v ss >/dev/null || return 0
    { ss --no-header --tcp --numeric --listening --processes 2>/dev/null || true; } | awk '
        $4 !~ /^(127\.|\[::1\])/ && $0 !~ /"(sshd|docker-proxy|systemd-resolve|rpcbind)"/ {
            port = $4; sub(/.*:/, "", port)
            name = match($0, /\(\("[^"]+"/) ? substr($0, RSTART + 3, RLENGTH - 4) : "?"
            print port " (" name ")"
        }' | sort --unique
}

firewall() {
    local others before=""
    others=$(closed_to_others | paste --serial --delimiters=, -)
    [ ! -e "$RULES/admins.nft" ] || before=loaded
    # Once it is loaded, what it closes is closed: only the first time is it news.
    if [ -n "$others" ] && [ -z "$before" ]; then confirm "these ports are closed to the network: $others"; fi
    front_rule
    change install --directory --mode=0755 "$RULES"
    admin_rules | put "$RULES/admins.nft"
    neighbours | put "$RULES/neighbours.nft"
    command -v nft >/dev/null || install_packages nftables
    change nft --check --file "$HERE/firewall.nft" || fail "nft refuses the rules; nothing is closed"
    change systemctl enable --now agentgpu-firewall.service
    change nft -f "$HERE/firewall.nft"
}

install_packages() {
    local tries
    if [ "$DRY" = yes ]; then
        say "would install packages: $*"
        return 0
    fi
    for tries in 1 2 3 4 5; do
        # One broken list among many (of a driver's repository, say) must not keep the others' packages away.
        apt-get -qq -o DPkg::Lock::Timeout=300 update || say "not every package list could be read"
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 install "$@" && return 0
        say "packages $*: try $tries failed"
        sleep 15
    done
    return 1
}

# Docker with the Compose plugin: the distribution's own packages where the image has none.
container_engine() {
    command -v docker >/dev/null || install_packages docker.io || fail "Docker cannot be installed"
    docker compose version >/dev/null 2>&1 || install_packages docker-compose-v2 || install_packages docker-compose || true
    [ "$DRY" = yes ] || docker compose version >/dev/null 2>&1 || fail "'docker compose' is missing: install Docker's Compose plugin, version 2"
}

# The toolkit lets containers have accelerators. Where the machine's package lists lack it, NVIDIA's own list is added.
# A new driver under a loaded kernel module stops every accelerator until the machine boots. So its packages stay as they are
# until somebody means them to change: apt-mark unhold, upgrade, boot.
hold_driver() {
    local packages held
    command -v dpkg-query >/dev/null || return 0
    packages=$({ dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' 2>/dev/null || true; } |
        awk '$1 == "ii" && $2 ~ /^(nvidia-(driver|dkms|kernel|utils|compute|firmware|open|headless)|libnvidia-(compute|cfg|ml|nvml|gl|decode|encode|common|extra)|cuda-drivers|linux-(modules|objects|signatures)-nvidia)/ { print $2 }')
    held=$(apt-mark showhold 2>/dev/null || true)
    packages=$(comm -23 <(sort --unique <<<"$packages") <(sort --unique <<<"$held"))
    [ -n "$packages" ] || return 0
    mapfile -t list <<<"$packages"
    say "holds the driver's packages, so that no upgrade takes it from under the engines: ${list[*]}"
    change apt-mark hold "${list[@]}"
}

toolkit() {
    command -v nvidia-smi >/dev/null || fail "the NVIDIA driver is missing: choose an image that has it"
    hold_driver
    if ! command -v nvidia-ctk >/dev/null; then
        install_packages curl gnupg ca-certificates
        if [ "$DRY" = no ] && ! apt-cache show nvidia-container-toolkit >/dev/null 2>&1; then
            local list=https://nvidia.github.io/libnvidia-container key=/usr/share/keyrings/nvidia-container-toolkit.gpg
            local new
            new=$(mktemp)
            curl --fail --silent --show-error --location --retry 5 --output "$new" "$list/gpgkey"
            # One key, and NVIDIA's: whoever answers for this address could otherwise sign whatever this machine installs.
            [ "$(gpg --show-keys --with-colons "$new" 2>/dev/null | awk -F: '$1 == "pub" { keys++ } $1 == "fpr" && keys != named { named = keys; print $10 }')" = "$NVIDIA_KEY" ] ||
                fail "the key at $list/gpgkey is not $NVIDIA_KEY; nothing is installed with it"
            gpg --yes --dearmor --output "$key" <"$new"
            rm "$new"
            # shellcheck disable=SC2016
            echo "deb [signed-by=$key] $list/stable/deb/\$(ARCH) /" >/etc/apt/sources.list.d/nvidia-container-toolkit.list
        fi
        install_packages nvidia-container-toolkit || fail "the NVIDIA container toolkit cannot be installed"
    fi
    if ! { docker info --format '{{json .Runtimes}}' 2>/dev/null || true; } | grep --quiet nvidia; then
        local running
        running=$({ docker ps --format '{{.Names}}' 2>/dev/null || true; } | paste --serial --delimiters=' ' -)
        [ -z "$running" ] || confirm "Docker is restarted to learn of the accelerators, and with it: $running"
        change nvidia-ctk runtime configure --runtime=docker
        change systemctl restart docker
    fi
}

# Callers speak TLS. A certificate of your own goes into this folder before; without one the machine makes its own.
certificate() {
    [ "$AGENTGPU_TLS" = yes ] || return 0
    change install --directory --mode=0755 "$TLS"
    if [ ! -s "$TLS/tls.crt" ] || [ ! -s "$TLS/tls.key" ]; then
        command -v openssl >/dev/null || install_packages openssl
        local names
        names="DNS:$(hostname)"
        for address in $(hostname --all-ip-addresses); do names="$names,IP:$address"; done
        change openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj "/CN=$(hostname)" -addext "subjectAltName=$names" \
            -keyout "$TLS/tls.key" -out "$TLS/tls.crt" 2> >(grep --invert-match '^[.+*-]*$' >&2)
    fi
    change chown "$AGENTGPU_ROUTER_UID" "$TLS/tls.key" "$TLS/tls.crt"
    change chmod 0400 "$TLS/tls.key"
}

# Secrets are put here by whoever makes the machine, never by these files.
secrets() {
    change install --directory --mode=0755 /etc/agentgpu
    [ -e "$SECRETS" ] || change install --mode=0600 /dev/null "$SECRETS"
    change chmod 0600 "$SECRETS"
    change ln --symbolic --force --no-dereference "$SECRETS" "$HERE/.env" # where Compose looks by itself, so every command of it finds them
    local variable
    for variable in $AGENTGPU_SECRETS; do
        grep --quiet --no-messages "^$variable=." "$SECRETS" || say "$SECRETS lacks $variable: nothing starts without it"
    done
}

prepare() {
    [ "$(id -u)" -eq 0 ] || fail "run as root"
    change install --mode=0644 --target-directory=/etc/systemd/system "$HERE"/agentgpu*.service "$HERE"/agentgpu*.timer
    change systemctl daemon-reload
    firewall
    change install --mode=0644 "$HERE/sysctl.conf" /etc/sysctl.d/90-agentgpu.conf
    change sysctl --quiet --load=/etc/sysctl.d/90-agentgpu.conf
    disks
    change systemctl enable agentgpu-disks.service
    change install --directory --owner="$AGENTGPU_ENGINE_UID" --group="$AGENTGPU_ENGINE_UID" --mode=2770 "$AGENTGPU_CACHE"
    container_engine
    toolkit
    change systemctl enable --now agentgpu-health.timer
}

# From here on one at a time: the setup, and whoever brings secrets meanwhile.
alone() {
    [ "$DRY" = yes ] || { exec 9>"$LOCK" && flock 9; }
}
give_way() { exec 9>&-; }

digest() { { cat "$SECRETS" "$TLS/tls.crt" "$TLS/tls.key" 2>/dev/null || true; } | sha256sum; }

serve() {
    local with
    certificate
    change install --directory --mode=0755 "$MACHINES"
    [ "$DRY" = yes ] || machines
    secrets
    with=$(digest)
    change systemctl restart --no-block agentgpu.service
    [ "$DRY" = yes ] || (umask 077 && echo "$with" >"$STARTED")
    if [ "$DRY" = yes ]; then
        say "that would be all; nothing was changed"
    else
        say "ready; follow it with: journalctl -fu agentgpu; docker compose --project-directory $HERE ps"
    fi
}

# Secrets and certificate come by SSH, the file of secrets last, and then the word of it: whichever is later, the setup or that
# word, starts the engines, and the other one does not start them anew.
later() {
    prepare
    alone
    change systemctl enable agentgpu.service
    if [ -e "$SECRETS" ]; then
        serve
        return
    fi
    give_way
    say "prepared; nothing starts before pulumi up has brought the secrets by SSH"
    # shellcheck disable=SC2046
    change env $(printf '%s=- ' $AGENTGPU_SECRETS) docker compose --project-directory "$HERE" pull --quiet || true
}

brought() {
    alone
    if ! systemctl is-enabled --quiet agentgpu.service; then
        say "the setup that still runs goes on with them"
    elif [ "$(digest)" = "$(cat "$STARTED" 2>/dev/null)" ]; then
        say "the engines were started with them already"
    else
        serve
    fi
}

while [[ ${1:-} == --* ]]; do
    case $1 in
        --dry-run) DRY=yes ;;
        --yes) YES=yes ;;
        --admin-range)
            [[ ${2:-} =~ ^[0-9a-fA-F.:]+(/[0-9]+)?$ ]] || fail "--admin-range needs addresses such as 203.0.113.0/24"
            ADMINS+=("$2")
            shift
            ;;
        *) fail "there is no option $1; known: --dry-run, --yes, --admin-range RANGE" ;;
    esac
    shift
done
case ${1:-everything} in
    everything)
        prepare
        alone
        change systemctl enable agentgpu.service
        serve
        ;;
    prepare) later ;;
    secrets) brought ;;
    disks) disks ;;
    health) health ;;
    machines) machines ;;
    front) front ;;
    *) fail "there is no $1; known: disks, health, machines, front, prepare, secrets" ;;
esac
