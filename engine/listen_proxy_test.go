package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// loopbackNet are the addresses that the tests' proxies have.
var loopbackNet = netip.MustParsePrefix("127.0.0.0/8")

// header4 is a header of version 1, of a client with a port.
func header4(ip string, port int) string {
	return fmt.Sprintf("PROXY TCP4 %s 203.0.113.5 %d 443\r\n", ip, port)
}

// header2 is a header of version 2.
func header2(t testing.TB, h engine.ProxyHeader) string {
	t.Helper()
	b, err := h.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func addrs(source, destination string) engine.ProxyHeader {
	return engine.ProxyHeader{Source: netip.MustParseAddrPort(source),
		Destination: netip.MustParseAddrPort(destination)}
}

// behindProxy says on each connection what it sees of it, and echoes.
func behindProxy(c *engine.Conn) engine.Protocol {
	fmt.Fprintf(writer{c}, "%v %v %v|", c.RemoteAddr(), c.LocalAddr(), c.ProxyHeader() != nil)
	return echoOn(c)
}

// writer is a Conn as an io.Writer.
type writer struct{ c *engine.Conn }

func (w writer) Write(b []byte) (int, error) { return w.c.Write(b) }

// listenProxy is a server behind a proxy, on TCP.
func listenProxy(t testing.TB, c engine.Config, lc engine.ListenConfig,
	accept func(*engine.Conn) engine.Protocol) *server {
	t.Helper()
	s := serve(t, c, echoes)
	ln, err := lc.Listen(s.Engine, "tcp", "127.0.0.1:0", accept)
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	return s
}

func trusting(pc engine.ProxyConfig) engine.ListenConfig {
	pc.Trusted = []netip.Prefix{loopbackNet}
	return engine.ListenConfig{Proxy: &pc}
}

// said sends text, closes that half, and returns all that comes.
func said(t testing.TB, c net.Conn, text string) string {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, text)
	c.(interface{ CloseWrite() error }).CloseWrite()
	b, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	return string(b)
}

// TestProxyHeader: every kind of header, whole, with data behind it, and byte by byte.
func TestProxyHeader(t *testing.T) {
	s := listenProxy(t, engine.Config{Loops: 2}, trusting(engine.ProxyConfig{}), behindProxy)
	tlvs := addrs("192.0.2.1:1", "203.0.113.5:443")
	tlvs.AddTLV(engine.ProxyAuthority, []byte("example.com"))
	tlvs.AddTLV(engine.ProxyCRC32C, make([]byte, 4))
	tlvs.AddTLV(0xe7, make([]byte, 3000))
	for _, test := range []struct{ name, header, want string }{
		{"version 1, IPv4", header4("192.0.2.1", 1), "192.0.2.1:1 203.0.113.5:443 true|"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", "[2001:db8::1]:1 [2001:db8::2]:2 true|"},
		{"version 1, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", "192.0.2.1:1 192.0.2.2:2 true|"},
		{"version 1, unknown", "PROXY UNKNOWN what ever\r\n", "PEER LOCAL true|"},
		{"version 2, IPv4", header2(t, addrs("192.0.2.1:1", "203.0.113.5:443")), "192.0.2.1:1 203.0.113.5:443 true|"},
		{"version 2, IPv6", header2(t, addrs("[2001:db8::1]:1", "[2001:db8::2]:2")),
			"[2001:db8::1]:1 [2001:db8::2]:2 true|"},
		{"version 2, unix", header2(t, engine.ProxyHeader{SourcePath: "/a", DestinationPath: "/b"}),
			"invalid AddrPort invalid AddrPort true|"},
		{"version 2, local", header2(t, engine.ProxyHeader{Local: true}), "PEER LOCAL true|"},
		{"version 2, TLVs", header2(t, tlvs), "192.0.2.1:1 203.0.113.5:443 true|"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, split := range []int{1, 13, 1 << 20} {
				c := s.dial(t)
				text := test.header + "hello"
				ends := strings.NewReplacer("PEER", c.LocalAddr().String(), "LOCAL", c.RemoteAddr().String())
				want := ends.Replace(test.want)
				for len(text) > split && split > 1 || len(text) > 5 && split == 1 {
					io.WriteString(c, text[:split])
					text = text[split:]
					if len(text) > 3000 && split == 1 {
						io.WriteString(c, text[:2900])
						text = text[2900:]
					}
				}
				if got := said(t, c, text); got != want+"hello" {
					t.Errorf("in pieces of %d: %q, want %q", split, got, want+"hello")
				}
			}
		})
	}
}

