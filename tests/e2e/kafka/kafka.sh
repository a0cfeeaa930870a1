#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A real single-node Apache Kafka (KRaft) on loopback, for tests.
#
#   kafka.sh fetch          the jars, kept in the cache; exit 77: not to be had
#   kafka.sh prepare DIR    makes its configuration and prints the HOST:PORT
#                           that it will have; starts nothing
#   kafka.sh start DIR      starts a broker with its data in DIR and prints
#                           HOST:PORT when it answers; a DIR that was used
#                           before has the same port and data
#   kafka.sh stop DIR       asks it to end and waits
#   kafka.sh kill DIR       kill -9
#
# Needs Java 17 and, for the first fetch, Maven and its central repository.
set -eu

cache=${KUZET_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/kuzet}/kafka
here=$(cd "$(dirname "$0")" && pwd)

fail() { # STATUS TEXT
	echo "kafka.sh: $2" >&2
	exit "$1"
}

fetch() {
	command -v java >/dev/null 2>&1 || fail 77 "no java"
	[ ! -d "$cache/lib" ] || return 0
	command -v mvn >/dev/null 2>&1 || fail 77 "no mvn"
	mkdir -p "$cache"
	part=$(mktemp -d "$cache/part.XXXXXX")
	if ! mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies \
	    -DoutputDirectory="$part/lib" >"$part/log" 2>&1; then
		tail -n 5 "$part/log" >&2
		rm -rf "$part"
		fail 77 "the jars cannot be fetched"
	fi
	# another test may have been faster
	mv -T "$part/lib" "$cache/lib" 2>/dev/null || true
	rm -rf "$part"
}

free_ports() { # two of them, that no outgoing connection takes meanwhile
	python3 -c 'import random, socket
s = []
while len(s) < 2:
    s.append(socket.socket())
    try: s[-1].bind(("127.0.0.1", random.SystemRandom().randrange(10000, 20000)))
    except OSError: s.pop()
print(*[x.getsockname()[1] for x in s])'
}

configure() { # DIR
	# shellcheck disable=SC2046
	set -- "$1" $(free_ports)
	cat >"$1/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$1/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
CONF
	echo "127.0.0.1:$2" >"$1/address"
	java -cp "$cache/lib/*" kafka.tools.StorageTool format \
	    -t AAAAAAAAQACAAAAAAAAAAQ -c "$1/server.properties" \
	    >"$1/format.log" 2>&1 || {
		cat "$1/format.log" >&2
		fail 1 "the storage cannot be formatted"
	}
}

answers() { # HOST:PORT
	if command -v kcat >/dev/null 2>&1; then
		kcat -b "$1" -L -m 2 >/dev/null 2>&1
	else
		python3 -c 'import socket, sys
h, p = sys.argv[1].split(":")
socket.create_connection((h, int(p)), 1)' "$1" 2>/dev/null
	fi
}

prepare() { # DIR
	fetch
	mkdir -p "$1"
	[ -f "$1/server.properties" ] || configure "$(cd "$1" && pwd)"
	cat "$1/address"
}

start() { # DIR
	prepare "$1" >/dev/null
	set -- "$(cd "$1" && pwd)"
	(
		cd "$1"
		exec java -Xmx512m -cp "$cache/lib/*" kafka.Kafka \
		    server.properties >>"$1/log" 2>&1 </dev/null
	) &
	echo $! >"$1/pid"
	address=$(cat "$1/address")
	i=0
	until answers "$address"; do
		i=$((i + 1))
		if [ $i -gt 120 ] || ! kill -0 "$(cat "$1/pid")" 2>/dev/null; then
			tail -n 20 "$1/log" >&2
			fail 1 "the broker does not answer"
		fi
		sleep 0.5
	done
	echo "$address"
}

end() { # SIGNAL DIR
	pid=$(cat "$2/pid")
	kill "-$1" "$pid" 2>/dev/null || true
	i=0
	while kill -0 "$pid" 2>/dev/null && [ $i -lt 300 ]; do
		i=$((i + 1))
		sleep 0.1
	done
	rm -f "$2/pid"
}

case ${1-} in
fetch) fetch ;;
prepare) prepare "${2:?DIR}" ;;
start) start "${2:?DIR}" ;;
stop) end TERM "${2:?DIR}" ;;
kill) end KILL "${2:?DIR}" ;;
*) fail 2 "usage: kafka.sh fetch | {prepare|start|stop|kill} DIR" ;;
esac
