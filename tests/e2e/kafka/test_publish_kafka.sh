#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The publisher's unit test, against a real Apache Kafka that is killed in it.
set -u
kafka=${top_srcdir:?}/tests/e2e/kafka/kafka.sh
dir=$(mktemp -d) || exit 1
trap '"$kafka" kill "$dir" 2>/dev/null; rm -rf "$dir"' EXIT
if ! why=$("$kafka" fetch 2>&1); then
	echo "1..0 # SKIP $(echo "$why" | tail -n 1)"
	exit 0
fi
address=$("$kafka" start "$dir") || exit 1
KUZET_TEST_KAFKA=$address KUZET_TEST_KAFKA_DIR=$dir \
    "${top_builddir:?}/tests/unit/test_publish" 2>/dev/null