// TestProxyHeaderIsRefused: what is no header resets the connection, accept is not called, and the
// log names the section.
func TestProxyHeaderIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, text string
		config     engine.ProxyConfig
		section    string
	}{
		{"none", "GET / HTTP/1.1\r\n\r\n", engine.ProxyConfig{}, "section 2.2)"},
		{"version 1", header4("192.0.2.1", 65536), engine.ProxyConfig{}, "section 2.1)"},
		{"version 2", "\r\n\r\n\x00\r\nQUIT\n\x11", engine.ProxyConfig{}, "section 2.2)"},
		{"too long", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x10\x00", engine.ProxyConfig{}, "section 2.2)"},
		{"checksum", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13abcdabcdabab\x03\x00\x04abcd",
			engine.ProxyConfig{}, "section 2.2.3)"},
		{"too late", "PROXY TCP4", engine.ProxyConfig{Timeout: 20 * time.Millisecond}, "section 2)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var accepted, observed atomic.Int32
			s := listenProxy(t, engine.Config{Loops: 1, Observer: engine.Observer{
				Opened: func(*engine.Conn) { observed.Add(1) },
				Closed: func(*engine.Conn, error) { observed.Add(1) },
			}}, trusting(test.config), func(c *engine.Conn) engine.Protocol {
				accepted.Add(1)
				return echoOn(c)
			})
			c := s.dial(t)
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, test.text)
			if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the peer reads %q, %v", b, err)
			}
			eventually(t, "it is counted", func() bool { return stats(t, s.Engine).Refused[engine.RefusedProxy] == 1 })
			if accepted.Load() != 0 || observed.Load() != 0 {
				t.Errorf("accept was called %d times, the Observer %d times", accepted.Load(), observed.Load())
			}
			peer := c.LocalAddr().String()
			if text := s.log.String(); !strings.Contains(text, test.section) || !strings.Contains(text, peer) {
				t.Errorf("the log has no %q, or not the peer: %q", test.section, text)
			}
		})
	}
}

// TestProxyHeaderOfStrangers: they are refused at once, or are clients whose headers are data.
func TestProxyHeaderOfStrangers(t *testing.T) {
	for _, test := range []struct {
		name string
		lc   engine.ListenConfig
		want bool
	}{
		{"refused", engine.ListenConfig{Proxy: &engine.ProxyConfig{Trusted: []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("::/0")}}}, false},
		{"served", engine.ListenConfig{Proxy: &engine.ProxyConfig{ServeUntrusted: true,
			Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listenProxy(t, engine.Config{Loops: 2}, test.lc, behindProxy)
			c := s.dial(t)
			header := header4("192.0.2.1", 1)
			want := fmt.Sprintf("%v %v false|%s", c.LocalAddr(), c.RemoteAddr(), header)
			if !test.want {
				want = ""
			}
			if got := said(t, c, header); got != want {
				t.Errorf("the peer reads %q, want %q", got, want)
			}
			if n := stats(t, s.Engine).Refused[engine.RefusedProxy]; (n == 0) != test.want {
				t.Errorf("%d are counted as refused", n)
			}
			if strings.Contains(s.log.String(), "section 2)") == test.want {
				t.Errorf("the log has %q", s.log.String())
			}
		})
	}
}

