package sim_test

import (
	"bytes"
	"fmt"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// upper is the smallest loop: it answers with what it gets in upper case, and reads once per event.
type upper struct {
	loop
	conns  map[driver.Token]int // descriptors
	buffer [100]byte
}

func (u *upper) Accepted(_ driver.Token, fd int) (again bool) {
	t := driver.MakeToken(uint32(fd), 1)
	u.conns[t] = fd
	u.Register(fd, t, driver.Read)
	return true
}

func (u *upper) Reading(t driver.Token) (fd int, buf []byte) { return u.conns[t], u.buffer[:] }

func (u *upper) Received(t driver.Token, b []byte, _ bool) (again bool) {
	u.Write(u.conns[t], bytes.ToUpper(b))
	return false
}

func (u *upper) ReadClosed(t driver.Token) { u.Close(u.conns[t], false) }

func (u *upper) Awake()                           {}
func (u *upper) Writable(driver.Token)            {}
func (u *upper) Failed(driver.Token, error)       {}
func (u *upper) AcceptFailed(driver.Token, error) {}
func (u *upper) Datagrams(driver.Token)           {}

// A loop on a simulated network, and a client of it. Each Poll is a step; nothing waits.
func Example() {
	n := sim.New(sim.Config{Seed: 1})
	u := &upper{loop: open(n), conns: map[driver.Token]int{}}
	fd, err := n.Listen("tcp", "192.0.2.80:80", driver.ListenOptions{})
	if err != nil {
		panic(err)
	}
	u.RegisterListener(fd, driver.MakeToken(driver.ListenerBit, 1))

	client := n.Dial(n.Addr(fd))
	client.Send([]byte("hello"))
	for !n.Idle() {
		u.Poll(0, u)
	}
	fmt.Printf("%s at %v\n", client.Recv(100), n.Now())

	u.Poll(time.Hour, u) // the clock is the network's
	fmt.Println("now", n.Now())

	client.Close()
	u.Poll(0, u)
	fmt.Println(n.Descriptors(), "descriptor open,", n.Check())
	// Output:
	// HELLO at 0s
	// now 1h0m0s
	// 1 descriptor open, <nil>
}
