package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func written(t *testing.T, r record) string {
	t.Helper()
	var b strings.Builder
	if err := r.write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestConsole(t *testing.T) {
	step := written(t, record{Progress: "half of it"})
	final := written(t, record{Result: &result{Conns: 12}})
	for _, c := range []struct {
		name     string
		console  string
		progress []string
		conns    int // of the result; 0: no result
	}{
		{"nothing", "", nil, 0},
		{"only the kernel", "[    0.1] Linux\r\n[    0.2] panic\r\n", nil, 0},
		{"in order", step + final, []string{"half of it"}, 12},
		{"a terminal's line ends", strings.ReplaceAll(step+final, "\n", "\r\n"), []string{"half of it"}, 12},
		{"after an incomplete line", "[    0.1] Li" + strings.TrimPrefix(final, "\n"), nil, 12},
		{"the kernel between", step + "[    5.0] TCP: out of memory\r\n" + final, []string{"half of it"}, 12},
		{"the kernel within", strings.Replace(step, "half", "[ 5.0] TCP\r\nhalf", 1) + final, nil, 12},
		{"a byte lost", strings.Replace(final, "conns", "cons", 1), nil, 0},
		{"cut off", final[:len(final)-5], nil, 0},
		{"without a newline", strings.TrimRight(final, "\n"), nil, 12},
		{"noise", "\x00\xff@million\n@million zz\n@million 00000000 {}\n" + final, nil, 12},
		{"two results", written(t, record{Result: &result{Conns: 3}}) + final, nil, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			var progress []string
			say := func(_ string, a ...any) { progress = append(progress, a[0].(string)) }
			r, err := readConsole(strings.NewReader(c.console), &log, say)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(progress, c.progress) {
				t.Errorf("progress %q, want %q", progress, c.progress)
			}
			if (r == nil) != (c.conns == 0) || r != nil && r.Conns != c.conns {
				t.Errorf("result %+v, want one of %d connections", r, c.conns)
			}
			if log.String() != c.console {
				t.Errorf("the log has %q", log.String())
			}
		})
	}
}
