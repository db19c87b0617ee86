package tlslayer

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuideHasAllLimits: the table of docs/tls.md has every limit of Config, and names no field
// that does not exist. The Examples that the guide names exist.
func TestGuideHasAllLimits(t *testing.T) {
	page, err := os.ReadFile("../../docs/tls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Limits")
	table, _, _ = strings.Cut(table, "\n## ")
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\|[^|]*\\| `(\\w+)` \\|").FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	for _, name := range listed {
		if _, ok := reflect.TypeFor[Config]().FieldByName(name); !ok {
			t.Errorf("the table names %s, which does not exist", name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		limit := strings.HasPrefix(f.Name, "Max") || strings.HasSuffix(f.Name, "Timeout") || f.Name == "Processors"
		if limit && !slices.Contains(listed, f.Name) {
			t.Errorf("the table has no %s", f.Name)
		}
	}
	links := regexp.MustCompile(`\[(Example\w*)\]\(\.\./([\w/]+\.go)\)`)
	for _, m := range links.FindAllStringSubmatch(string(page), -1) {
		code, err := os.ReadFile("../../" + m[2])
		if err != nil || !strings.Contains(string(code), "\nfunc "+m[1]+"()") {
			t.Errorf("there is no %s in %s: %v", m[1], m[2], err)
		}
	}
}
