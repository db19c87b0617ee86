package websocket_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rules are the rules that implementations of WebSocket miss most often, and the tests that keep
// them here, by folder and name. TestEveryViolationGetsItsStatusOrCode breaks most of them on real
// sockets.
var rules = []struct {
	rule  string
	tests string
}{
	// The opening handshake.
	{"GET", "wsproto/handshake.TestUpgradeRefusesOtherMethods"},
	{"HTTP/1.1", "wsproto/handshake.TestUpgradeRefusesOtherVersionsOfHTTP"},
	{"origin form or absolute form", "wsproto/handshake.TestUpgradeRefusesOtherTargetForms"},
	{"CR LF only", "wsproto/handshake.TestUpgradeRefusesBareLF"},
	{"no folding", "wsproto/handshake.TestUpgradeRefusesFolding"},
	{"no NUL and no other control character", "wsproto/handshake.TestUpgradeRefusesControlCharacters"},
	{"no space before a colon", "wsproto/handshake.TestUpgradeRefusesSpaceBeforeColon"},
	{"exactly one Host", "wsproto/handshake.TestUpgradeWantsOneHost"},
	{"exactly one key, of 16 bytes in base64", "wsproto/handshake.TestUpgradeWantsOneKeyOf16Bytes"},
	{"version 13, or 426 that says so", "wsproto/handshake.TestUpgradeWantsVersion13"},
	{"no content", "wsproto/handshake.TestUpgradeRefusesBody"},
	{"Connection and Upgrade are lists of tokens", "wsproto/handshake.TestUpgradeWantsTokensInLists"},
	{"caps on the request line, the whole header and the fields",
		"wsproto/handshake.TestHandshakeLimits wsproto/handshake.TestHandshakeLimitsAreNotLower " +
			"codec/websocket.TestLimitsOfTheHeader"},
	{"lists are parsed in linear time",
		"wsproto/handshake.TestListsAreParsedInLinearTime wsproto/handshake.TestDripFedRequestIsLinear"},
	{"one absolute deadline to the complete header", "codec/websocket.TestHandshakeTimeout"},
	{"a rejected upgrade says Connection: close, and what was pipelined is discarded",
		"codec/websocket.TestRejectedUpgradeDropsWhatWasPipelined " +
			"codec/websocket.TestEveryViolationGetsItsStatusOrCode"},
	{"only a subprotocol from the server's list",
		"wsproto/handshake.TestSubprotocol codec/websocket.TestUpgradeCallback"},
	{"every value of a response is checked for CR, LF, NUL",
		"wsproto/handshake.TestResponseSplitting codec/websocket.TestUpgradeCallback"},
	{"frames that come with the request are kept", "codec/websocket.TestFramesThatComeWithTheHandshake"},
	{"same origin by default, patterns allowed",
		"wsproto/handshake.TestOriginPolicy codec/websocket.TestCrossSiteIsRefusedByDefault"},
	{"forwarding fields count only when told to", "wsproto/handshake.TestForwardedFieldsAreNotTrusted"},

	// Frames.
	{"MASK from clients, not from servers, before the length", "wsproto.TestFrameRules"},
	{"RSV2 and RSV3 are zero", "wsproto.TestFrameRules wsproto.TestCheckHeaderWithDeflate"},
	{"RSV1 on the first frame of a negotiated data message only",
		"wsproto/deflate.TestCompressionRules wsproto.TestCheckHeaderWithDeflate"},
	{"opcodes 3 to 7 and B to F", "wsproto.TestFrameRules"},
	{"control frames have FIN and 125 bytes at most", "wsproto.TestFrameRules"},
	{"lengths in their shortest form, the top bit zero", "wsproto.TestFrameRules"},
	{"limits are compared as uint64, before anything is converted or allocated", "wsproto.TestLengthArithmetic " +
		"wsproto.TestNothingIsAllocatedForADeclaredLength"},
	{"order of frames", "wsproto.TestFrameRules"},
	{"nothing after Close", "wsproto.TestNothingAfterClose codec/websocket.TestCloseHandshake"},

	// The closing handshake.
	{"no payload, or 2 bytes at least", "wsproto.TestFrameRules wsproto.TestCloseReason"},
	{"codes 1000 to 1003, 1007 to 1014, 3000 to 4999", "wsproto.TestCloseCodes"},
	{"the reason is UTF-8", "wsproto.TestCloseReason"},
	{"1002, 1007, 1008 and 1009 as they are meant",
		"codec/websocket.TestEveryViolationGetsItsStatusOrCode codec/websocket.TestBrokenRulesGetTheirCode"},
	{"a deadline on both sides", "codec/websocket.TestCloseTimeout codec/websocket.TestClientWaitsForTheServerToClose"},

	// Resources.
	{"nothing is allocated for a declared length",
		"wsproto.TestNothingIsAllocatedForADeclaredLength codec/websocket.TestAdvisories"},
	{"limits hold after inflating, and a ratio", "wsproto/deflate.TestCompressedBomb"},
	{"inflating in bounded steps", "wsproto/deflate.TestCompressedBomb"},
	{"empty blocks and trailing bytes",
		"wsproto/deflate.TestEmptyLastBlocksAreCounted wsproto/deflate.TestCompressedGarbage"},
	{"a cap on fragments, whose overhead counts", "wsproto.TestFragmentsAreCapped codec/websocket.TestAdvisories"},
	{"a token bucket for control frames", "engine.TestControlFramesAreLimited"},
	{"pongs are coalesced to the latest, and count as outbound", "engine.TestPongsAreCoalescedToTheLatest"},
	{"minimum progress inside a message", "engine.TestUnfinishedMessageMustGrow"},
	{"a zero-window deadline", "engine.TestPeerThatTakesNothingIsClosed"},
	{"handshakes per address", "codec/websocket.TestHandshakesInProgressAreLimited"},
	{"compression is off by default, and each message may opt out",
		"codec/websocket.TestCompressionIsOffUnlessAskedFor codec/websocket.TestPlainMessagesOnACompressedConnection"},
	{"whoever breaks a rule leaves nothing behind", "codec/websocket.TestEveryViolationGetsItsStatusOrCode"},

	// Published advisories, those of TestAdvisories by its subtests.
	{"CVE-2020-27813", "codec/websocket.TestAdvisories wsproto.TestLengthArithmetic"},
	{"CVE-2020-13935", "codec/websocket.TestAdvisories wsproto.TestLengthArithmetic"},
	{"CVE-2026-27889", "codec/websocket.TestAdvisories wsproto.TestLengthArithmetic"},
	{"CVE-2026-1528", "codec/websocket.TestAdvisories wsproto.TestLengthArithmetic"},
	{"CVE-2022-35922", "codec/websocket.TestAdvisories wsproto.TestNothingIsAllocatedForADeclaredLength"},
	{"CVE-2014-0193", "codec/websocket.TestAdvisories wsproto.TestFragmentsAreCapped"},
	{"CVE-2026-48779", "codec/websocket.TestAdvisories wsproto.TestFragmentsAreCapped"},
	{"CVE-2026-1526", "codec/websocket.TestAdvisories wsproto/deflate.TestCompressedBomb"},
	{"CVE-2026-2229", "codec/websocket.TestAdvisories wsproto/handshake.TestDeflateNegotiation"},
	{"CVE-2026-33219", "codec/websocket.TestAdvisories"},
	{"GHSA-mq44-7p77-q5h7", "codec/websocket.TestAdvisories wsproto/deflate.TestCompressionRules"},
	{"CVE-2023-43669", "wsproto/handshake.TestDripFedRequestIsLinear"},
	{"CVE-2021-32640", "wsproto/handshake.TestListsAreParsedInLinearTime"},
	{"CVE-2026-1527",
		"wsproto/handshake.TestResponseSplitting wsproto/handshake.TestClientRequest " +
			"codec/websocket.TestUpgradeCallback"},
	{"GHSA-mfx4-hv73-q22v", "codec/websocket.TestAdvisories wsproto/handshake.TestRequestSmuggling"},
	{"CVE-2021-3690", "codec/websocket.TestAdvisories"},
	{"CVE-2020-35896", "codec/websocket.TestAdvisories engine.TestPongsAreCoalescedToTheLatest"},
	{"CVE-2026-22689", "codec/websocket.TestCrossSiteIsRefusedByDefault wsproto/handshake.TestOriginPolicy"},
	{"CVE-2025-12689", "codec/websocket.TestAdvisories wsproto.TestTextIsChecked"},
}

