package wsgnet_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/wsgnet"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	logging.SetDefaultLoggerAndFlusher(quiet{}, nil)
	os.Exit(m.Run())
}

// quiet is a logger that logs nothing.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// booted is a Server that tells its engine.
type booted struct {
	*wsgnet.Server
	engine chan gnet.Engine
}

func (b booted) OnBoot(e gnet.Engine) gnet.Action {
	b.engine <- e
	return gnet.None
}

// serve runs s on gnet until the test ends, and returns its address.
func serve(t *testing.T, s *wsgnet.Server) string {
	t.Helper()
	address, _ := serveOn(t, s)
	return address
}

// serveOn is serve, and returns the engine too.
func serveOn(t *testing.T, s *wsgnet.Server) (string, gnet.Engine) {
	t.Helper()
	b := booted{s, make(chan gnet.Engine, 1)}
	ended := make(chan error, 1)
	go func() { ended <- gnet.Run(b, "tcp://127.0.0.1:0") }()
	var e gnet.Engine
	select {
	case e = <-b.engine:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		go e.Stop(ctx) // it looks only twice a second whether the engine has ended
		if err := receive(t, ended); err != nil {
			t.Error(err)
		}
	})
	fd, err := e.Dup()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String(), e
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func echo(c *wsgnet.Conn, op wsproto.Opcode, data []byte) { c.Send(op, data) }
