package differential

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestHandshakesLikeOthers gives generated handshakes to four other servers. Every difference must
// have a name and a reason in handshakeDifferences, and every name a difference.
// MYRIAD_HANDSHAKES says how many, and MYRIAD_SEED which.
func TestHandshakesLikeOthers(t *testing.T) {
	count, seed := number("MYRIAD_HANDSHAKES", 100_000), number("MYRIAD_SEED", 1)
	if testing.Short() {
		count = 5000
	}
	r := rand.New(rand.NewPCG(uint64(seed), 0))
	texts := make([]string, count)
	ours := make([]verdict, count)
	accepted := 0
	for i := range texts {
		texts[i] = generate(r)
		if ours[i] = judgeOurs(texts[i]); ours[i].accepted() {
			accepted++
		}
	}
	t.Logf("seed %d: %d of %d are accepted", seed, accepted, count)
	seen := make(map[string]int)
	takers := make([]int, count) // peers that take what we refuse
	unnamed := make(map[string]int)
	compareWith := func(peer string, theirs func(i int) verdict) {
		for i, text := range texts {
			v := theirs(i)
			if v.accepted() && !ours[i].accepted() {
				takers[i]++
			}
			if name := nameOf(peer, text, ours[i], v); name != "" {
				seen[name]++
			} else if kind := kindOf(ours[i], v); kind != "" {
				if kind = peer + ": " + kind; unnamed[kind] == 0 {
					t.Errorf("%s: we %+v, they %+v, to %.400q", kind, ours[i], v, text)
				}
				unnamed[kind]++
			}
		}
	}
	gorilla, coder := judgeByHTTP(t, upgradeGorilla), judgeByHTTP(t, upgradeCoder)
	compareWith("gorilla", func(i int) verdict { return gorilla(texts[i]) })
	compareWith("coder", func(i int) verdict { return coder(texts[i]) })
	compareWith("gobwas", func(i int) verdict { return judgeGobwas(texts[i]) })
	node, why := judgeNode(t, texts)
	switch {
	case node != nil:
		compareWith("ws", func(i int) verdict { return node[i] })
	case os.Getenv("MYRIAD_INTEROP") == "all": // in .ci/run, which installs it
		t.Errorf("without node's ws: %s", why)
	default:
		t.Logf("without node's ws: %s", why)
	}
	for kind, n := range unnamed {
		t.Logf("%6d %s", n, kind)
	}
	if node != nil {
		refusedByUsAlone(t, texts, ours, takers)
	}
	for _, d := range handshakeDifferences {
		if seen[d.name] == 0 && count >= 100_000 && node != nil {
			t.Errorf("there is no difference: %s", d.name)
		}
	}
}

// refusedByUsAlone wants a reason why we refuse what all others take.
func refusedByUsAlone(t *testing.T, texts []string, ours []verdict, takers []int) {
	alone := make(map[string]int)
	for i, v := range ours {
		if takers[i] == 4 {
			alone[v.reason]++
			if _, known := onlyOurs[v.reason]; !known && alone[v.reason] == 1 {
				t.Errorf("only we refuse: %s: %.400q", v.reason, texts[i])
			}
		}
	}
	t.Logf("only we refuse: %v", alone)
	for reason, often := range onlyOurs {
		if often && alone[reason] == 0 && len(texts) >= 100_000 {
			t.Errorf("others refuse, too: %s", reason)
		}
	}
}

// kindOf returns how two verdicts differ, or "".
func kindOf(ours, theirs verdict) string {
	switch {
	case ours.accepted() && !theirs.accepted():
		return fmt.Sprintf("we accept, they answer %d", theirs.Status)
	case !ours.accepted() && theirs.accepted():
		return "they accept, we: " + ours.reason
	case !ours.accepted():
		return ""
	case ours.Host != theirs.Host:
		return "another host"
	case ours.Target != theirs.Target:
		return "another target"
	case ours.Protocol != theirs.Protocol:
		return "another subprotocol"
	}
	return ""
}

// TestConformanceListsRefusals: docs/conformance.md has every refusal of what another library
// takes.
func TestConformanceListsRefusals(t *testing.T) {
	b, err := os.ReadFile("../../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(b)), " ")
	for _, d := range handshakeDifferences {
		if d.refusal != "" && !strings.Contains(page, "\""+d.refusal+"\"") {
			t.Errorf("docs/conformance.md does not say why: %q", d.refusal)
		}
	}
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}
