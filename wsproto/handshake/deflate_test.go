package handshake_test

import (
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// TestDeflateNegotiation compares with the answers of a server that allows everything; "" means
// that it declines (RFC 7692 section 7.1).
func TestDeflateNegotiation(t *testing.T) {
	const plain, neither = "permessage-deflate", "; server_no_context_takeover; client_no_context_takeover"
	for _, c := range []struct{ offer, answer string }{
		{"permessage-deflate", plain},
		{"Permessage-DEFLATE", plain},
		{" permessage-deflate ; server_no_context_takeover ", plain + "; server_no_context_takeover"},
		{"permessage-deflate; client_no_context_takeover", plain + "; client_no_context_takeover"},
		{"permessage-deflate; server_max_window_bits=10", plain + "; server_max_window_bits=10"},
		{`permessage-deflate; server_max_window_bits="10"`, plain + "; server_max_window_bits=10"},
		{`permessage-deflate; server_max_window_bits="\1\0"`, plain + "; server_max_window_bits=10"},
		{"permessage-deflate; server_max_window_bits=8", plain + "; server_max_window_bits=8"},
		{"permessage-deflate; server_max_window_bits=15", plain + "; server_max_window_bits=15"},
		{"permessage-deflate; client_max_window_bits", plain},
		{"permessage-deflate; client_max_window_bits=9", plain + "; client_max_window_bits=9"},
		{plain + "; client_max_window_bits=15" + neither + "; server_max_window_bits=12",
			plain + neither + "; server_max_window_bits=12"},

		// The first offer that can be honoured is taken, whatever stands before it.
		{"x-webkit-deflate-frame, permessage-deflate", plain},
		{"x; level=9, " + plain + "; server_max_window_bits=16, " + plain + "; server_max_window_bits=11",
			plain + "; server_max_window_bits=11"},
		{"permessage-deflate; server_no_context_takeover, permessage-deflate", plain + "; server_no_context_takeover"},
		{`x; y="a, permessage-deflate, z", permessage-deflate; server_max_window_bits=9`,
			plain + "; server_max_window_bits=9"},
		{`x\, permessage-deflate; server_max_window_bits=9`, plain + "; server_max_window_bits=9"},
		{`permessage-deflate; server_max_window_bits="1\0"`, plain + "; server_max_window_bits=10"},
		{`x; y="\", permessage-deflate", permessage-deflate; server_max_window_bits=9`,
			plain + "; server_max_window_bits=9"},

		{"", ""},
		{",,", ""},
		{"x-webkit-deflate-frame", ""},
		{"permessage-deflatex", ""},
		{"permessage-deflate;", ""},
		{"permessage-deflate; ;", ""},
		{"permessage-deflate; unknown", ""},
		{"permessage-deflate; unknown=1", ""},
		{"permessage-deflate; server_no_context_takeover=1", ""},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
		{"permessage-deflate; client_no_context_takeover=true", ""},
		{"permessage-deflate; server_max_window_bits", ""},
		{"permessage-deflate; server_max_window_bits=", ""},
		{"permessage-deflate; server_max_window_bits=7", ""},
		{"permessage-deflate; server_max_window_bits=16", ""},
		{"permessage-deflate; server_max_window_bits=08", ""},
		{"permessage-deflate; server_max_window_bits=1O", ""},
		{"permessage-deflate; server_max_window_bits=-8", ""},
		{"permessage-deflate; server_max_window_bits=100", ""},
		{"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", ""},
		{"permessage-deflate; client_max_window_bits=7", ""},
		{"permessage-deflate; client_max_window_bits=", ""},
		{"permessage-deflate; client_max_window_bits; client_max_window_bits=10", ""},
		{"permessage-deflate; server_max_window_bits=20", ""},
		{"permessage-deflate; server_max_window_bits=05", ""},
		{"permessage-deflate; server_max_window_bits=1.", ""},
		{"permessage-deflate; server_max_window_bits=1-", ""},
		{`permessage-deflate; server_max_window_bits="10`, ""},
		{`permessage-deflate; server_max_window_bits="100`, ""},
		{`permessage-deflate; server_max_window_bits="10\"`, ""},
		{`permessage-deflate; server_max_window_bits=""`, ""},
		{`permessage-deflate; server_max_window_bits="1 0"`, ""},
		{"permessage-deflate server_no_context_takeover", ""},
	} {
		if got := answer(t, wsproto.Deflate{}, c.offer); got != c.answer {
			t.Errorf("%q is answered by %q, want %q", c.offer, got, c.answer)
		}
	}
}

// TestDeflatePolicyNarrows: the policy of the server counts, but never against what the client
// allows.
func TestDeflatePolicyNarrows(t *testing.T) {
	policy := wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true, ServerMaxWindowBits: 11,
		ClientMaxWindowBits: 10}
	const base = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for offer, want := range map[string]string{
		"permessage-deflate": base + "; server_max_window_bits=11",
		"permessage-deflate; client_max_window_bits": base +
			"; server_max_window_bits=11; client_max_window_bits=10",
		"permessage-deflate; client_max_window_bits=9": base +
			"; server_max_window_bits=11; client_max_window_bits=9",
		"permessage-deflate; client_max_window_bits=12; server_max_window_bits=9": base +
			"; server_max_window_bits=9; client_max_window_bits=10",
	} {
		if got := answer(t, policy, offer); got != want {
			t.Errorf("%q is answered by %q, want %q", offer, got, want)
		}
	}
}

// answer negotiates with the offers in one field, and with each in a field of its own.
func answer(t *testing.T, policy wsproto.Deflate, offer string) string {
	t.Helper()
	negotiate := func(fields string) string {
		var r handshake.Request
		var scanned uint32
		raw := []byte("GET / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n")
		if n, err := handshake.ParseRequest(raw, &scanned, &r, nil); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		d, ok := r.Deflate(policy)
		if !ok {
			return ""
		}
		return string(handshake.AppendDeflate(nil, d))
	}
	got := negotiate("Sec-WebSocket-Extensions: " + offer + "\r\n")
	if other := negotiate("X-Sec-WebSocket-Extensions: " + offer + "\r\n"); other != "" {
		t.Errorf("%q in another field is answered by %q", offer, other)
	}
	if !strings.Contains(offer, `"`) {
		fields := ""
		for _, o := range strings.Split(offer, ",") {
			fields += "sec-websocket-extensions:" + o + "\r\n"
		}
		if again := negotiate(fields); again != got {
			t.Errorf("%q: %q in one field, %q in several", offer, got, again)
		}
	}
	return got
}

func FuzzDeflateOffer(f *testing.F) {
	f.Add("permessage-deflate; server_max_window_bits=10, permessage-deflate")
	f.Add(`permessage-deflate; client_max_window_bits="\1\0"`)
	f.Fuzz(func(t *testing.T, offer string) {
		if strings.ContainsAny(offer, "\r\n\x00\x7f") ||
			strings.ContainsFunc(offer, func(r rune) bool { return r < ' ' && r != '\t' }) || len(offer) > 4000 ||
			strings.Count(offer, ",") > 50 {
			return
		}
		got := answer(t, wsproto.Deflate{}, offer)
		if got != "" && answer(t, wsproto.Deflate{}, got) != got {
			t.Errorf("%q is answered by %q, which is no offer that would be answered so", offer, got)
		}
	})
}
