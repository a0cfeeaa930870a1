# SPDX-License-Identifier: Apache-2.0
# Bash completion of kuzet-collector(8).

_kuzet_collector() {
	local cur prev word

	COMPREPLY=()
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	case $prev in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--log-format) word='text json' ;;
	--log-level) word='error warn info debug' ;;
	*)
		word='-c --config --check-config --log-format --log-level'
		word+=' --version --help'
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
}
complete -o filenames -F _kuzet_collector kuzet-collector