// TestRulesHaveTests: each that is named exists, and an advisory's is about it.
func TestRulesHaveTests(t *testing.T) {
	index := indexSource(t)
	for _, r := range rules {
		named := false
		for test := range strings.FieldsSeq(r.tests) {
			text, ok := index.tests[test]
			if !ok {
				t.Errorf("%s: there is no test %s", r.rule, test)
			}
			named = named || strings.Contains(text, r.rule)
		}
		if advisory := strings.HasPrefix(r.rule, "CVE-") || strings.HasPrefix(r.rule, "GHSA-"); advisory && !named {
			t.Errorf("none of %s says that it is about %s", r.tests, r.rule)
		}
	}
}

// source is what there is in the repository, to check what documents and tables say about it.
type source struct {
	tests map[string]string // "wsproto.TestX", and its text
	// "wsproto/check.go:CheckHeader", "wsproto/receiver.go:Receiver.Next"
	functions map[string]bool
}

func indexSource(t *testing.T) source {
	t.Helper()
	s := source{map[string]string{}, map[string]bool{}}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return errorOr(err, fs.SkipDir)
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			switch {
			case !ok:
			case strings.HasSuffix(rel, "_test.go"):
				s.tests[rel[:strings.LastIndexByte(rel, '/')]+"."+fn.Name.Name] = fn.Doc.Text() +
					string(text[fset.Position(fn.Pos()).Offset:fset.Position(fn.End()).Offset])
			default:
				s.functions[rel+":"+receiver(fn)+fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil || len(s.tests) < 100 || len(s.functions) < 100 {
		t.Fatalf("%d tests and %d functions found, %v", len(s.tests), len(s.functions), err)
	}
	return s
}

func errorOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// receiver is the name of a method's type, and a point.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	e := fn.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name + "."
	}
	return ""
}
