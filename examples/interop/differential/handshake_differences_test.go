package differential

import (
	"regexp"
	"strings"
)

// handshakeDifference is one that is meant. docs/conformance.md lists the refusals among them.
type handshakeDifference struct {
	name, reason string
	refusal      string // ours, of what they accept
	holds        func(peer, text string, ours, theirs verdict) bool
}

// they reports whether a peer is among those that are named.
func they(peer, among string) bool { return strings.Contains(among, peer) }

// stricter holds where the peers refuse what we accept, and the request has the pattern.
func stricter(peers, pattern string) func(peer, text string, ours, theirs verdict) bool {
	re := regexp.MustCompile(pattern)
	return func(peer, text string, ours, theirs verdict) bool {
		return they(peer, peers) && ours.accepted() && !theirs.accepted() && re.MatchString(text)
	}
}

var handshakeDifferences = []handshakeDifference{
	// What we refuse and another accepts.
	{name: "bare LF", refusal: "line does not end with CR LF", reason: "framing: RFC 9112 section 2.2"},
	{name: "folding", refusal: "header field is folded over several lines", reason: "framing: RFC 9112 section 5.2"},
	{name: "field names", refusal: "header field name is not a token followed by a colon",
		reason: "framing: RFC 9112 section 5.1"},
	{name: "control characters", refusal: "control character in a header field",
		reason: "framing: RFC 9110 section 5.5"},
	{name: "request line", refusal: "malformed request line", reason: "framing: RFC 9112 section 3"},
	{name: "method", refusal: "method is not a token", reason: "framing: RFC 9110 section 9.1"},
	{name: "target", refusal: "malformed request target", reason: "identity: RFC 9112 section 3.2"},
	{name: "version", refusal: "version is neither HTTP/1.1 nor HTTP/1.0", reason: "framing: RFC 9112 section 2.3"},
	{name: "HTTP/1.0", refusal: "opening handshake needs HTTP/1.1", reason: "framing: RFC 9110 section 7.8"},
	{name: "Hosts", refusal: "not exactly one Host field", reason: "identity: RFC 9112 section 3.2"},
	{name: "Host", refusal: "malformed Host field", reason: "identity: RFC 9112 section 3.2"},
	{name: "two hosts", refusal: "Host field differs from the host of the target",
		reason: "identity: RFC 9112 section 3.2"},
	{name: "Content-Length", refusal: "malformed or repeated Content-Length", reason: "framing: RFC 9112 section 6.3"},
	{name: "two framings", refusal: "both Content-Length and Transfer-Encoding",
		reason: "framing: RFC 9112 section 6.1"},
	{name: "codings", refusal: "not exactly one Transfer-Encoding that ends with chunked",
		reason: "framing: RFC 9112 section 6.3"},
	{name: "coding", refusal: "Transfer-Encoding other than chunked", reason: "framing: RFC 9112 section 6.1"},
	{name: "coding of HTTP/1.0", refusal: "Transfer-Encoding in an HTTP/1.0 request",
		reason: "framing: RFC 9112 section 6.1"},
	{name: "content", refusal: "opening handshake with a body", reason: "framing: it would be read as frames"},
	{name: "Upgrade", refusal: "no websocket in the Upgrade field", reason: "framing: RFC 9110 section 7.8"},
	{name: "Connection", refusal: "no upgrade in the Connection field", reason: "framing: RFC 9110 section 7.6.1"},
	{name: "versions", refusal: "Sec-WebSocket-Version is not 13", reason: "RFC 6455 section 4.2.1"},
	{name: "key", refusal: "not exactly one Sec-WebSocket-Key of 16 bytes in base64", reason: "RFC 6455 section 4.2.1"},
	{name: "subprotocols", refusal: "Sec-WebSocket-Protocol is not a list of different tokens",
		reason: "RFC 6455 section 4.1"},
	{name: "origin", refusal: "origin is not allowed", reason: "identity: RFC 6455 section 10.2"},
	{name: "long line", refusal: "start line over the limit of 8192 bytes", reason: "memory: Limits.MaxHeader"},
	{name: "long head", refusal: "header over the limit of 16384 bytes", reason: "memory: Limits.MaxHeader"},
	{name: "many fields", refusal: "over the limit of 100 header fields", reason: "time: Limits.MaxHeaderFields"},

	// What we accept and another refuses.
	{name: "empty line first", reason: "RFC 9112 section 2.2",
		holds: stricter("gorilla coder gobwas", "^\r\n")},
	{name: "Expect", reason: "RFC 9110 section 10.1.1: a server may ignore it", holds: stricter("gorilla coder ws",
		`(?mi)^expect:`)},
	{name: "escapes", reason: "net/url decodes targets; whoever decodes ours refuses then",
		holds: stricter("gorilla coder", `(?i)^(\r\n)?GET \S*%zz|host: ?\S*%|Host: a:b:c`)},
	{name: "lists", reason: "RFC 9110 section 5.6.1: Upgrade and Connection are lists, over several lines",
		holds: func(peer, text string, ours, theirs verdict) bool {
			return they(peer, "gobwas ws") && ours.accepted() && !theirs.accepted() && isUnusualList(text)
		}},
	{name: "empty elements", reason: "RFC 9110 section 5.6.1.2: they are ignored",
		holds: stricter("gorilla coder", `(?mi)^(connection|upgrade)[ \t]*:[ \t]*,`)},
	{name: "extensions", reason: "RFC 7692 section 5.1: an offer that cannot be accepted is declined",
		holds: stricter("gobwas ws", `(?mi)^sec-websocket-extensions:`)},
	{name: "empty subprotocols", reason: "RFC 9110 section 5.6.1.2", holds: stricter("gobwas ws",
		`(?mi)^sec-websocket-protocol:`)},

	// What we read otherwise.
	{name: "which host", reason: "RFC 9112 section 3.2.2: that of the target, which the field only writes otherwise",
		holds: func(peer, _ string, ours, theirs verdict) bool {
			return they(peer, "gobwas ws") && strings.Contains(ours.Target, "://") && theirs.Host != ours.Host
		}},
	{name: "subprotocols in several lines", reason: "RFC 6455 section 11.3.4: they are one list",
		holds: func(peer, text string, ours, theirs verdict) bool {
			return they(peer, "gorilla gobwas") && strings.Count(strings.ToLower(text), "\nsec-websocket-protocol:") > 1
		}},
	{name: "whose order", reason: "RFC 6455 section 1.9: the server chooses; gobwas takes the client's first",
		holds: func(peer, _ string, ours, theirs verdict) bool {
			return peer == "gobwas" && ours.Protocol == "chat" && theirs.Protocol == "mqtt"
		}},
	{name: "case of subprotocols", reason: "RFC 6455 section 4.1: they are compared as they are",
		holds: func(peer, _ string, ours, theirs verdict) bool {
			return peer == "coder" && strings.EqualFold(theirs.Protocol, "chat") && theirs.Protocol != "chat"
		}},
}

