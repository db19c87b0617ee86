package tlslayer_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http/httptest"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// upper is a Protocol that answers once.
type upper struct{ conn *engine.Conn }

func (p upper) Feed(src []byte) (int, error) {
	p.conn.Write(append([]byte("you said "), src...))
	p.conn.Close()
	return len(src), nil
}

func (p upper) Closed(error) {}

func Example() {
	certs := httptest.NewTLSServer(nil) // for a certificate
	certs.Close()
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: certs.TLS.Certificates}})
	if err != nil {
		panic(err)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		panic(err)
	}
	lc := engine.ListenConfig{Layer: layer.Server()}
	ln, err := lc.Listen(e, "tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol { return upper{c} })
	if err != nil {
		panic(err)
	}
	go e.Run(context.Background())
	defer e.Close()

	c, err := tls.Dial("tcp", ln.String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	c.Write([]byte("hello"))
	b := make([]byte, 100)
	n, _ := c.Read(b)
	fmt.Println(string(b[:n]))
	// Output: you said hello
}
