// SPDX-License-Identifier: Apache-2.0

// Package files makes the TLS configuration of both peers.
package files

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

// Config is mutual TLS 1.3 for a client and a server alike.
func Config(ca, cert, key string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New(ca + ": no CA certificates")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		Certificates: []tls.Certificate{pair},
	}, nil
}
