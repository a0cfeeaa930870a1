// SPDX-License-Identifier: Apache-2.0

// Receives Lumberjack v2 with the public server library.  Its first line of
// output is "listening on HOST:PORT", then each event as a line of JSON; a batch
// is acknowledged when its events are written.  Ends when standard input does.
// With -cuts, so many of the first connections are closed when they have brought
// -cut bytes, wherever that is.
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
	cut := flag.Int("cut", 1<<16, "bytes before a connection is cut")
	cuts := flag.Int("cuts", 0, "connections that are cut")
	flag.Parse()

	wrap := func(l net.Listener) net.Listener {
		return &cutter{Listener: l, bytes: *cut, left: *cuts}
	}
	if err := serve(*address, *ca, *cert, *key, *delay, wrap); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// cutter is a listener whose first connections end in the middle.
type cutter struct {
	net.Listener
	bytes, left int
}

func (c *cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil || c.left == 0 {
		return conn, err
	}
	c.left--
	return &cutConn{Conn: conn, left: c.bytes}, nil
}

type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	if len(p) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	c.left -= n
	return n, err
}

func serve(address, ca, cert, key string, delay time.Duration,
	wrap func(net.Listener) net.Listener) error {
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
	server, err := v2.NewWithListener(tls.NewListener(wrap(listener), config),
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
