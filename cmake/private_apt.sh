# SPDX-License-Identifier: Apache-2.0 OR MIT
# Sourced by bootstrap.sh and peers.sh: Debian packages of any suite and architecture, unpacked into
# a folder, not installed. apt gets lists, cache and sources of its own; the machine's package state
# is neither read nor written. Whatever the mirror, the signature must be Debian's.
# Needs a function say.

# URIs of the machine's repositories, likely Debian mirrors first. Formats of sources differ and
# lists may be empty, so apt is asked, not /etc/apt.
repositories() {
  # shellcheck disable=SC2016  # apt's variables, not the shell's
  {
    apt-get indextargets --format '$(SITE) $(ORIGIN)' 2>/dev/null | sed -n 's/ Debian$//p'
    apt-get --print-uris update 2>/dev/null | sed -n "s|^'\(.*\)/dists/.*|\1|p"
  } | grep -v security | awk '!seen[$0]++' | head -n 4
}

# unpack_debian_from URI KEYRING FOLDER SUITE ARCHITECTURE HOW PACKAGE...: see unpack_debian
unpack_debian_from() {
  uri=$1 keyring=$2 folder=$3 suite=$4 architecture=$5 how=$6
  shift 6
  [ "$architecture" != native ] || architecture=$(dpkg --print-architecture)
  rm -rf "$folder"
  apt=$folder/apt
  mkdir -p "$apt/etc" "$apt/lists/partial" "$apt/cache/archives/partial"
  : >"$apt/status" # nothing is installed, so everything depended on is fetched
  type=deb
  [ "$how" != source ] || type=deb-src
  printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$type" "$uri" "$suite" "$keyring" >"$apt/etc/private.sources"
  packages=$*
  set -- -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/etc" \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o "Dir::State::lists=$apt/lists" -o "Dir::State::status=$apt/status" \
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o APT::Default-Release= \
    -o Acquire::Languages=none -o "APT::Architecture=$architecture" \
    -o "APT::Architectures::=$architecture"
  apt-get "$@" update || return 1
  # shellcheck disable=SC2086  # $packages is a list of words
  case $how in
    source) (cd "$apt/cache/archives" && apt-get "$@" --download-only source $packages) || return 1 ;;
    alone) (cd "$apt/cache/archives" && apt-get "$@" download $packages) || return 1 ;;
    *) apt-get "$@" --download-only -y --no-install-recommends install $packages || return 1 ;;
  esac
  for archive in "$apt"/cache/archives/*; do
    case $archive in
      *.deb) dpkg -x "$archive" "$folder" || return 1 ;;
      *.orig.tar.*) tar -xf "$archive" -C "$folder" --strip-components=1 || return 1 ;;
    esac
  done
  rm -rf "$apt"
}

# unpack_debian FOLDER SUITE ARCHITECTURE alone|with-dependencies|source PACKAGE...
# FOLDER then holds these packages, or what the authors of one have released, and nothing else;
# FOLDER.log what apt said. ARCHITECTURE may be `native`.
unpack_debian() {
  command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || return 1
  for key in gpg pgp; do
    key=/usr/share/keyrings/debian-archive-keyring.$key
    [ -f "$key" ] && break
  done
  [ -f "$key" ] || { say "no keyring of Debian's archive"; return 1; }
  for mirror in $(repositories); do
    say "unpacking from Debian's $2 ($3) at $mirror: $(shift 4; printf '%s ' "$@")"
    mkdir -p "${1%/*}"
    unpack_debian_from "$mirror" "$key" "$@" >"$1.log" 2>&1 && return 0
    tail -n 3 "$1.log" >&2
  done
  return 1
}
