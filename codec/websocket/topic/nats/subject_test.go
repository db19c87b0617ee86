package nats

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for _, c := range []struct{ name, token string }{
		{"room", "room"},
		{"a.b", "a%2Eb"},
		{"*", "%2A"},
		{">", "%3E"},
		{"a b\t\r\n", "a%20b%09%0D%0A"},
		{"100%", "100%25"},
		{"%2A", "%252A"},
		{"zwölf", "zwölf"},
		{"\x00\x7f", "%00%7F"},
	} {
		got, err := escape(c.name)
		if err != nil || got != c.token {
			t.Errorf("escape(%q) = %q, %v; want %q", c.name, got, err, c.token)
		}
		if back, err := unescape(got); err != nil || back != c.name {
			t.Errorf("unescape(%q) = %q, %v; want %q", got, back, err, c.name)
		}
	}
	for _, bad := range []string{"", "\xff", strings.Repeat("x", 256)} {
		if got, err := escape(bad); err == nil {
			t.Errorf("escape(%q) = %q, want an error", bad, got)
		}
	}
	for _, bad := range []string{"", "%", "%2", "%2a", "%41", "a.b", "*", "a b", "%GG"} {
		if got, err := unescape(bad); err == nil {
			t.Errorf("unescape(%q) = %q, want an error", bad, got)
		}
	}
}

// FuzzEscape checks that escaped topics are one literal token of a subject, and that they can be
// told apart.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"room", "a.b", "*", ">", "%2E", " ", "\u2028", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if token, err := escape(s); err == nil {
			if token == "" || strings.ContainsAny(token, " \t\r\n\x00.*>") {
				t.Errorf("escape(%q) = %q is not a literal token", s, token)
			}
			if back, err := unescape(token); err != nil || back != s {
				t.Errorf("unescape(escape(%q)) = %q, %v", s, back, err)
			}
		}
		if name, err := unescape(s); err == nil {
			if token, err := escape(name); err != nil || token != s {
				t.Errorf("escape(unescape(%q)) = %q, %v", s, token, err)
			}
		}
	})
}
