package wsproto_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// TestLimitsWithDefaults also checks that no field is forgotten.
func TestLimitsWithDefaults(t *testing.T) {
	every := func(v int64) (l wsproto.Limits) {
		for i, fields := 0, reflect.ValueOf(&l).Elem(); i < fields.NumField(); i++ {
			fields.Field(i).SetInt(v)
		}
		return l
	}
	defaults := wsproto.Limits{MaxMessage: 1 << 20, MaxWhole: 16 << 10, MaxFrame: -1, MaxFragments: 2048,
		ControlRate: 100,
		MaxHeader:   16 << 10, MaxStartLine: 8 << 10, MaxHeaderFields: 100,
		HandshakeTimeout: 10 * time.Second, IdleTimeout: 45 * time.Second,
		PongTimeout: 45 * time.Second, ProgressTimeout: 30 * time.Second, CloseTimeout: 3 * time.Second}
	smallMessages, noMessages, patient := defaults, defaults, defaults
	smallMessages.MaxMessage, smallMessages.MaxFragments = 1000, 1024
	noMessages.MaxMessage, noMessages.MaxFragments = -1, 1024
	patient.IdleTimeout, patient.PongTimeout = time.Hour, time.Hour
	longHeads, endlessHeads := defaults, defaults
	longHeads.MaxHeader, longHeads.MaxStartLine = 64<<10, 32<<10
	endlessHeads.MaxHeader, endlessHeads.MaxStartLine = -1, -1
	for _, test := range []struct {
		name     string
		in, want wsproto.Limits
	}{
		{name: "long heads", in: wsproto.Limits{MaxHeader: 64 << 10}, want: longHeads},
		{name: "heads of any size", in: wsproto.Limits{MaxHeader: -1}, want: endlessHeads},
		{name: "zero value", want: defaults},
		{name: "all set", in: every(7), want: every(7)},
		{name: "all off", in: every(-1), want: every(-1)},
		{name: "defaults", in: defaults, want: defaults},
		{name: "small messages", in: wsproto.Limits{MaxMessage: 1000}, want: smallMessages},
		{name: "messages of any size", in: wsproto.Limits{MaxMessage: -1}, want: noMessages},
		{name: "pong as idle", in: wsproto.Limits{IdleTimeout: time.Hour}, want: patient},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.in.WithDefaults(); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestCloseError(t *testing.T) {
	for _, test := range []struct {
		name       string
		err        wsproto.CloseError
		text       string
		peerClosed bool
	}{
		{name: "peer first", err: wsproto.CloseError{Code: wsproto.GoingAway, Reason: "bye",
			SentCode: wsproto.GoingAway},
			text: `websocket: closed by the peer with code 1001 "bye"`, peerClosed: true},
		{name: "peer first without a code", err: wsproto.CloseError{Code: wsproto.NoStatus, SentCode: wsproto.NoStatus},
			text: `websocket: closed by the peer with code 1005`, peerClosed: true},
		{name: "this end first",
			err:  wsproto.CloseError{Code: wsproto.NormalClosure, SentCode: 4000, SentReason: "done", SentFirst: true},
			text: `websocket: closed with code 4000 "done", answered with code 1000`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.err.Error(); got != test.text {
				t.Errorf("%s, want %s", got, test.text)
			}
			if got := test.err.PeerClosed(); got != test.peerClosed {
				t.Errorf("PeerClosed() = %v", got)
			}
		})
	}
}

func TestCloseStatus(t *testing.T) {
	closed := &wsproto.CloseError{Code: 4001}
	for _, test := range []struct {
		name string
		err  error
		want wsproto.CloseCode
	}{
		{name: "nil", want: 0},
		{name: "closed", err: closed, want: 4001},
		{name: "wrapped", err: fmt.Errorf("read: %w", closed), want: 4001},
		{name: "broken rule", err: &wsproto.ProtocolError{Code: wsproto.MessageTooBig}, want: wsproto.MessageTooBig},
		{name: "other", err: errors.New("reset"), want: wsproto.AbnormalClosure},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := wsproto.CloseStatus(test.err); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}
