// Package gnetpeer runs the peers that are on github.com/panjf2000/gnet.
package gnetpeer

import (
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

// Run serves h by one loop, which also accepts (WithReusePort): gnet's other way has a second
// poller for accepting, which costs a switch per connection. It does not return. With webSocket,
// connections are accepted as by peer.ListenWebSocket.
func Run(h gnet.EventHandler, o peer.Options, webSocket bool) {
	log.Fatal(gnet.Run(&announced{h, webSocket}, "tcp://"+o.Addr,
		gnet.WithNumEventLoop(1), gnet.WithReusePort(true), gnet.WithLogger(quiet{})))
}

// quiet logs nothing: gnet logs to the standard output, and connections that peers reset.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

// announced prints the address when h is ready.
type announced struct {
	gnet.EventHandler
	webSocket bool
}

func (a *announced) OnBoot(e gnet.Engine) gnet.Action {
	fd, err := e.Dup()
	if err != nil {
		log.Fatal(err)
	}
	if a.webSocket {
		if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 1); err != nil {
			log.Fatal(err)
		}
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	ln, err := net.FileListener(f)
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	fmt.Printf("%s: listening on %v\n", filepath.Base(os.Args[0]), ln.Addr())
	return a.EventHandler.OnBoot(e)
}
