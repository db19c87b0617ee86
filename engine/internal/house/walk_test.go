package house

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the root module's folder.
var root = filepath.Join("..", "..", "..")

// walk calls f for each folder of the root module, with the names of its Go files without tests.
func walk(t *testing.T, f func(folder string, files []string)) {
	t.Helper()
	folders := make(map[string][]string)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			_, nested := os.Stat(filepath.Join(file, "go.mod"))
			out := nested == nil || name[0] == '.' || name[0] == '_' || name == "testdata" || name == "bin"
			if out && file != root {
				return filepath.SkipDir
			}
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			folder, err := filepath.Rel(root, filepath.Dir(file))
			if err != nil {
				return err
			}
			folder = filepath.ToSlash(folder)
			folders[folder] = append(folders[folder], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 10 {
		t.Fatalf("only %d folders seen: the walk is broken", len(folders))
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		f(folder, folders[folder])
	}
}
