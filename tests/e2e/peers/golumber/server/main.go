// SPDX-License-Identifier: Apache-2.0

// Receives Lumberjack v2 with the public server library.  Its first line of
// output is "listening on HOST:PORT", then each event as a line of JSON; a batch
// is acknowledged when its events are written.  Ends when standard input does.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	v2 "github.com/elastic/go-lumber/server/v2"

	"kuzet/tests/golumber/internal/files"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "")
	ca := flag.String("ca", "ca.pem", "")
	cert := flag.String("cert", "collector.pem", "")
	key := flag.String("key", "collector.key", "")
	delay := flag.Duration("delay", 0, "before each ACK")
	flag.Parse()

	if err := serve(*address, *ca, *cert, *key, *delay); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address, ca, cert, key string, delay time.Duration) error {
	config, err := files.Config(ca, cert, key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	// the raw event: no number is rounded on its way to the test
	decode := func(text []byte, to interface{}) error {
		*to.(*interface{}) = json.RawMessage(append([]byte{}, text...))
		return nil
	}
	server, err := v2.NewWithListener(tls.NewListener(listener, config),
		v2.JSONDecoder(decode))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintf(out, "listening on %s\n", listener.Addr())
	_ = out.Flush()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	for batch := range server.ReceiveChan() {
		for _, event := range batch.Events {
			_, _ = out.Write(event.(json.RawMessage))
			_ = out.WriteByte('\n')
		}
		if err := out.Flush(); err != nil {
			return err
		}
		time.Sleep(delay)
		batch.ACK()
	}
	return nil
}
