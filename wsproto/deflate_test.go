package wsproto_test

import (
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// TestDeflateByRole: whose parameters are whose.
func TestDeflateByRole(t *testing.T) {
	d := wsproto.Deflate{ServerMaxWindowBits: 9, ClientMaxWindowBits: 11, ClientNoContextTakeover: true}
	for _, c := range []struct {
		role                  wsproto.Role
		send, receive         uint8
		sendTakes, peersTakes bool
	}{{wsproto.Server, 9, 11, true, false}, {wsproto.Client, 11, 9, false, true}} {
		if s, r := d.SendBits(c.role), d.ReceiveBits(c.role); s != c.send || r != c.receive {
			t.Errorf("role %d sends with %d bits and receives with %d", c.role, s, r)
		}
		if s, r := d.SendTakeover(c.role), d.ReceiveTakeover(c.role); s != c.sendTakes || r != c.peersTakes {
			t.Errorf("role %d: takeover %v and %v", c.role, s, r)
		}
	}
	if n := (wsproto.Deflate{}).SendBits(wsproto.Server); n != wsproto.MaxWindowBits {
		t.Errorf("%d bits if nothing was said", n)
	}
}

func TestDeflateWindowBytes(t *testing.T) {
	for _, test := range []struct {
		name    string
		deflate wsproto.Deflate
		want    int
	}{
		{name: "no takeover", deflate: wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
		{name: "server's", deflate: wsproto.Deflate{ClientNoContextTakeover: true, ServerMaxWindowBits: 9,
			ClientMaxWindowBits: 10}, want: 512},
		{name: "client's", deflate: wsproto.Deflate{ServerNoContextTakeover: true, ServerMaxWindowBits: 9,
			ClientMaxWindowBits: 10}, want: 1024},
		{name: "both", want: 64 << 10},
	} {
		if got := test.deflate.WindowBytes(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
