// SPDX-License-Identifier: Apache-2.0

// Sends each line of standard input as an event over Lumberjack v2, with the
// public client library, and exits 0 when all are acknowledged.  The last line
// of its output is {"sent":N,"windows":N,"error":""}.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	v2 "github.com/elastic/go-lumber/client/v2"

	"kuzet/tests/golumber/internal/files"
)

func main() {
	address := flag.String("address", "127.0.0.1:5044", "the collector")
	ca := flag.String("ca", "ca.pem", "")
	cert := flag.String("cert", "agent.pem", "")
	key := flag.String("key", "agent.key", "")
	window := flag.Int("window", 2048, "events of one window")
	level := flag.Int("compression", 3, "0: bare J frames")
	inflight := flag.Int("inflight", 2, "windows not yet acknowledged")
	raw := flag.Bool("json", false, "lines are JSON objects, sent as they are")
	timeout := flag.Duration("timeout", 30*time.Second, "for each ACK frame")
	flag.Parse()

	config, err := files.Config(*ca, *cert, *key)
	if err == nil {
		err = send(*address, config, *window, *level, *inflight, *raw, *timeout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send(address string, config *tls.Config, window, level, inflight int,
	raw bool, timeout time.Duration) error {
	dial := func(network, address string) (net.Conn, error) {
		return tls.Dial(network, address, config)
	}
	client, err := v2.AsyncDialWith(dial, address, inflight,
		v2.CompressionLevel(level), v2.Timeout(timeout))
	if err != nil {
		return err
	}
	var (
		lock   sync.Mutex
		wait   sync.WaitGroup
		sent   int
		counts int
		failed error
	)
	flush := func(batch []interface{}) error {
		wait.Add(1)
		return client.Send(func(seq uint32, err error) {
			lock.Lock()
			defer lock.Unlock()
			defer wait.Done()
			sent += int(seq)
			counts++
			if err != nil && failed == nil {
				failed = err
			}
		}, batch)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 16<<20)
	batch := []interface{}{}
	for n := 0; in.Scan() && err == nil; n++ {
		var event interface{} = map[string]interface{}{
			"@timestamp": time.Now().UTC().Format(time.RFC3339Nano),
			"message":    in.Text(),
			"event":      map[string]interface{}{"id": fmt.Sprint(n)},
		}
		if raw {
			event = json.RawMessage(append([]byte{}, in.Bytes()...))
		}
		batch = append(batch, event)
		if len(batch) == window {
			err = flush(batch)
			batch = []interface{}{}
		}
	}
	if err == nil && len(batch) > 0 {
		err = flush(batch)
	}
	if err == nil {
		wait.Wait()
		err = failed
	}
	_ = client.Close()
	said := ""
	if err != nil {
		said = err.Error()
	}
	out, _ := json.Marshal(map[string]interface{}{
		"sent": sent, "windows": counts, "error": said,
	})
	fmt.Println(string(out))
	return err
}
