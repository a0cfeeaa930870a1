# SPDX-License-Identifier: Apache-2.0
# Bash completion of kuzetctl(1).

_kuzetctl() {
	local cur prev command='' sub='' word i
	local commands='status agent respond events search incidents detections parse rules normalizers objects store incident login logout user token audit'

	COMPREPLY=()
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket | --config | --profile | -c) ((i++)) ;;
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
	--role)
		mapfile -t COMPREPLY < <(compgen -W 'owner analyst responder
			auditor administrator national-centre' -- "$cur")
		return
		;;
	--status)
		mapfile -t COMPREPLY < <(compgen -W 'new open closed' -- "$cur")
		return
		;;
	--profile)
		mapfile -t COMPREPLY < <(
			cd "${XDG_CONFIG_HOME:-$HOME/.config}/kuzet" 2>/dev/null &&
				compgen -W "$(printf '%s\n' *.yaml | sed 's/\.yaml$//')" -- "$cur"
		)
		return
		;;
	--socket | --config | --ca | --certificate | -c | --dir | --archive | --key | --tsa-ca | --out | --rules | --event | --events | --log | --junit | --taxonomy | --file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--since | --until)
		mapfile -t COMPREPLY < <(compgen -W 'now 15m 1h 24h 7d 30d' -- "$cur")
		return
		;;
	--keep)
		mapfile -t COMPREPLY < <(compgen -W '7d 30d 90d 365d' -- "$cur")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'time -time arrival' -- "$cur")
		return
		;;
	--every)
		mapfile -t COMPREPLY < <(compgen -W '1m 15m 1h 1d' -- "$cur")
		return
		;;
	--by | --distinct | --measure | --percentiles | --after | --where | \
	    --rule | --limit | --disk | --dataset | --program | --year | \
	    --user | --name | --scope | --server | --expires-in | --note | \
	    --reason | --assignee | --revision | --organization | \
	    --timezone | --logsource)
		return
		;;
	esac
	case $command/$sub in
	/) word="--socket --config --profile --json --help --version $commands" ;;
	status/*) word='--json --help' ;;
	incident/) word='show update --help' ;;
	incident/show) word='--json --help' ;;
	incident/update) word='--status --reason --assignee --note --revision --json --help' ;;
	login/*) word='--server --ca --user --certificate --key --list --json --help' ;;
	logout/*) word='--forget --help' ;;
	user/) word='list show add update remove --help' ;;
	user/add) word='--role --organization --certificate --no-password --json --help' ;;
	user/update)
		word='--role --organization --certificate --password --enable'
		word+=' --disable --remove-totp --unlock --json --help'
		;;
	agent/enroll-token) word='--name --replace --group --expires --uses --list --remove --json --help' ;;
	agent/revoke) word='--reason --help' ;;
	token/) word='list add remove --help' ;;
	token/add) word='--user --name --scope --expires-in --json --help' ;;
	token/*) word='--user --json --help' ;;
	audit/) word='log --help' ;;
	audit/log) word='--since --until --user --limit --json --help' ;;
	agent/) word='list show config enroll-token revoke --help' ;;
	respond/) word='block unblock stop collect list --help' ;;
	respond/block | respond/stop) word='--agent --for --reason --json --help' ;;
	respond/list) word='--agent --json --help' ;;
	respond/*) word='--agent --reason --json --help' ;;
	agent/config) word='show check diff push key --agent --dry-run --json --help' ;;
	agent/*) word='--json --help' ;;
	events/*) word='--since --until --where --limit --count --flat --json --help' ;;
	search/*)
		word='--since --until --limit --sort --after --count --follow --by'
		word+=' --every --distinct --measure --percentiles --flat --json --help'
		word+=' --save --share --replace --saved --list-saved --delete-saved'
		;;
	incidents/* | detections/*)
		word='--since --until --rule --limit --after --json --help'
		;;
	parse/*) word='--dataset --program --year --timezone --flat --json --help' ;;
	rules/) word='check coverage explain match reload replay test --help' ;;
	rules/check) word='--taxonomy --json --help' ;;
	rules/coverage) word='--rules --taxonomy --json --navigator --help' ;;
	rules/explain)
		word='--rule --event --log --rules --taxonomy --logsource --dataset'
		word+=' --program --year --timezone --json --help'
		;;
	rules/replay)
		word='--rules --dir --since --until --incidents --level --json --help'
		;;
	rules/reload) word='--no-wait --json --help' ;;
	rules/test) word='--rules --taxonomy --junit --json --help' ;;
	rules/match)
		word='--rules --events --log --taxonomy --logsource --dataset'
		word+=' --program --year --timezone --stats --json --help'
		;;
	store/) word='verify stats archive restore prune --help' ;;
	store/stats) word='--dir --json --help' ;;
	store/archive) word='--dir --archive --all --json --help' ;;
	store/restore) word='--dir --archive --json --help' ;;
	store/prune)
		word='--dir --archive --keep --disk --dry-run --force --json --help'
		;;
	store/verify) word='--dir --key --tsa-ca --event --out --json --help' ;;
	objects/) word='list show check import export kinds --help' ;;
	objects/export) word='--file --format --json --help' ;;
	objects/import) word='--file --dry-run --json --help' ;;
	objects/*) word='--file --json --help' ;;
	normalizers/) word='check test unparsed --help' ;;
	normalizers/unparsed)
		word='--limit --since --until --dataset --program --year --timezone --json --help'
		;;
	*) word='--json --help' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
	case $command/$sub in
	parse/* | rules/check | rules/test | normalizers/check | normalizers/test | normalizers/unparsed | \
	    objects/check | objects/import)
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
		;;
	esac
}
complete -o filenames -F _kuzetctl kuzetctl
