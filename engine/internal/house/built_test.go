package house

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryTestIsBuilt on a system that is supported. One in a file whose name ends in that of
// another, such as _windows_test.go, is not, and nobody misses it.
func TestEveryTestIsBuilt(t *testing.T) {
	var contexts []build.Context
	for _, system := range []string{"linux", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly"} {
		for _, processor := range []string{"amd64", "arm64", "386"} {
			c := build.Default
			c.GOOS, c.GOARCH = system, processor
			contexts = append(contexts, c)
			c.BuildTags = []string{"race"}
			contexts = append(contexts, c)
		}
	}
	files := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		files++
		if !slices.ContainsFunc(contexts, func(c build.Context) bool {
			built, err := c.MatchFile(filepath.Dir(file), d.Name())
			return built && err == nil
		}) {
			t.Errorf("%s is built on no system that is supported", file)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Fatal(files, err)
	}
}