// TestProxyServeHeaderless: a connection without a header is one of the proxy itself.
func TestProxyServeHeaderless(t *testing.T) {
	s := listenProxy(t, engine.Config{Loops: 1}, trusting(engine.ProxyConfig{ServeHeaderless: true}), behindProxy)
	c := s.dial(t)
	want := fmt.Sprintf("%v %v false|PRO-hello", c.LocalAddr(), c.RemoteAddr())
	io.WriteString(c, "PRO") // may still become a header
	if got := said(t, c, "-hello"); got != want {
		t.Errorf("the peer reads %q, want %q", got, want)
	}
	if got := said(t, s.dial(t), header4("192.0.2.1", 1)+"hello"); got != "192.0.2.1:1 203.0.113.5:443 true|hello" {
		t.Errorf("with a header it reads %q", got)
	}
	if got := said(t, s.dial(t), header4("192.0.2.1", 77777)+"hello"); got != "" {
		t.Errorf("with a bad header it reads %q", got)
	}
}

// TestProxyMaxPerAddress: clients behind one proxy are counted each, also those that go to a
// goroutine and come back.
func TestProxyMaxPerAddress(t *testing.T) {
	lc := trusting(engine.ProxyConfig{})
	lc.MaxPerAddress, lc.MaxConnections = 2, 5
	s := listenProxy(t, engine.Config{Loops: 2}, lc, behindProxy)
	for round := range 3 {
		var open []net.Conn
		enter := func(ip string) bool {
			c := s.dial(t)
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, header4(ip, 4000+len(open)))
			if _, err := c.Read(make([]byte, 1)); err != nil {
				return false
			}
			open = append(open, c)
			return true
		}
		for i, ip := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"} {
			if !enter(ip) {
				t.Fatalf("connection %d of round %d is refused", i, round)
			}
		}
		if enter("192.0.2.1") {
			t.Fatal("a third one of a client is served")
		}
		eventually(t, "it is counted", func() bool {
			return stats(t, s.Engine).Refused[engine.RefusedAddress] == uint64(round+1)
		})
		for _, c := range open {
			c.Close()
		}
		eventually(t, "all are closed", func() bool { return stats(t, s.Engine).Connections == 0 })
	}
	if n := stats(t, s.Engine).Held; n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}

// TestProxyMaxWaiting: a connection that waits for its header costs a place among those, and a
// shutdown does not wait for it.
func TestProxyMaxWaiting(t *testing.T) {
	lc := trusting(engine.ProxyConfig{MaxWaiting: 2, Timeout: time.Hour})
	s := listenProxy(t, engine.Config{Loops: 1}, lc, behindProxy)
	waiting := []net.Conn{s.dial(t), s.dial(t)}
	eventually(t, "two wait", func() bool { return stats(t, s.Engine).Connections == 2 })
	third, err := net.Dial("tcp", s.ln.String())
	if err == nil {
		third.SetDeadline(time.Now().Add(patience))
		_, err = third.Read(make([]byte, 1))
		third.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("a third one may wait: %v", err)
	}
	st := stats(t, s.Engine)
	if st.Refused[engine.RefusedProxy] != 1 || st.Closed[engine.CauseRefused] != 1 {
		t.Errorf("refused %v, closed %v", st.Refused, st.Closed)
	}
	for range 3 { // each gives its place back, also one that is served
		waiting[0].Close()
		eventually(t, "one has left", func() bool { return stats(t, s.Engine).Connections == 1 })
		if got := said(t, s.dial(t), header4("192.0.2.1", 1)+"hello"); !strings.HasSuffix(got, "hello") {
			t.Fatalf("with a header it reads %q", got)
		}
		eventually(t, "it has left", func() bool { return stats(t, s.Engine).Connections == 1 })
		waiting[0] = s.dial(t)
		eventually(t, "another one waits", func() bool { return stats(t, s.Engine).Connections == 2 })
	}
}

// dialWith is dial, and sends something.
func (s *server) dialWith(t *testing.T, text string) net.Conn {
	t.Helper()
	c := s.dial(t)
	io.WriteString(c, text)
	return c
}

