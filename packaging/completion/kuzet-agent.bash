# SPDX-License-Identifier: Apache-2.0
# Bash completion of kuzet-agent(8).

_kuzet_agent() {
	local cur prev command='' sub='' word i

	COMPREPLY=()
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-c | --config | --server | --token | --name | --by | --reason | --for | --log-format | \
		    --log-level) ((i++)) ;;
		-*) ;;
		*)
			if [ -z "$command" ]; then
				command=$word
			elif [ -z "$sub" ]; then
				sub=$word
			fi
			;;
		esac
	done
	case $prev in
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--log-format) word='text json' ;;
	--log-level) word='error warn info debug' ;;
	--for) word='30m 1h 2h 8h' ;;
	--by | --reason | --server | --token | --name) return ;;
	*)
		case $command/$sub in
		/)
			word='-c --config --check-config --log-format'
			word+=' --log-level --version --help enroll status fim policy'
			;;
		enroll/) word='-c --config --server --token --name --force --help' ;;
		status/) word='-c --config --json --help' ;;
		fim/) word='baseline check window --help' ;;
		fim/baseline) word='-c --config --by --help' ;;
		fim/check) word='-c --config --full --json --help' ;;
		fim/window)
			word='open close list -c --config --by --reason --for'
			word+=' --json --help'
			;;
		policy/) word='check --help' ;;
		policy/check)
			mapfile -t COMPREPLY < <(compgen -f -X '!*.yml' -- "$cur")
			word='-c --config --json --help'
			;;
		*) word='--help' ;;
		esac
		;;
	esac
	mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$word" -- "$cur")
}

complete -F _kuzet_agent kuzet-agent
