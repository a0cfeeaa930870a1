#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All that `make lint` checks, as TAP on standard output.
#
#   make lint LINT_FILES='lib/a.c ...'     only these files
#
# From the environment: top_srcdir, top_builddir (with config.h made) and
# LINT_FLAGS, a file with one compiler flag a line.  Results of clang-tidy are
# kept by digest of the preprocessed source, so a second run is fast.
set -u
export LC_ALL=C

top=$(cd "${top_srcdir:-.}" && pwd) || exit 1
build=$(cd "${top_builddir:-.}" && pwd) || exit 1
cache=${KUZET_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/kuzet}
formatter=14.0.6
jobs=$(nproc 2>/dev/null || echo 1)
cd "$top" || exit 1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n=0
failed=0

ok() { printf 'ok %d - %s\n' $((++n)) "$*"; }
skip() { printf 'ok %d - %s # SKIP %s\n' $((++n)) "$1" "$2"; }
not_ok() { # NAME, diagnostics on standard input
	printf 'not ok %d - %s\n' $((++n)) "$1"
	sed 's/^/# /'
	failed=1
}

tool() { # NAME VERSION: the tool of that version, if it is anywhere
	local c

	for c in "$1-14" "$1" "$cache/lint-venv/bin/$1"; do
		if "$c" --version 2>/dev/null | grep -qF "version $2"; then
			printf '%s\n' "$c"
			return 0
		fi
	done
	return 1
}

if [ $# -gt 0 ]; then
	printf '%s\n' "$@" >"$work/files"
elif git rev-parse --git-dir >/dev/null 2>&1; then
	# with what is new and not yet committed
	git ls-files --cached --others --exclude-standard >"$work/files"
else
	find . -type f -not -path './build*' -not -path './autom4te*' |
		sed 's|^\./||' >"$work/files"
fi
while read -r f; do [ -f "$f" ] && printf '%s\n' "$f"; done \
    <"$work/files" | sort -u >"$work/all"
grep -E '\.[ch]$' "$work/all" >"$work/c_and_h"
grep -E '\.c$' "$work/all" >"$work/c"
xargs -r awk 'FNR == 1 && /^#!.*(sh|bash)$/ { print FILENAME }' \
    <"$work/all" >"$work/scripts" 2>/dev/null

# ---- format -----------------------------------------------------------------
if clang_format=$(tool clang-format $formatter); then
	if xargs -r "$clang_format" --dry-run --Werror --ferror-limit=1 \
	    <"$work/c_and_h" >"$work/out" 2>&1; then
		ok "clang-format $formatter ($(wc -l <"$work/c_and_h") files)"
	else
		not_ok "clang-format $formatter" < <(grep 'error:' "$work/out")
	fi
else
	skip "clang-format" "no clang-format $formatter: packaging/deps test"
fi

# ---- our own rules ----------------------------------------------------------
if command -v python3 >/dev/null; then
	xargs -r python3 tests/lint/sources.py "$top" <"$work/all" \
	    >"$work/out" 2>&1
	while IFS= read -r line; do
		case $line in
		ok\ *) ok "${line#ok [0-9]* - }" ;;
		not\ ok\ *)
			failed=1
			printf 'not ok %d - %s\n' $((++n)) "${line#not ok [0-9]* - }"
			;;
		1..*) ;;
		\#*) printf '%s\n' "$line" ;;
		*) not_ok "tests/lint/sources.py runs" <<<"$line" ;;
		esac
	done <"$work/out"
else
	skip "layering, banned functions, SPDX" "no python3"
fi

# ---- scripts ----------------------------------------------------------------
if command -v shellcheck >/dev/null; then
	if xargs -r shellcheck -x -e SC2317 -f gcc <"$work/scripts" >"$work/out" 2>&1; then
		ok "shellcheck ($(wc -l <"$work/scripts") scripts)"
	else
		not_ok "shellcheck" <"$work/out"
	fi
else
	skip "shellcheck" "not installed"
fi

# ---- clang-tidy -------------------------------------------------------------
tidy_one() ( # FILE: writes $work/tidy/FILE.{ok,bad}
	flat=${1//\//_}

	cd "$build" || return # where the build's relative folders count from
	key=$({ cat "$top/.clang-tidy" "$work/flags" "$work/tidy-version" &&
		"$preprocessor" "${flags[@]}" -E -C -P "$top/$1" 2>/dev/null; } |
		sha256sum | cut -c1-40)
	if [ -e "$cache/tidy/$key" ]; then
		: >"$work/tidy/$flat.ok"
		return
	fi
	out=$("$clang_tidy" --quiet "$top/$1" -- "${flags[@]}" 2>/dev/null)
	# shellcheck disable=SC2181 # the assignment's own status
	if [ $? -eq 0 ]; then
		: >"$work/tidy/$flat.ok"
		mkdir -p "$cache/tidy" && : >"$cache/tidy/$key"
	else
		printf '%s\n' "${out:-clang-tidy could not run}" \
		    >"$work/tidy/$flat.bad"
	fi
)

if [ ! -e "$build/config.h" ] || [ ! -e "${LINT_FLAGS:-/nonexistent}" ]; then
	skip "clang-tidy" "no configured build: use make lint"
elif ! clang_tidy=$(tool clang-tidy 14.); then
	skip "clang-tidy" "no clang-tidy 14: packaging/deps test"
else
	preprocessor=$(command -v clang || command -v cc)
	mkdir "$work/tidy"
	"$clang_tidy" --version >"$work/tidy-version"
	# flags of the build, and the include folders that only some targets have
	{
		cat "$LINT_FLAGS"
		printf '%s\n' "-I$build"
		find . -name Makemodule.am -exec grep -hoE \
		    -- '-I\$\(top_srcdir\)/[A-Za-z0-9_/]+' {} + | sort -u |
			sed "s|\\\$(top_srcdir)|$top|"
		resource=$(clang -print-resource-dir 2>/dev/null) &&
			printf '%s\n' -resource-dir "$resource"
	} >"$work/flags"
	mapfile -t flags <"$work/flags"
	while read -r f; do
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
		tidy_one "$f" &
	done <"$work/c"
	wait
	bad=0
	while read -r f; do
		result=$work/tidy/${f//\//_}
		[ -e "$result.ok" ] && continue
		bad=$((bad + 1))
		not_ok "clang-tidy $f" < <(grep -E "error:|could not" "$result.bad")
	done <"$work/c"
	[ $bad -gt 0 ] || ok "clang-tidy 14 ($(wc -l <"$work/c") files)"
fi

printf '1..%d\n' $n
exit $failed
