package tlslayer

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"io"
)

// keys finds out the keys of a connection while crypto/tls does the handshake: the secrets from
// what Config.KeyLogWriter gets, and from the records on the wire everything else. How many records
// each side has sent with the keys of the data is counted by opening them: it depends on tickets,
// client certificates and the version.
type keys struct {
	client       bool // we are the client
	confused     bool // something is not as expected: use level 1
	version      uint16
	suite        int // in suites, of the ServerHello
	clientRandom []byte
	serverRandom []byte
	master       []byte // of TLS 1.2
	sides        [2]side
	loop         *loop
}

// side is what is known of one side's records.
type side struct {
	secret  []byte // of TLS 1.3
	ready   bool   // half has the key
	changed bool   // has sent ChangeCipherSpec
	half    half
}

const (
	clientSide = 0
	serverSide = 1
)

// sideOf returns the index in keys.sides.
func sideOf(client bool) int {
	if client {
		return clientSide
	}
	return serverSide
}

// keyLog is the KeyLogWriter of one handshake.
type keyLog struct {
	keys *keys
	user io.Writer // the user's own; nil: none
}

// Write implements io.Writer. crypto/tls calls it with one line at a time, on the goroutine of the
// handshake.
func (w *keyLog) Write(line []byte) (int, error) {
	w.keys.log(line)
	if w.user != nil {
		return w.user.Write(line)
	}
	return len(line), nil
}

func (k *keys) log(line []byte) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		k.confused = true
		return
	}
	random, err1 := hex.DecodeString(string(fields[1]))
	secret, err2 := hex.DecodeString(string(fields[2]))
	if err1 != nil || err2 != nil {
		k.confused = true
		return
	}
	switch string(fields[0]) {
	case "CLIENT_RANDOM":
		k.version, k.clientRandom, k.master = tls.VersionTLS12, random, secret
	case "CLIENT_TRAFFIC_SECRET_0":
		k.version, k.sides[clientSide].secret = tls.VersionTLS13, secret
	case "SERVER_TRAFFIC_SECRET_0":
		k.version, k.sides[serverSide].secret = tls.VersionTLS13, secret
	}
}

// helloRetryRequest is the random of a ServerHello that is not one: RFC 8446, Section 4.1.3.
var helloRetryRequest = sha256.Sum256([]byte("HelloRetryRequest"))

// seen is called with every record of the handshake, in order. fromClient is who has sent it.
func (k *keys) seen(fromClient bool, rec []byte) {
	if k.confused {
		return
	}
	if !fromClient && (k.serverRandom == nil || bytes.Equal(k.serverRandom, helloRetryRequest[:])) {
		k.serverHello(rec)
	}
	s := &k.sides[sideOf(fromClient)]
	switch {
	case rec[0] == typeCCS:
		s.changed = true
	case k.version == tls.VersionTLS13 && rec[0] == typeData, k.version == tls.VersionTLS12 && s.changed:
		k.count(s, rec)
	}
}

// serverHello takes the random and the suite from a ServerHello: RFC 8446, Section 4.1.3.
func (k *keys) serverHello(rec []byte) {
	const random, session = headerLen + 4 + 2, headerLen + 4 + 2 + 32
	if rec[0] != typeHandshake || len(rec) < session+1 || rec[headerLen] != messageServerHello {
		return
	}
	after := session + 1 + int(rec[session])
	if len(rec) < after+2 {
		k.confused = true
		return
	}
	k.serverRandom = bytes.Clone(rec[random:session])
	k.suite = suiteByID(uint16(rec[after])<<8 | uint16(rec[after+1]))
}

// count counts a record if it is sealed with the key of the data.
func (k *keys) count(s *side, rec []byte) {
	if !k.prepare(s) {
		return
	}
	seq := s.half.seq
	if _, ok := k.loop.open(&suites[k.suite], &s.half, bytes.Clone(rec)); !ok && seq > 0 {
		k.confused = true
	}
}

// prepare derives the key of s as soon as possible.
func (k *keys) prepare(s *side) bool {
	if s.ready {
		return true
	}
	if k.serverRandom == nil || k.suite < 0 || suites[k.suite].tls13 != (k.version == tls.VersionTLS13) {
		return false
	}
	suite := &suites[k.suite]
	switch {
	case k.version == tls.VersionTLS12 && len(k.master) == 48 && len(k.clientRandom) == 32:
		client, server := keysOf12(suite, k.master, k.clientRandom, k.serverRandom)
		k.sides[clientSide].half, k.sides[serverSide].half = client, server
		k.sides[clientSide].ready, k.sides[serverSide].ready = true, true
	case k.version == tls.VersionTLS13 && len(s.secret) == suite.hashLen:
		s.half.setSecret(suite, s.secret)
		s.ready = true
	default:
		return false
	}
	if k.loop == nil {
		k.loop = newLoop(2, 2)
	}
	return true
}

// records returns the record layer of the connection, nil if level 1 is to do it.
func (k *keys) records(info *tls.ConnectionState) *records {
	us, peer := &k.sides[sideOf(k.client)], &k.sides[sideOf(!k.client)]
	if !k.prepare(us) || !k.prepare(peer) || k.confused ||
		info.Version != k.version || info.CipherSuite != suites[k.suite].id {
		return nil
	}
	// Each side's Finished is the first record of its key in TLS 1.2.
	if k.version == tls.VersionTLS12 && (us.half.seq != 1 || peer.half.seq != 1) {
		return nil
	}
	r := &records{suite: uint8(k.suite), read: peer.half, write: us.half}
	r.read.cached, r.write.cached = 0, 0
	if k.client {
		r.flags |= isClient
	}
	return r
}
