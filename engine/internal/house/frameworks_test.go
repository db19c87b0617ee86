package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// frameworks are modules that must reach the go.sum of nobody who does not import a module of ours
// that needs them: those in folders.
var frameworks = struct{ modules, folders []string }{
	modules: []string{
		"github.com/panjf2000/gnet", "github.com/lesismal/nbio", "github.com/tidwall/evio", "go.uber.org/zap",
	},
	folders: []string{"benchmarks", "engine/gnet", "wsproto/wsgnet"},
}

func TestFrameworksReachNobodyElse(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.Name() != "go.sum" && d.Name() != "go.mod" {
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if slices.Contains(frameworks.folders, filepath.ToSlash(folder)) {
			checked++
			return nil
		}
		for _, module := range frameworks.modules {
			if strings.Contains(string(text), module) {
				t.Errorf("%s has %s", filepath.Join(folder, d.Name()), module)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked != 2*len(frameworks.folders) {
		t.Errorf("%d files in the folders that may have them: the walk is broken", checked)
	}
}
