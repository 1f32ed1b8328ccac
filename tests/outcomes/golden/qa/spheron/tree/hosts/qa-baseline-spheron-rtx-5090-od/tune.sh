#!/bin/bash
# Made by agentgpu from the agent stack qa: node pool qa-baseline-spheron-rtx-5090-od, plan 3b2138132b30.
# Change spec.hosts, spec.network, then: agentgpu render. Why these numbers: agentgpu explain SPEC
# Makes a machine with NVIDIA accelerators serve better than it does as it comes. Nothing of it is needed to serve.
#   --check  say of each setting what it is and what it should be; changes nothing, needs no rights.
#            Ends with 0 where all are as they should be, else with 1
#   --apply  set what is not, and keep what was there before; at every boot again where this file lies at /opt/agentgpu
#   --undo   put back what was there before
# It needs no other file: ssh root@machine bash -s -- --check <tune.sh
set -o errexit -o nounset -o pipefail

ROOT=${AGENTGPU_ROOT:-} # another root than /, for tests
HERE=/opt/agentgpu/tune.sh
TUNED=$ROOT/etc/agentgpu/tuned
UNIT=$ROOT/etc/systemd/system/agentgpu-tune.service
PERSISTENCED=nvidia-persistenced.service
FABRIC=nvidia-fabricmanager.service

# Name, rule, where it matters, value; above each why, and who says so.
settings() {
    cat <<'END'
# a driver that nobody uses lets an accelerator go, and the next start waits one to three seconds for each
# https://docs.nvidia.com/deploy/driver-persistence/
persistence-mode state everywhere Enabled
# accelerators behind NVSwitch start no CUDA program (error 802) before it has joined them; its version is the driver's
# https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/
fabric-manager state everywhere running
# the kernel unmaps an engine's pages to see who uses them, and kernels of an accelerator wait meanwhile
# https://rocm.docs.amd.com/en/docs-7.2.3/how-to/rocm-for-ai/inference/benchmark-docker/previous-versions/vllm-0.4.3.html
/proc/sys/kernel/numa_balancing is numa 0
# packets that another socket handles cross the link between them, which traffic of accelerators needs
# https://docs.kernel.org/core-api/irq/irq-affinity.html
interrupts state numa on the NUMA node of their network card
# those who ask for huge pages get them; no other process waits for memory to be joined or takes more than it uses
# https://docs.kernel.org/admin-guide/mm/transhuge.html
/sys/kernel/mm/transparent_hugepage/enabled chosen everywhere madvise
# the same, for when no free huge page is there
# https://docs.kernel.org/admin-guide/mm/transhuge.html
/sys/kernel/mm/transparent_hugepage/defrag chosen everywhere madvise
# an engine's CPU work between two steps is short, and over before another governor has raised the clock
# https://documentation.ubuntu.com/server/explanation/performance/perf-tune-cpupower/
/sys/devices/system/cpu/cpufreq/policy*/scaling_governor is everywhere performance
# programs that choose their buffers (NCCL over sockets, downloads) may choose large ones
# https://fasterdata.es.net/host-tuning/linux/
/proc/sys/net/core/rmem_max least everywhere 67108864
# the same, for what is sent
# https://fasterdata.es.net/host-tuning/linux/
/proc/sys/net/core/wmem_max least everywhere 67108864
# a connection that fetches weights from afar has as much under way as its line takes
# https://fasterdata.es.net/host-tuning/linux/
/proc/sys/net/ipv4/tcp_rmem least everywhere 33554432
# the same, for what is sent
# https://fasterdata.es.net/host-tuning/linux/
/proc/sys/net/ipv4/tcp_wmem least everywhere 33554432
END
}

say() { echo "agentgpu: $*"; }
fail() {
    say "$*" >&2
    exit "${CODE:-1}"
}

ILL=0 SEEN=0 MODE=

ok() { # WHAT IS
    SEEN=$((SEEN + 1))
    say "ok      $1: $2"
}

none() { # WHAT WHY
    say "-       $1: $2"
}

# What is not as it should be, and what sets it: a command, which --apply runs. Nothing where only people can.
ill() { # WHAT IS SHOULD-BE [COMMAND...]
    local what=$1 is=$2 should=$3
    shift 3
    SEEN=$((SEEN + 1))
    if [ "$MODE" = apply ] && [ -n "$*" ] && "$@"; then
        say "set     $what: was $is, is now $should"
    else
        ILL=$((ILL + 1))
        say "not ok  $what: is $is, should be $should"
    fi
}

