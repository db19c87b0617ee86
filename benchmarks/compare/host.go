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

// hostFacts are what a reader has to know of this machine, and nothing that names it.
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

// field is the value of a line "name: value" of a file, empty if there is none.
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

// output is the first line that a command prints, empty if it fails.
func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

// commit is the checkout's, with a + if files are changed. The documents do not count: reports are written there.
func commit() string {
	return output("git", "rev-parse", "--short=12", "HEAD") + changed(":/", ":(exclude,top)docs")
}

// ourVersion is the last commit that has changed what is measured, so that no other makes results old.
func ourVersion() string {
	parts := []string{":/go.mod", ":/engine", ":/wsproto", ":/codec", ":/examples"}
	return output("git", append([]string{"log", "-1", "--format=%h", "--abbrev=12", "--"}, parts...)...) + changed(parts...)
}

func changed(parts ...string) string {
	if output("git", append([]string{"status", "--porcelain", "--untracked-files=no", "--"}, parts...)...) != "" {
		return "+"
	}
	return ""
}
