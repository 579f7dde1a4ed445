# shellcheck shell=bash
# Sourced by `build` and `qemu`: fetches a Debian package without installing it.

# Prints this machine's Debian mirror: the first archive in its apt sources, except the security archive.
mirror() {
    {
        # Either kind of source may be absent.
        sed -n 's/^URIs:[[:space:]]*//p' /etc/apt/sources.list.d/*.sources || true
        sed -nE 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' \
            /etc/apt/sources.list /etc/apt/sources.list.d/*.list || true
    } 2>/dev/null | tr ' ' '\n' | sed 's,/*$,,' | awk '/\/debian$/ && !seen++'
}

# from_debian INTO SUITE PACKAGE [UPSTREAM]: unpacks the package from that suite (in that upstream version, else the
# newest) into the directory INTO and prints its version. Lists and caches are kept beside INTO; the machine's own apt is
# not affected. Fails and prints nothing if there is no mirror or no such package.
from_debian() {
    local into=$1 suite=$2 package=$3 upstream=${4:-} apt=$1.apt uri options found deb
    uri=$(mirror)
    [[ -n $uri ]] || return 1
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$suite" \
        >"$apt/sources.list"
    options=(
        -qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User=$(id -un)"
        -o Acquire::Languages=none -o Acquire::Retries=3
    )
    apt-get "${options[@]}" update >&2 || return 1
    # `1:10.0.13+ds-0+deb13u1`: epoch, upstream version, Debian's.
    found=$(apt-cache "${options[@]}" madison "$package" | awk -v want="$upstream" \
        '{ split($3, v, "+"); if (want == "" || v[1] == want) { print $3; exit } }')
    [[ -n $found ]] || return 1
    (cd "$apt" && rm -f "$package"_*.deb && apt-get "${options[@]}" download "$package=$found" >&2) || return 1
    deb=("$apt/$package"_*.deb)
    rm -rf "$into"
    dpkg-deb -x "${deb[0]}" "$into" && rm -rf "$apt" && printf '%s\n' "$found"
}