// isUnusualList reports whether Upgrade is anything else than one token, or Connection than one or
// two, with a space behind the comma.
func isUnusualList(text string) bool {
	upgrades := upgradeLine.FindAllStringSubmatch(text, -1)
	connections := connectionLine.FindAllStringSubmatch(text, -1)
	if len(upgrades) != 1 || len(connections) != 1 {
		return true
	}
	connection := strings.ToLower(connections[0][1])
	return !strings.EqualFold(upgrades[0][1],
		"websocket") || connection != "upgrade" && connection != "keep-alive, upgrade"
}

var (
	upgradeLine    = regexp.MustCompile(`(?mi)^upgrade:[ \t]*(.*)\r$`)
	connectionLine = regexp.MustCompile(`(?mi)^connection:[ \t]*(.*)\r$`)
)

// onlyOurs has our refusals of what all four others accept; true: that is seen in any long run.
var onlyOurs = map[string]bool{
	// It would be read as frames; a proxy in front takes it for content.
	"opening handshake with a body": true,
	// Some take the one, some the other.
	"Host field differs from the host of the target": true,
	// A fragment, another form or scheme, a user, or bytes above 127, which Go takes for UTF-8 and
	// node for Latin-1.
	"malformed request target": true,
	// An Origin that nobody can compare with an empty Host.
	"origin is not allowed": true,
	// A list with something that is not a token, and another that is correct.
	"no upgrade in the Connection field": false,
	// These can be set.
	"over the limit of 100 header fields":     true,
	"start line over the limit of 8192 bytes": true,
}

// nameOf returns the name of the first difference that holds, or "".
func nameOf(peer, text string, ours, theirs verdict) string {
	if kindOf(ours, theirs) == "" {
		return ""
	}
	for _, d := range handshakeDifferences {
		switch {
		case d.refusal != "" && !ours.accepted() && d.refusal == ours.reason,
			d.holds != nil && ours.accepted() && d.holds(peer, text, ours, theirs):
			return d.name
		}
	}
	return ""
}
