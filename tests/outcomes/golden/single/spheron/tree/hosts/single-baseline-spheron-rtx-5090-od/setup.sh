#!/bin/bash
# Makes a bare machine (Debian or Ubuntu, with the NVIDIA driver) ready to serve, and starts what docker-compose.yaml says.
# It may be run again at any time: it changes only what is not yet so. Without a word it does everything; with one:
#   disks   join blank NVMe disks to the volume of the model cache (at every boot: instance stores come back blank)
#   health  start engines anew that Docker calls unhealthy
#   machines, front  read anew which machines are behind this one, or which one is in front of it
set -o errexit -o nounset -o pipefail

HERE=/opt/agentgpu
SECRETS=/etc/agentgpu/secrets.env
TLS=/etc/agentgpu/tls
MACHINES=/etc/agentgpu/machines
FRONT=/etc/agentgpu/front
RULES=/etc/agentgpu/firewall.d
# shellcheck source=/dev/null
. "$HERE/machine.env"

say() { echo "agentgpu: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

# Disks that hold nothing: no partition, no file system, not in use.
blank_disks() {
    local disk
    for disk in /dev/nvme*n1; do
        [ -b "$disk" ] || continue
        [ "$(lsblk --noheadings --list "$disk" | wc -l)" -eq 1 ] || continue
        blkid --probe "$disk" >/dev/null 2>&1 && continue
        findmnt --source "$disk" >/dev/null && continue
        echo "$disk"
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
    mkdir --parents "$mount"
    assemble
    volume=$(blkid --label agentgpu || true)
    if [ -z "$volume" ]; then
        mapfile -t found < <(blank_disks)
        case ${#found[@]} in
            0)
                say "no blank NVMe disk: the model cache lies on the root volume, and cold starts take longer than planned"
                return 0
                ;;
            1) volume=${found[0]} ;;
            *)
                command -v mdadm >/dev/null || install_packages mdadm
                volume=/dev/md/agentgpu
                mdadm --create "$volume" --run --level=0 --raid-devices="${#found[@]}" "${found[@]}"
                ;;
        esac
        mkfs.ext4 -q -F -m 0 -L agentgpu "$volume"
    fi
    mount -o noatime,discard "$volume" "$mount"
}

health() {
    docker ps --quiet --filter health=unhealthy --filter label=agentgpu.dev/agent | xargs --no-run-if-empty docker restart
}

is_address() { [[ $1 =~ ^[0-9a-fA-F.:]+$ ]]; }

# The address of the machine in front, which whoever makes the machines writes down, comes into a rule of the firewall.
front_rule() {
    [ -s "$FRONT" ] || return 0
    local address family=ip
    address=$(<"$FRONT")
    is_address "$address" || fail "$FRONT holds no address"
    [[ $address != *:* ]] || family=ip6
    install --directory --mode=0755 "$RULES"
    sed "s/FAMILY/$family/; s/ADDRESS/$address/" "$HERE/front.nft" >"$RULES/front.nft"
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

firewall() {
    front_rule
    command -v nft >/dev/null || install_packages nftables
    systemctl enable --now agentgpu-firewall.service
    nft -f "$HERE/firewall.nft"
}

install_packages() {
    local tries
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
    docker compose version >/dev/null 2>&1 || fail "'docker compose' is missing: install Docker's Compose plugin, version 2"
}

# The toolkit lets containers have accelerators. Where the machine's package lists lack it, NVIDIA's own list is added.
toolkit() {
    command -v nvidia-smi >/dev/null || fail "the NVIDIA driver is missing: choose an image that has it"
    if ! command -v nvidia-ctk >/dev/null; then
        install_packages curl gnupg ca-certificates
        if ! apt-cache show nvidia-container-toolkit >/dev/null 2>&1; then
            local list=https://nvidia.github.io/libnvidia-container key=/usr/share/keyrings/nvidia-container-toolkit.gpg
            curl --fail --silent --show-error --location --retry 5 "$list/gpgkey" | gpg --yes --dearmor --output "$key"
            # shellcheck disable=SC2016
            echo "deb [signed-by=$key] $list/stable/deb/\$(ARCH) /" >/etc/apt/sources.list.d/nvidia-container-toolkit.list
        fi
        install_packages nvidia-container-toolkit || fail "the NVIDIA container toolkit cannot be installed"
    fi
    if ! docker info --format '{{json .Runtimes}}' | grep --quiet nvidia; then
        nvidia-ctk runtime configure --runtime=docker
        systemctl restart docker
    fi
}

# Callers speak TLS. A certificate of your own goes into this folder before; without one the machine makes its own.
certificate() {
    [ "$AGENTGPU_TLS" = yes ] || return 0
    install --directory --mode=0755 "$TLS"
    if [ ! -s "$TLS/tls.crt" ] || [ ! -s "$TLS/tls.key" ]; then
        command -v openssl >/dev/null || install_packages openssl
        local names
        names="DNS:$(hostname)"
        for address in $(hostname --all-ip-addresses); do names="$names,IP:$address"; done
        openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj "/CN=$(hostname)" -addext "subjectAltName=$names" \
            -keyout "$TLS/tls.key" -out "$TLS/tls.crt" 2>/dev/null
    fi
    chown "$AGENTGPU_ROUTER_UID" "$TLS/tls.key" "$TLS/tls.crt"
    chmod 0400 "$TLS/tls.key"
}

# Secrets are put here by whoever makes the machine, never by these files.
secrets() {
    install --directory --mode=0755 /etc/agentgpu
    [ -e "$SECRETS" ] || install --mode=0600 /dev/null "$SECRETS"
    chmod 0600 "$SECRETS"
    ln --symbolic --force --no-dereference "$SECRETS" "$HERE/.env" # where Compose looks by itself, so every command of it finds them
    local variable
    for variable in $AGENTGPU_SECRETS; do
        grep --quiet "^$variable=." "$SECRETS" || say "$SECRETS lacks $variable: nothing starts without it"
    done
}

everything() {
    [ "$(id -u)" -eq 0 ] || fail "run as root"
    install --mode=0644 --target-directory=/etc/systemd/system "$HERE"/agentgpu*.service "$HERE"/agentgpu*.timer
    systemctl daemon-reload
    firewall
    install --mode=0644 "$HERE/sysctl.conf" /etc/sysctl.d/90-agentgpu.conf
    sysctl --quiet --load=/etc/sysctl.d/90-agentgpu.conf
    systemctl enable agentgpu-disks.service
    disks
    install --directory --owner="$AGENTGPU_ENGINE_UID" --group="$AGENTGPU_ENGINE_UID" --mode=2770 "$AGENTGPU_CACHE"
    container_engine
    toolkit
    certificate
    install --directory --mode=0755 "$MACHINES"
    machines
    secrets
    systemctl enable --now agentgpu-health.timer
    systemctl enable agentgpu.service
    systemctl restart --no-block agentgpu.service
    say "ready; follow it with: journalctl -fu agentgpu; docker compose --project-directory $HERE ps"
}

case ${1:-everything} in
    everything) everything ;;
    disks) disks ;;
    health) health ;;
    machines) machines ;;
    front) front ;;
    *) fail "there is no $1; known: disks, health, machines, front" ;;
esac
