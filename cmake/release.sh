#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Runs the commands that the documentation shows, as a newcomer would: in a fresh clone of HEAD, from
# its root. docs/commands.tsv lists them; the test docs holds the list to the pages. How each run
# ended is written into the list.
#
#   sh cmake/release.sh               those that continuous integration does not run (hours)
#   sh cmake/release.sh REGEX...      those that match one of these extended regular expressions
#   sh cmake/release.sh --list        all of them, and how they ended when they ran last
#
# Exit code: 0 if all passed, 1 if one failed. The clone stays: build/release-check.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
list=$root/docs/commands.tsv
clone=$root/build/release-check
say() { printf 'release: %s\n' "$*" >&2; }
tab=$(printf '\t')

case ${1:-} in
  --list) exec cat "$list" ;;
  -*) sed -n 's/^# \{0,3\}//; 3,12p' "$0" >&2; exit 2 ;;
esac

# Virtual machines often hide the name, but not family and model.
cpu=$(sed -n 's/^model name[^:]*: //p; s/^cpu family[^:]*: /family /p; s/^model[^ne]*: /model /p' \
  /proc/cpuinfo 2>/dev/null | head -n 3 | paste -s -d , - | sed 's/,/, /g')
cpu=${cpu:-$(uname -m)}

# The first field says who runs a command: ci, release, or itself (this script).
chosen=$(mktemp)
if [ $# -eq 0 ]; then
  grep "^release$tab" "$list" >"$chosen"
else
  for pattern in "$@"; do cut -f 1,2 "$list" | grep -E -- "$pattern" || true; done | sort -u >"$chosen"
fi
[ -s "$chosen" ] || { say "no command matches"; exit 2; }

rm -rf "$clone"
git clone -q "$root" "$clone"
# What a reader would have: a model, and a run from before the change that he compares.
ln -s examples/data/tinylm/model.safetensors "$clone/model.safetensors"

# record COMMAND SECONDS RESULT
record() {
  awk -F '\t' -v OFS='\t' -v command="$1" -v date="$(date +%Y-%m-%d)" -v cpu="$cpu" -v s="$2" \
    -v result="$3" '$2 == command { $3 = date; $4 = cpu; $5 = s; $6 = result } 1' "$list" >"$list.new"
  mv "$list.new" "$list"
}

failed=0
number=0
# In the order of the list: some use what others wrote.
while IFS=$tab read -r _ command _; do
  cut -f 2 "$chosen" | grep -Fxq -- "$command" || continue
  number=$((number + 1))
  log=$clone/command_$number.log
  say "$command"
  for copy in before after; do
    [ ! -f "$clone/run.jsonl" ] || cp "$clone/run.jsonl" "$clone/$copy.jsonl"
  done
  begin=$(date +%s)
  result=passed
  (cd "$clone" && timeout "${NIBBLE_RELEASE_TIMEOUT:-4h}" sh -ec "$command") >"$log" 2>&1 </dev/null ||
    { result=failed; failed=1; say "FAILED, see $log"; tail -n 5 "$log" >&2; }
  record "$command" $(($(date +%s) - begin)) "$result"
done <"$list"
rm -f "$chosen"
exit $failed
