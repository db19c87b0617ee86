package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// machine describes a guest.
type machine struct {
	files             guestFiles
	qemu              string
	million, wsserver string // programs without a C library
	cpus              int
	memory            int64  // bytes; 0: what the connections need
	dir               string // for the initramfs and the console's log
}

// The memory that a guest needs, as measured. Per connection these are 8 KiB of kernel memory for
// both ends with their descriptors and entries in epoll, the memory of both processes while they
// collect garbage, and 1.5 KiB for an unread message of the broadcast.
const (
	memoryBase    = 400 << 20
	memoryPerConn = 10500
	memoryPerTLS  = 3500 // more, for both processes
	memoryPerMove = 1000 // more, for the second server
)

// run boots a guest for one trial and returns its result.
func (m machine) run(ctx context.Context, t trial) (*result, error) {
	memory := m.memory
	if memory == 0 {
		memory = memoryBase + int64(t.Conns)*memoryPerConn
		if t.TLS {
			memory += int64(t.Conns) * memoryPerTLS
		}
		if t.Handover {
			memory += int64(t.Conns) * memoryPerMove
		}
		if t.Clock == clockInstructions { // the server sends all before the client reads much
			memory += int64(t.Conns) * 2048
		}
	}
	if err := enough(memory); err != nil {
		return nil, err
	}
	initrd := filepath.Join(m.dir, "initramfs")
	if err := m.makeInitramfs(initrd, t); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, m.qemu, m.options(t, memory, initrd)...)
	var said bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &said, time.Second
	console, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(m.dir, fmt.Sprintf("console-%d.log", t.Conns)))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	progress("booting a guest with %.1f GiB, console in %s", gib(memory), log.Name())
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	quiet := 2 * patience
	if t.Clock == clockInstructions {
		quiet *= 10 // five seconds by this clock take a minute, and longer on a busy host
	}
	silent := time.AfterFunc(quiet, func() { cmd.Process.Kill() }) // it did not boot, or it hangs
	r, err := readConsole(console, log, func(format string, a ...any) {
		silent.Reset(quiet)
		progress(format, a...)
	})
	silent.Stop()
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return r, fmt.Errorf("%w\n%s", err, said.String())
	}
	if r == nil {
		return nil, fmt.Errorf("the guest ended without a result: see %s", log.Name())
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// options returns QEMU's arguments.
func (m machine) options(t trial, memory int64, initrd string) []string {
	processors, khz := emulation(t.Clock, m.cpus)
	kernel := fmt.Sprintf("console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 tsc=reliable "+
		"tsc_early_khz=%d thash_entries=%d", khz, max(2*t.Conns, 1<<16))
	processor := "Nehalem" // newer ones have five levels of page tables, which cost more to emulate
	if t.TLS {
		processor = "Westmere" // it has instructions for AES
	}
	options := []string{
		"-M", "microvm,x-option-roms=off,isa-serial=on,rtc=on",
		"-cpu", processor,
		"-m", fmt.Sprintf("%dM", memory>>20),
		"-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", m.files.kernel, "-initrd", initrd, "-append", kernel,
	}
	return append(options, processors...)
}

//go:embed init.sh
var initScript string

// makeInitramfs writes the guest's files, which it has instead of a disk.
func (m machine) makeInitramfs(name string, t trial) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	a := initramfs{w: f}
	a.add("init", 0o755, []byte(fillScript(t)))
	for _, p := range []struct{ to, from string }{
		{"bin/busybox", m.files.busybox}, {"million", m.million}, {"wsserver", m.wsserver},
	} {
		content, err := os.ReadFile(p.from)
		if err != nil {
			return err
		}
		a.add(p.to, 0o755, content)
	}
	for _, d := range []string{"proc", "sys", "dev", "tmp"} {
		a.mkdir(d)
	}
	return a.close()
}

// fillScript returns the guest's init for a trial.
func fillScript(t trial) string {
	args := fmt.Sprintf("-guest -conns %d -window %d -size %d -gogc %d -clock %s -tls=%t -handover=%t",
		t.Conns, t.Window, t.Size, t.GOGC, t.Clock, t.TLS, t.Handover)
	return strings.NewReplacer("FILES", strconv.Itoa(t.Conns+1000), "ARGS", args).Replace(initScript)
}

// enough returns an error if the host does not have enough memory for a guest. A guest that swaps
// would measure nothing, and the kernel might kill other processes.
func enough(memory int64) error {
	m, err := readSystem("/proc")
	if err != nil {
		return err
	}
	const reserve = 1 << 30
	if m.Available < memory+reserve {
		return fmt.Errorf("the guest may need %.1f GiB and %.1f are available: "+
			"try fewer connections (-conns) or less memory (-memory)", gib(memory), gib(m.Available))
	}
	return nil
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }
