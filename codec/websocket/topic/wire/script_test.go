package wire

import (
	"regexp"
	"strings"
	"testing"
)

// TestScriptIsOneModule: what is served imports nothing, exports what its users need, and declares
// each name once.
func TestScriptIsOneModule(t *testing.T) {
	if regexp.MustCompile(`(?m)^import |from "\./`).MatchString(script) {
		t.Error("it imports something")
	}
	exports := regexp.MustCompile(`(?m)^export .*$`).FindAllString(script, -1)
	if got := strings.Join(exports, " "); got != "export { Subscription, TopicsError }; export class Topics {" {
		t.Error(got)
	}
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^(?:export )?(?:class|function|const) (\w+)`)
	for _, m := range declared.FindAllStringSubmatch(script, -1) {
		if names[m[1]] {
			t.Errorf("two modules have a %s", m[1])
		}
		names[m[1]] = true
	}
	if len(names) < 10 {
		t.Errorf("only %d names: %v", len(names), names)
	}
}