keep() { # KIND WHAT WAS: only the first time, since later it is ours
    mkdir --parents "$(dirname "$TUNED")"
    grep --quiet --no-messages --fixed-strings "$1	$2	" "$TUNED" || printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$TUNED"
}

# Some files take no other value (an interrupt that its driver manages, a container's): those stay as they are.
write() { # FILE VALUE
    { printf '%s\n' "$2" >"$ROOT$1"; } 2>/dev/null
}

set_file() { # FILE WAS VALUE
    write "$1" "$3" && keep file "$1" "$2"
}

nodes() {
    find "$ROOT/sys/devices/system/node" -maxdepth 1 -name 'node[0-9]*' 2>/dev/null | wc -l
}

chosen() { sed 's/.*\[\(.*\)\].*/\1/' <<<"$1"; }

each_file() { # FILE RULE VALUE
    local file=$1 rule=$2 value=$3 text is
    text=$(tr '\t' ' ' <"$ROOT$file")
    case $rule in
        is)
            if [ "$text" = "$value" ]; then ok "$file" "$text"; else ill "$file" "$text" "$value" set_file "$file" "$text" "$value"; fi
            ;;
        chosen)
            is=$(chosen "$text")
            if [ "$is" = "$value" ]; then ok "$file" "$is"; else ill "$file" "$is" "$value" set_file "$file" "$is" "$value"; fi
            ;;
        least)
            is=${text##* }
            if [ "$is" -ge "$value" ]; then
                ok "$file" "$text"
            else
                ill "$file" "$text" "at least $value" set_file "$file" "$text" "${text%"$is"}$value"
            fi
            ;;
    esac
}

files() { # PATTERN RULE VALUE
    local found=no path
    while read -r path; do
        found=yes
        each_file "${path#"$ROOT"}" "$2" "$3"
    done < <(compgen -G "$ROOT$1" | sort)
    [ "$found" = yes ] || none "$1" "this machine has none"
}

asked() { # FIELD: of each accelerator, a line each
    nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null
}

unit_state() { systemctl is-active "$1" 2>/dev/null || true; }

has_unit() { systemctl cat "$1" >/dev/null 2>&1; }

# NVIDIA's daemon keeps accelerators ready; where it runs, the mode is set through it.
persist() {
    local state
    state=$(unit_state "$PERSISTENCED")
    if [ "$state" != active ] && has_unit "$PERSISTENCED" && systemctl start "$PERSISTENCED"; then
        keep unit "$PERSISTENCED" inactive
    fi
    nvidia-smi --persistence-mode=1 >/dev/null && keep persistence all Disabled
}

persistence_mode() { # VALUE
    local modes
    modes=$(asked persistence_mode | sort --unique | paste --serial --delimiters=/ -)
    if [ "$modes" = "$1" ]; then ok persistence-mode "$modes"; else ill persistence-mode "$modes" "$1" persist; fi
}

