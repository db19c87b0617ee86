package wsconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/wsproto"
)

// TestCloseThatCannotBeAnswered: a peer that closes and takes no answer has closed all the same.
// The reason was that of the answer, such as the end of the context of Read.
func TestCloseThatCannotBeAnswered(t *testing.T) {
	for name, read := range map[string]func(c *wsconn.Conn, answers <-chan bool){
		"Read": func(c *wsconn.Conn, answers <-chan bool) {
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-answers
				cancel()
			}()
			if _, _, err := c.Read(ctx); wsconn.CloseStatus(err) != wsconn.NormalClosure {
				t.Errorf("Read: %v", err)
			}
		},
		"NetConn": func(c *wsconn.Conn, answers <-chan bool) {
			nc := c.NetConn(wsconn.Binary)
			go func() {
				<-answers
				nc.SetReadDeadline(time.Now())
			}()
			if _, err := nc.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("Read: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			client, server := connect(t, a, b, nil)
			defer client.CloseNow()
			answers := make(chan bool)
			go func() {
				a.Write(wsproto.AppendMasked(nil, wsproto.Close, 7, []byte{3, 232}))
				a.Read(make([]byte, 1)) // and no more
				close(answers)
			}()
			read(server, answers)
		})
	}
}

// TestNetConnReadsNoDeadlineOfWrite: a deadline that passed in Write ended the connection, and
// every later Read returned it as if it were its own. Who reads again after a deadline did so for
// ever.
func TestNetConnReadsNoDeadlineOfWrite(t *testing.T) {
	a, b := net.Pipe()
	client, server := connect(t, a, b, nil)
	defer client.CloseNow()
	nc := server.NetConn(wsconn.Binary)
	go func() {
		a.Read(make([]byte, 1)) // of the message
		nc.SetWriteDeadline(time.Now())
	}()
	if _, err := nc.Write(make([]byte, 1000)); err != os.ErrDeadlineExceeded {
		t.Errorf("Write: %v", err)
	}
	for _, passed := range []bool{false, true} {
		if passed {
			nc.SetReadDeadline(time.Now())
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
	}
}
