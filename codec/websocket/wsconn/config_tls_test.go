package wsconn_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// TestDialThatOffersHTTP2: a server that spoke HTTP/2 got a request of HTTP/1.1, and Dial returned
// an error that nobody understood.
func TestDialThatOffersHTTP2(t *testing.T) {
	config := &wsconn.Config{TLS: &tls.Config{NextProtos: []string{"h2", "http/1.1"}}}
	_, err := wsconn.Dial(t.Context(), "wss://127.0.0.1:1/", config)
	if err == nil || !strings.Contains(err.Error(), "leave h2 out of NextProtos") {
		t.Errorf("error %v", err)
	}
}
