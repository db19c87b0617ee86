package wsproto

import "testing"

// TestDeflateByRole: each end has the parameters of its own direction.
func TestDeflateByRole(t *testing.T) {
	d := Deflate{ServerMaxWindowBits: 9, ClientMaxWindowBits: 11, ClientNoContextTakeover: true}
	for _, c := range []struct {
		role                  Role
		send, receive         uint8
		sendTakes, peersTakes bool
	}{{Server, 9, 11, true, false}, {Client, 11, 9, false, true}} {
		if s, r := d.sendBits(c.role), d.receiveBits(c.role); s != c.send || r != c.receive {
			t.Errorf("role %d sends with %d bits and receives with %d", c.role, s, r)
		}
		if s, r := d.sendTakeover(c.role), d.receiveTakeover(c.role); s != c.sendTakes || r != c.peersTakes {
			t.Errorf("role %d: takeover %v and %v", c.role, s, r)
		}
	}
	if n := (Deflate{}).sendBits(Server); n != MaxWindowBits {
		t.Errorf("%d bits if nothing was said", n)
	}
}

func TestDeflateWindowBytes(t *testing.T) {
	for _, test := range []struct {
		name    string
		deflate Deflate
		want    int
	}{
		{name: "no takeover", deflate: Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}},
		{name: "server's", deflate: Deflate{ClientNoContextTakeover: true, ServerMaxWindowBits: 9,
			ClientMaxWindowBits: 10}, want: 512},
		{name: "client's", deflate: Deflate{ServerNoContextTakeover: true, ServerMaxWindowBits: 9,
			ClientMaxWindowBits: 10}, want: 1024},
		{name: "both", want: 64 << 10},
	} {
		if got := test.deflate.WindowBytes(); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
