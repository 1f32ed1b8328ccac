#!/bin/sh
# Tells NGINX which machines beside the cluster run, whenever the list changes. The ConfigMap with the list may come and go.
set -o errexit -o nounset

router=${ROUTER:-/etc/nginx/router} given=${GIVEN:-/etc/nginx/machines} made=${MADE:-/run/router/machines}
nginx=${NGINX_BINARY:-nginx} period_s=${PERIOD_S:-5}

say() { echo "agentgpu: $*" >&2; }

# Files that NGINX includes, of the machines in the list: name and address, a line each.
files() { # FOLDER
    mkdir -p "$1"
    [ -s "$given/machines" ] && [ -s "$given/tls.crt" ] || return 0
    cp "$given/tls.crt" "$1/tls.crt"
    awk -v folder="$1" '
        function refuse(why) { print "agentgpu: " FILENAME ", line " FNR ": " why > "/dev/stderr"; exit 1 }
        FNR == NR {
            if ($0 ~ /^[ \t]*(#|$)/) next
            if (NF != 2 || $2 !~ /^[0-9a-fA-F.:]+$/) refuse("write a name and an address")
            if ($1 in address) refuse("the machine " $1 " stands there twice")
            address[$1] = $2 ~ /:/ ? "[" $2 "]" : $2
            next
        }
        /^#/ || NF < 3 { next }
        { known[$1] = 1 }
        $1 in address {
            line = $0
            sub(/^[^ ]+ [^ ]+ /, "", line)
            gsub(/ADDRESS/, address[$1], line)
            print line > (folder "/" $2)
        }
        END { for (name in address) if (!(name in known)) { print "agentgpu: the plan knows no machine " name > "/dev/stderr"; exit 1 } }
    ' "$given/machines" "$router/machines.list" || return 1
    [ ! -e "$1/addresses.map" ] || cp "$router/stream.conf" "$1/stream.conf"
}

# A list that is faulty changes nothing: those of before stay.
read_list() {
    rm -rf "$made.new"
    if ! files "$made.new"; then
        say "the machines stay those of before"
        return 1
    fi
    rm -rf "$made.old"
    [ ! -d "$made" ] || mv "$made" "$made.old"
    mv "$made.new" "$made"
}

state() { cksum "$given/machines" "$given/tls.crt" "$router/machines.list" 2>/dev/null || true; }

# Back to what it was where NGINX refuses what it would be.
read_anew() {
    read_list || return 0
    if $nginx -t -e stderr -c "$router/nginx.conf" -q; then
        kill -HUP $$
        say "asks the machines that run now: $(grep -c . "$made/addresses.map" 2>/dev/null || true) ways"
    else
        rm -rf "$made"
        mv "$made.old" "$made"
        say "NGINX refuses them; the machines stay those of before"
    fi
}

read_list || mkdir -p "$made"
seen=$(state)
[ "${1:-}" != once ] || exit 0
(
    while sleep "$period_s" && kill -0 $$ 2>/dev/null; do
        now=$(state)
        [ "$now" != "$seen" ] || continue
        seen=$now
        read_anew
    done
) &
exec $nginx -e stderr -c "$router/nginx.conf" -g "daemon off;"
