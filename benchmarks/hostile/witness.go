package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/wsproto"
)

// longWait is the longest that well-behaved connections should wait.
const longWait = 20 * time.Millisecond

// report is what the connections that behave well have seen.
type report struct {
	Echoes        int
	P50, P99, Max time.Duration
	// Server is the most processor time that the server took while a connection waited. Other
	// processes of the machine make Max longer, but not this.
	Server time.Duration
	Failed string
}

func (r report) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%5d echoes, p50 %v, p99 %v, max %v; the server computed for up to %v of it", r.Echoes,
		round(r.P50), round(r.P99), round(r.Max), round(r.Server))
}

// witness is the process with connections that behave well.
type witness struct {
	cmd *exec.Cmd
	out *json.Decoder
}

func startWitness(a addresses, server, n int) (w witness, err error) {
	w.cmd = exec.Command(os.Args[0], "-behave", a.Echo, fmt.Sprintf("-pid=%d", server), fmt.Sprintf("-for=%v", *period),
		fmt.Sprintf("-conns=%d", n), fmt.Sprintf("-fair=%t", *fair), fmt.Sprintf("-tls=%t", *secure))
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err == nil {
		err = w.cmd.Start()
	}
	if err != nil {
		return w, err
	}
	w.out = json.NewDecoder(out)
	var ready bool
	return w, w.out.Decode(&ready)
}

// end waits for the end of the witness and returns what it saw.
func (w witness) end() (r report, err error) {
	err = w.out.Decode(&r)
	w.cmd.Wait()
	if err == nil && r.Failed != "" {
		err = fmt.Errorf("a well-behaved connection: %s", r.Failed)
	}
	return r, err
}

// runWitness is the process.
func runWitness() error {
	if err := proc.Pin(1); err != nil {
		return err
	}
	unix.Setpriority(unix.PRIO_PROCESS, 0, -15) // it is refused to users other than root
	var r report
	var mu sync.Mutex
	var all []time.Duration
	var open, done sync.WaitGroup
	begin := make(chan bool)
	for range *conns {
		open.Add(1)
		done.Go(func() {
			nc, err := openOnFirstLoop()
			open.Done()
			<-begin
			for until := time.Now().Add(*period); err == nil && time.Now().Before(until); {
				var wall, server time.Duration
				wall, server, err = askOnce(nc)
				mu.Lock()
				all = append(all, wall)
				r.Server = max(r.Server, server)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
			if err != nil {
				mu.Lock()
				r.Failed = err.Error()
				mu.Unlock()
			}
		})
	}
	open.Wait()
	fmt.Println(true)
	close(begin)
	done.Wait()
	if slices.Sort(all); len(all) > 0 {
		at := func(part float64) time.Duration { return all[min(len(all)-1, int(part*float64(len(all))))] }
		r.Echoes, r.P50, r.P99, r.Max = len(all), at(.5), at(.99), at(1)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// openOnFirstLoop opens a connection that the first loop serves: the others may be blocked.
func openOnFirstLoop() (net.Conn, error) {
	b := make([]byte, 3)
	hello := frame(wsproto.Header{Fin: true, Opcode: wsproto.Text}, []byte("loop"))
	for {
		nc, r, err := open(*behave, false)
		if err != nil {
			return nil, err
		}
		nc.Write(hello)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		if b[2] == 0 {
			return nc, nil
		}
		defer nc.Close() // so that the next one goes elsewhere
	}
}

var hello = frame(wsproto.Header{Fin: true, Opcode: wsproto.Text}, []byte("hello, world"))

// askOnce asks for an echo, and returns how long it took, and how long the server computed
// meanwhile.
func askOnce(nc net.Conn) (wall, server time.Duration, err error) {
	var b [14]byte
	before, begin := serverTime(), time.Now()
	nc.SetDeadline(begin.Add(10 * time.Second))
	nc.Write(hello)
	_, err = io.ReadFull(nc, b[:])
	wall = time.Since(begin)
	// The server has one processor: what is more than wall was after the answer, if this process
	// had to wait between the two clocks.
	return wall, min(wall, serverTime()-before), err
}

// serverTime returns how long the server has used a processor. The clock of a process is
// clock_getcpuclockid(3).
func serverTime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(int32(^*pid<<3|2), &t)
	return time.Duration(t.Nano())
}
