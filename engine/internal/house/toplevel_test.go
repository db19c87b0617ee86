package house

import (
	"os"
	"slices"
	"testing"
)

// topLevel is what stands in the root folder, besides dot-files.
var topLevel = []string{"LICENSE", "README.md", "benchmarks", "codec", "docs", "engine", "examples", "go.mod",
	"go.sum", "wsproto"}

// TestTopLevelIsFixed: a reader finds the same few folders in each version.
func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); name[0] != '.' && !slices.Contains(topLevel, name) {
			t.Errorf("%s stands in the root folder", name)
		}
	}
}
