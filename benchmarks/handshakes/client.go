package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// writeCertificate writes a self-signed certificate, ECDSA with P-256, and its key.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	write := func(name, kind string, b []byte) error {
		b = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
		return os.WriteFile(filepath.Join(dir, name), b, 0o600)
	}
	return errors.Join(err1, err2, write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", private))
}

const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// message is a binary message of 32 bytes, with a mask of zeros.
var message = append(wsproto.AppendHeader(nil, wsproto.Header{Fin: true, Opcode: wsproto.Binary, Masked: true,
	Length: 32}), make([]byte, 32)...)

// openOne opens a connection, sends a message, waits for the echo, and closes. It reports whether
// the handshake has resumed a session.
func openOne(address string, config *tls.Config) (resumed bool, err error) {
	raw, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return false, err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	nc := tls.Client(raw, config)
	if _, err := io.WriteString(nc, request); err != nil {
		return false, err
	}
	r := bufio.NewReader(nc)
	if _, err := http.ReadResponse(r, nil); err != nil {
		return false, err
	}
	if _, err := nc.Write(message); err != nil {
		return false, err
	}
	if _, err := io.ReadFull(r, make([]byte, 2+32)); err != nil {
		return false, err
	}
	return nc.ConnectionState().DidResume, nil
}
