// Package proctest starts programs in tests.
package proctest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Start starts a program, and ends it when the test ends. It returns the address that the program
// listens on, which is in the first line that it prints. The error is that it printed something
// else.
func Start(t testing.TB, argv ...string) (address string, err error) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), ": listening on ")
	if err != nil || !ok {
		return "", fmt.Errorf("%q printed %q: %v", argv, line, err)
	}
	return address, nil
}