# NVSwitches of A100 and H100 are bridges on the PCI bus; of those behind a newer one the driver says that they are of a fabric.
has_switches() {
    local device
    for device in "$ROOT"/sys/bus/pci/devices/*; do
        [ "$(cat "$device/vendor" 2>/dev/null)" != 0x10de ] || [ "$(cat "$device/class" 2>/dev/null)" != 0x068000 ] || return 0
    done
    return 1
}

start_fabric() {
    local driver ours
    has_unit "$FABRIC" || return 1
    driver=$(asked driver_version | head -n 1)
    ours=$(fabric_version)
    [ "$ours" = "$driver" ] || return 1
    systemctl start "$FABRIC" && keep unit "$FABRIC" inactive
}

fabric_version() { { nv-fabricmanager --version 2>/dev/null || true; } | sed -n 's/.*[^0-9.]\([0-9][0-9.]*\)$/\1/p' | head -n 1; }

fabric_manager() { # VALUE
    local fabric
    fabric=$({ asked fabric.state || true; } | sort --unique | paste --serial --delimiters=/ -)
    if [ "$fabric" = Completed ]; then
        ok fabric-manager "the fabric is joined"
    elif has_switches || [[ $fabric == *Progress* || $fabric == *Started* ]]; then
        if [ "$(unit_state "$FABRIC")" = active ]; then
            ok fabric-manager running
        elif has_unit "$FABRIC"; then
            ill fabric-manager "not running (version $(fabric_version) beside driver $(asked driver_version | head -n 1))" "$1" start_fabric
        else
            ill fabric-manager "not installed" "$1, from the package nvidia-fabricmanager of the driver's version"
        fi
    else
        none fabric-manager "no NVSwitch here"
    fi
}

# The CPUs of a list such as 0-3,8: one a line.
cpus() {
    tr ',' '\n' <<<"$1" | while IFS=- read -r first last; do
        [ -z "$first" ] || seq "$first" "${last:-$first}"
    done | sort
}

interrupts() { # VALUE
    local card node near irq is found=no
    for card in "$ROOT"/sys/class/net/*/device; do
        [ -d "$card/msi_irqs" ] || continue
        node=$(cat "$card/numa_node" 2>/dev/null || echo -1)
        near=$(cat "$ROOT/sys/devices/system/node/node$node/cpulist" 2>/dev/null || true)
        [ -n "$near" ] || continue
        for irq in $(ls "$card/msi_irqs"); do
            is=$(cat "$ROOT/proc/irq/$irq/smp_affinity_list" 2>/dev/null || true)
            [ -n "$is" ] || continue
            found=yes
            if [ -z "$(comm -23 <(cpus "$is") <(cpus "$near"))" ]; then
                ok "interrupt $irq of $(basename "$(dirname "$card")")" "on CPUs $is"
            else
                ill "interrupt $irq of $(basename "$(dirname "$card")")" "on CPUs $is" "on $near, of NUMA node $node" \
                    set_file "/proc/irq/$irq/smp_affinity_list" "$is" "$near"
            fi
        done
    done
    [ "$found" = yes ] || none interrupts "no network card tells its NUMA node"
}

all() {
    local name rule where value several
    several=$(nodes)
    while read -r name rule where value; do
        if [ "$where" = numa ] && [ "$several" -lt 2 ]; then
            none "$name" "this machine has one NUMA node"
        elif [ "$rule" != state ]; then
            files "$name" "$rule" "$value"
        elif [ "$name" = interrupts ]; then
            interrupts "$value"
        elif [ -z "$(asked index || true)" ]; then
            none "$name" "nvidia-smi finds no accelerator"
        else
            "${name//-/_}" "$value"
        fi
    done < <(settings | grep --invert-match '^#')
}

at_boot() {
    [ "${BASH_SOURCE[0]:-}" = "$HERE" ] || return 0
    cat >"$UNIT" <<END
[Unit]
Description=What makes this machine serve better; $HERE --undo takes it back
Before=agentgpu.service
After=$PERSISTENCED

[Service]
Type=oneshot
ExecStart=/bin/bash $HERE --apply

[Install]
WantedBy=multi-user.target
END
    systemctl daemon-reload
    systemctl enable --quiet agentgpu-tune.service
}

undo_one() { # KIND WHAT WAS
    case $1 in
        file) write "$2" "$3" ;;
        unit) systemctl stop "$2" ;;
        persistence) nvidia-smi --persistence-mode=0 >/dev/null ;;
    esac
}

undo() {
    local kind what was left=""
    if [ -e "$UNIT" ]; then
        systemctl disable --quiet agentgpu-tune.service
        rm "$UNIT"
    fi
    [ -e "$TUNED" ] || fail "nothing was set here, or all of it is undone"
    while IFS=$'\t' read -r kind what was; do
        if undo_one "$kind" "$what" "$was"; then
            say "back    $what: $was"
        else
            left="$left$kind	$what	$was"$'\n'
            say "not ok  $what: cannot be put back to $was"
        fi
    done < <(tac "$TUNED")
    rm "$TUNED"
    [ -z "$left" ] || { printf '%s' "$left" | tac >"$TUNED" && exit 1; }
}

case ${1:-} in
    --check) MODE=check ;;
    --apply | --undo)
        MODE=${1#--}
        [ "$(id -u)" -eq 0 ] || fail "run as root"
        ;;
    *) CODE=2 fail "say what to do: --check, --apply or --undo" ;;
esac
if [ "$MODE" = undo ]; then
    undo
    exit 0
fi
all
[ "$MODE" = check ] || at_boot
say "$ILL of $SEEN settings are not as they should be; this file says why each of them should"
[ "$ILL" -eq 0 ]
