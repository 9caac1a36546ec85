# Sourced by ./test, after tools/setup.sh: fetches the two mail clients that nobody wants installed into .clients/ of the
# checkout. nodemailer comes with npm. Exim, the one wide-spread client of BDAT, is Debian's, but only unpacked: its
# package would remove every other MTA. Safe to repeat.
# Usage: fetch_clients      1, with a sentence, where something cannot be had here

clients="$root/.clients"

fetch_clients() {
    local failed=0
    mkdir -p "$clients"
    fetch_nodemailer || { echo "test: cannot fetch nodemailer here (npm is needed)" >&2; failed=1; }
    fetch_exim || { echo "test: cannot fetch Exim here (apt is needed)" >&2; failed=1; }
    return "$failed"
}

# Written beside its place and moved there: what is there is whole.
fetch_nodemailer() {
    local wanted="$root/tests/system/clients/nodemailer" new
    ! cmp -s "$wanted/package-lock.json" "$clients/nodemailer/package-lock.json" || return 0
    command -v npm >/dev/null || apt_need nodejs npm || return 1 # Debian's npm may not stand beside another's node
    new=$(mktemp -d "$clients/new.XXXXXX")
    cp "$wanted"/package*.json "$new" &&
        (cd "$new" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null) &&
        rm -rf "$clients/nodemailer" && mv -T "$new" "$clients/nodemailer" || { rm -rf "$new"; return 1; }
}

fetch_exim() {
    local new done=0
    [ ! -x "$clients/exim4" ] || return 0
    command -v apt-get >/dev/null || return 1
    new=$(mktemp -d "$clients/new.XXXXXX")
    unpack_exim "$new" || done=1
    rm -rf "$new"
    return "$done"
}

# unpack_exim FOLDER: the program alone, without its setuid bit, and the libraries that it wants as packages.
unpack_exim() {
    local libraries
    (cd "$1" && download_exim) || return 1
    mapfile -t libraries < <(dpkg-deb -f "$1"/*.deb Depends | tr ',|' '\n\n' | awk '$1 ~ /^lib/ { print $1 }')
    apt_need libnss-wrapper "${libraries[@]}" || return 1
    dpkg-deb -x "$1"/*.deb "$1" && install -m 755 "$1/usr/sbin/exim4" "$1/exim4" && mv "$1/exim4" "$clients/exim4"
}

download_exim() {
    apt-get -qq download exim4-daemon-light >/dev/null 2>&1 && return
    apt-get -qq update >/dev/null 2>&1
    apt-get -qq download exim4-daemon-light >/dev/null
}
