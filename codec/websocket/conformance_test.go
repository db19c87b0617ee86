package websocket_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// clauses is how often each section of the RFCs says MUST (or MUST NOT; SHALL and REQUIRED do not
// come up), but for section 2 of each, which defines the words.
var clauses = map[string]map[string]int{
	"RFC 6455": {"3": 2, "4.1": 39, "4.2.1": 1, "4.2.2": 10, "4.3": 1, "4.4": 1, "5.1": 4, "5.2": 10, "5.3": 4,
		"5.4": 10, "5.5": 2,
		"5.5.1": 6, "5.5.2": 1, "5.6": 1, "5.8": 1, "6.1": 8, "6.2": 5, "7.1.2": 1, "7.1.7": 3, "7.2.1": 2, "7.2.2": 1,
		"7.4.1": 3,
		"8.1":   1, "9": 2, "9.1": 5, "10.3": 1, "10.4": 1, "10.6": 1, "10.7": 1, "11.1.1": 2, "11.1.2": 2, "11.3.1": 1,
		"11.3.2": 1,
		"11.3.3": 1, "11.3.4": 1, "11.3.5": 1},
	"RFC 7692": {"4": 2, "5": 11, "6.1": 4, "6.2": 2, "7": 2, "7.1.1.2": 1, "7.1.2.1": 2, "7.1.2.2": 3, "7.2.1": 7,
		"7.2.2": 6},
	"PROXY protocol": {"2": 7, "2.2": 1, "2.2.3": 3}, "RFC 7239": {"4": 1},
}

// TestConformancePage: docs/conformance.md quotes every clause, and what it names exists.
func TestConformancePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	index := indexSource(t)
	names := regexp.MustCompile("`[^`]*`")
	for _, name := range regexp.MustCompile("`[a-z/]+\\.(Test|Fuzz)[A-Za-z0-9]*`").FindAllString(string(page), -1) {
		if index.tests[strings.Trim(name, "`")] == "" {
			t.Errorf("there is no test %s", name)
		}
	}
	quoted := map[string]map[string]int{"RFC 6455": {}, "RFC 7692": {}, "PROXY protocol": {}, "RFC 7239": {}}
	rfc, section := "", ""
	for i, line := range strings.Split(string(page), "\n") {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			rfc, _, _ = strings.Cut(heading, ":")
			section = ""
		}
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| §") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 5 || quoted[rfc] == nil {
			t.Fatalf("line %d has %d cells, in %q", i+1, len(cells), rfc)
		}
		if s := strings.TrimSpace(cells[0]); s != "" {
			section = s
		}
		quoted[rfc][section] += strings.Count(cells[1], "MUST")
		code, tests := strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])
		excused := strings.HasPrefix(code, "not ours: ") || strings.HasPrefix(code, "not yet: ") ||
			strings.HasPrefix(code, "not kept: ")
		for _, name := range names.FindAllString(code, -1) {
			if !index.functions[strings.Trim(name, "`")] {
				t.Errorf("line %d: there is no function %s", i+1, name)
			}
		}
		if !excused && (names.FindString(code) == "" || names.FindString(tests) == "") {
			t.Errorf("line %d names no function or no test, and does not say why", i+1)
		}
	}
	for rfc, sections := range clauses {
		for section, n := range sections {
			if quoted[rfc][section] != n {
				t.Errorf("%s section %s says MUST %d times, the page %d times", rfc, section, n, quoted[rfc][section])
			}
			delete(quoted[rfc], section)
		}
		for section, n := range quoted[rfc] {
			if n > 0 {
				t.Errorf("%s section %s says no MUST, the page %d", rfc, section, n)
			}
		}
	}
}
