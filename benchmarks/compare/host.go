package main

import (
	"bufio"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// hostFacts returns what a reader must know about this machine, without its name.
func hostFacts() results.Host {
	memory, _ := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", "MemTotal", ":"), " kB"), 64)
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return results.Host{
		CPU:    field("/proc/cpuinfo", "model name", ":"),
		Cores:  runtime.NumCPU(),
		Memory: math.Round(memory / (1 << 20)),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME", "="), `"`),
		Kernel: strings.TrimSpace(string(kernel)),
		Go:     runtime.Version(),
		GCC:    output("gcc", "--version"),
	}
}

// field returns the value in a line "name: value" of a file, or "" if there is none.
func field(file, name, separator string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, ok := strings.Cut(lines.Text(), separator); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// output returns the first line that a command prints, or "" if it fails.
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// commit returns the checkout's commit, with a + if files outside of docs are changed. Reports are
// written to docs.
func commit() string {
	return output("git", "rev-parse", "--short=12", "HEAD") + changed(":/", ":(exclude,top)docs")
}

// ourVersion returns the last commit that changed what is measured, so that other commits do not
// make results outdated.
func ourVersion() string {
	parts := []string{":/go.mod", ":/engine", ":/wsproto", ":/codec", ":/examples", ":/benchmarks/wsserver"}
	log := append([]string{"log", "-1", "--format=%h", "--abbrev=12", "--"}, parts...)
	return output("git", log...) + changed(parts...)
}

func changed(parts ...string) string {
	if output("git", append([]string{"status", "--porcelain", "--untracked-files=no", "--"}, parts...)...) != "" {
		return "+"
	}
	return ""
}
