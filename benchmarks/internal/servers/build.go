package servers

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ErrMissing is the error of Build if a compiler or a library is missing on this machine.
var ErrMissing = errors.New("cannot be built on this machine")

// DefaultDir returns the folder for binaries.
func DefaultDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the servers: %w", err)
	}
	return filepath.Join(cache, "myriad-benchmarks", "bin"), nil
}

// builder builds a server's binary and returns its version. module is the folder of the module
// benchmarks, path that of the binary.
type builder interface {
	build(module, path string) (version string, err error)
}

// Build builds the server into dir, which it creates if necessary, and sets Version. It runs the
// compiler each time. The working directory must be in the repository.
func (s *Server) Build(dir string) error {
	if s.builder == nil {
		return nil
	}
	module, err := moduleDir()
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	s.binary = filepath.Join(dir, s.Name)
	if s.Version, err = s.builder.build(module, s.binary); err != nil {
		return fmt.Errorf("server %s: %w", s.Name, err)
	}
	if s.TLS {
		if s.cert, err = Certificate(dir); err != nil {
			return fmt.Errorf("server %s: %w", s.Name, err)
		}
	}
	for _, other := range []*Server{s.forBroadcast, s.forTLS} {
		if other != nil {
			if err := other.Build(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// moduleDir finds the folder of this module, from anywhere in the repository.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		for _, d := range []string{dir, filepath.Join(dir, "benchmarks")} {
			b, err := os.ReadFile(filepath.Join(d, "go.mod"))
			if err == nil && strings.HasPrefix(string(b), "module "+root+"/benchmarks\n") {
				return d, nil
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("servers are built from source: run this in the repository of %s", root)
		}
		dir = filepath.Dir(dir)
	}
}

// run runs a command in a folder and returns its output, which is also part of an error.
func run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, text)
	}
	return text, nil
}

// goBuild builds a Go package. Its version is that of a module which the binary contains, or that
// of Go if module is "".
type goBuild struct{ pkg, module string }

func (b goBuild) build(module, path string) (string, error) {
	if _, err := run(module, "go", "build", "-o", path, b.pkg); err != nil {
		return "", err
	}
	switch b.module {
	case "":
		return runtime.Version(), nil
	case root:
		return revision(module), nil
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", err
	}
	for _, dep := range info.Deps {
		if dep.Path == b.module {
			return dep.Version, nil
		}
	}
	return "", fmt.Errorf("%s is not in the binary", b.module)
}

// revision returns the repository's commit and whether it has changes, or "" without git.
func revision(dir string) string {
	commit, err := run(dir, "git", "rev-parse", "--short=12", "HEAD")
	if err != nil {
		return ""
	}
	if changes, err := run(dir, "git", "status", "--porcelain", "--untracked-files=no"); err != nil || changes != "" {
		return commit + " with changes"
	}
	return commit
}

// cc builds a C file of peers/floor with a library, if that is not "".
type cc struct{ file, library string }

func (b cc) build(module, path string) (string, error) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		return "", fmt.Errorf("%w: gcc is missing (Debian: apt-get install gcc libc6-dev)", ErrMissing)
	}
	version, err := run(module, gcc, "-dumpfullversion")
	if err != nil {
		return "", err
	}
	args := []string{"-O2", "-Wall", "-o", path, b.file}
	if b.library != "" {
		args = append(args, "-l"+b.library)
		header := fmt.Sprintf("echo '#include <lib%s.h>' | %s -E - >/dev/null", b.library, gcc)
		if _, err := run(module, "sh", "-c", header); err != nil {
			return "", fmt.Errorf("%w: lib%[2]s is missing (Debian: apt-get install lib%[2]s-dev)",
				ErrMissing, b.library)
		}
	}
	_, err = run(filepath.Join(module, "peers", "floor"), gcc, args...)
	return "gcc " + version, err
}