// TestProxyUnix: on a unix socket all are trusted, or nobody can listen.
func TestProxyUnix(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	path := filepath.Join(t.TempDir(), "socket")
	lc := engine.ListenConfig{Proxy: &engine.ProxyConfig{TrustUnix: true}, MaxPerAddress: 1}
	ln, err := lc.Listen(s.Engine, "unix", path, behindProxy)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, header4(ip, 1)+"hello")
		want := ip + ":1 203.0.113.5:443 true|hello"
		b := make([]byte, len(want))
		if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
			t.Errorf("the peer reads %q, %v, want %q", b, err, want)
		}
	}
}

// TestProxyConfigIsChecked: nobody trusted is a mistake, as are prefixes that match nobody.
func TestProxyConfigIsChecked(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	for _, test := range []struct {
		name, network, address string
		lc                     engine.ListenConfig
		want                   string
	}{
		{"nobody", "tcp", "127.0.0.1:0", engine.ListenConfig{Proxy: &engine.ProxyConfig{}}, "Trusted is empty"},
		{"nobody but unix", "tcp", "127.0.0.1:0",
			engine.ListenConfig{Proxy: &engine.ProxyConfig{TrustUnix: true}}, "Trusted is empty"},
		{"unix", "unix", filepath.Join(t.TempDir(), "s"), trusting(engine.ProxyConfig{}), "TrustUnix"},
		{"zero prefix", "tcp", "127.0.0.1:0",
			engine.ListenConfig{Proxy: &engine.ProxyConfig{Trusted: make([]netip.Prefix, 1)}}, "want the prefix"},
		{"mapped", "tcp", "127.0.0.1:0", engine.ListenConfig{Proxy: &engine.ProxyConfig{
			Trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}}, "want the prefix"},
		{"by address", "tcp", "127.0.0.1:0", engine.ListenConfig{PlaceByAddress: true,
			Proxy: &engine.ProxyConfig{Trusted: []netip.Prefix{loopbackNet}}}, "PlaceByAddress"},
	} {
		_, err := test.lc.Listen(s.Engine, test.network, test.address, echoes)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestProxyReleaseAndAdopt: the net.Conn has the client's addresses, and so has the connection when
// it comes back, whose place is still taken.
func TestProxyReleaseAndAdopt(t *testing.T) {
	lc := trusting(engine.ProxyConfig{})
	lc.MaxPerAddress = 1
	taken := make(chan error, 1)
	s := listenProxy(t, engine.Config{Loops: 2}, lc, func(c *engine.Conn) engine.Protocol {
		e, place := c.Engine(), c.KeepPlace()
		c.Release(func(nc net.Conn, unread, _ []byte, err error) {
			go func() {
				got := nc.RemoteAddr().String() + " " + nc.LocalAddr().String()
				if got != "192.0.2.1:1 203.0.113.5:443" {
					err = errors.Join(err, fmt.Errorf("the net.Conn has %s", got))
				}
				ac := engine.AdoptConfig{Place: place}
				taken <- errors.Join(err, ac.Adopt(e, nc, unread, behindProxy))
			}()
		})
		return echoOn(c)
	})
	c := s.dial(t)
	io.WriteString(c, header4("192.0.2.1", 1)+"hello")
	if err := receive(t, "it is adopted", taken); err != nil {
		t.Fatal(err)
	}
	const want = "192.0.2.1:1 203.0.113.5:443 true|hello"
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Errorf("the peer reads %q, %v", b, err)
	}
	other := s.dial(t)
	if got := said(t, other, header4("192.0.2.1", 2)+"hello"); got != "" {
		t.Errorf("a second one of the client reads %q", got)
	}
}

// TestProxyPausedInAccept: a Protocol that was set during Feed was fed although reading was paused.
func TestProxyPausedInAccept(t *testing.T) {
	conns := make(chan engine.Handle, 1)
	fed := make(chan string, 10)
	s := listenProxy(t, engine.Config{Loops: 1}, trusting(engine.ProxyConfig{}), func(c *engine.Conn) engine.Protocol {
		c.PauseRead()
		conns <- c.Handle()
		return &proto{feed: func(b []byte) (int, error) { fed <- string(b); return len(b), nil }}
	})
	s.dialWith(t, header4("192.0.2.1", 1)+"hello")
	h := receive(t, "accept is called", conns)
	stats(t, s.Engine) // the turn is over
	select {
	case text := <-fed:
		t.Fatalf("fed %q while reading is paused", text)
	default:
	}
	h.Post(func(c *engine.Conn) { c.ResumeRead() })
	if text := receive(t, "Feed", fed); text != "hello" {
		t.Errorf("fed %q", text)
	}
}

// TestDialProxy: the header goes first, and what it says is seen.
func TestDialProxy(t *testing.T) {
	s := listenProxy(t, engine.Config{Loops: 2}, trusting(engine.ProxyConfig{}), behindProxy)
	v2 := addrs("[2001:db8::1]:1", "[2001:db8::2]:2")
	v2.AddTLV(engine.ProxyCRC32C, make([]byte, 4))
	v1 := addrs("192.0.2.1:1", "203.0.113.5:443")
	v1.Version = 1
	for _, h := range []engine.ProxyHeader{v1, v2} {
		answers := make(chan string, 10)
		err := s.Engine.Dial(context.Background(), "tcp", s.ln.Addr().String(), engine.DialConfig{Proxy: &h},
			func(c *engine.Conn, err error) engine.Protocol {
				if err != nil {
					answers <- err.Error()
					return nil
				}
				c.Write([]byte("hello"))
				return &proto{feed: func(b []byte) (int, error) {
					if !strings.HasSuffix(string(b), "hello") {
						return 0, nil
					}
					answers <- string(b)
					return len(b), nil
				}}
			})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%v %v true|hello", h.Source, h.Destination)
		if got := receive(t, "the answer", answers); got != want {
			t.Errorf("the answer is %q, want %q", got, want)
		}
	}
	bad := engine.ProxyHeader{Source: v1.Source}
	err := s.Engine.Dial(context.Background(), "tcp", s.ln.Addr().String(), engine.DialConfig{Proxy: &bad},
		func(*engine.Conn, error) engine.Protocol { return nil })
	if err == nil || !strings.Contains(err.Error(), "one address") {
		t.Errorf("a header that cannot be sent: %v", err)
	}
}

// TestProxyObserver: it hears of a connection when the client's address is known, once.
func TestProxyObserver(t *testing.T) {
	seen := make(chan string, 10)
	s := listenProxy(t, engine.Config{Loops: 1, Observer: engine.Observer{
		Opened: func(c *engine.Conn) { seen <- "opened " + c.RemoteAddr().String() },
		Closed: func(c *engine.Conn, reason error) { seen <- "closed " + c.RemoteAddr().String() },
	}}, trusting(engine.ProxyConfig{}), func(c *engine.Conn) engine.Protocol {
		seen <- "accepted " + c.RemoteAddr().String()
		return echoOn(c)
	})
	said(t, s.dial(t), header4("192.0.2.1", 1))
	for _, want := range []string{"accepted", "opened", "closed"} {
		if got := receive(t, want, seen); got != want+" 192.0.2.1:1" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestReleaseThenPanicBehindAHeader: the new owner got the header again, as if it were data.
func TestReleaseThenPanicBehindAHeader(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol { return echoOn(c) })
	got := make(chan string, 1)
	lc := engine.ListenConfig{Proxy: &engine.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	ln, err := lc.Listen(s.Engine, "tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		c.Release(func(nc net.Conn, unread, _ []byte, _ error) {
			got <- fmt.Sprintf("%v %s", nc.RemoteAddr(), unread)
			nc.Close()
		})
		panic("in accept")
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /"))
	if g := receive(t, "connection", got); g != "192.0.2.1:1 GET /" {
		t.Errorf("released with %q", g)
	}
}
