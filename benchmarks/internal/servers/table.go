package servers

const (
	root  = "github.com/myriadnet/myriad"
	peers = root + "/benchmarks/peers/"
)

var (
	addr   = []string{"{bin}", "-addr", "127.0.0.1:{port}"}
	common = append(addr[:3:3], "-broadcast"+ifBroadcast, "-compress"+ifCompress)
	cert   = []string{"-cert" + ifTLS, "{cert}" + ifTLS, "-key" + ifTLS, "{cert}" + ifTLS}
	secure = append(common[:5:5], cert...)
)

var wssecho = Server{
	Name: "wssecho", Protocol: "ws", Role: Ours, Source: root + "/examples/wssecho", TLS: true,
	Tuned:   "The example as it is, with one loop.",
	builder: goBuild{root + "/examples/wssecho", root},
	argv:    append(append(addr[:3:3], "-loops", "1"), cert...),
}

var wsserver = Server{
	Name: "wsserver", Protocol: "ws", Role: Ours, Source: root + "/benchmarks/wsserver",
	Broadcast: true, BroadcastPath: "/broadcast", Compress: true,
	Tuned:   "With one loop.",
	builder: goBuild{root + "/benchmarks/wsserver", root},
	argv:    append(addr[:3:3], "-loops", "1", "-compress"+ifCompress),
}

var table = []Server{
	{
		Name: "floor", Protocol: "tcp", Role: Floor, Source: "benchmarks/peers/floor/epoll.c",
		Broadcast: true,
		Tuned: "C, level-triggered epoll, one read and one write per event, one buffer of 64 KiB for all " +
			"connections; gcc -O2.",
		builder: cc{file: "epoll.c"}, argv: []string{"{bin}", "{port}", "-b" + ifBroadcast},
	},
	{
		Name: "floor-uring", Protocol: "tcp", Role: Floor, Source: "benchmarks/peers/floor/uring.c",
		Broadcast: true,
		Tuned: "C, io_uring: multishot accept, multishot receive into provided buffers of 64 KiB, deferred task " +
			"work; gcc -O2.",
		builder: cc{file: "uring.c", library: "uring"}, argv: []string{"{bin}", "{port}", "-b" + ifBroadcast},
	},
	{
		Name: "myriad", Protocol: "ws", Role: Ours, Source: root + "/examples/wsecho",
		Broadcast: true, BroadcastPath: "/broadcast", Compress: true, TLS: true,
		Tuned: "The example as it is, with one loop. For broadcasts: benchmarks/wsserver, with one loop. For TLS: " +
			"examples/wssecho, with one loop.",
		builder:      goBuild{root + "/examples/wsecho", root},
		argv:         append(addr[:3:3], "-loops", "1", "-compress"+ifCompress),
		forBroadcast: &wsserver,
		forTLS:       &wssecho,
	},
	{
		Name: "myriad-tcp", Protocol: "tcp", Role: Ours, Source: root + "/examples/tcpecho",
		Tuned:   "The example as it is, with one loop.",
		builder: goBuild{root + "/examples/tcpecho", root}, argv: append(addr[:3:3], "-loops", "1"),
	},
	{
		Name: "gorilla", Protocol: "ws", Role: Peer, Source: "github.com/gorilla/websocket",
		Broadcast: true, Compress: true, TLS: true,
		Tuned: "On net/http, whose goroutine and buffers are released. Write buffers from a pool, NextReader " +
			"into pooled buffers, WriteMessage, PreparedMessage.",
		builder: goBuild{peers + "gorilla", "github.com/gorilla/websocket"}, argv: secure,
	},
	{
		Name: "coder", Protocol: "ws", Role: Peer, Source: "github.com/coder/websocket",
		Broadcast: true, Compress: true, TLS: true,
		Tuned: "On net/http, whose goroutine is released. A context that cannot end, Reader into pooled " +
			"buffers, Write. There is nothing else to set, and no prepared message.",
		builder: goBuild{peers + "coder", "github.com/coder/websocket"}, argv: secure,
	},
	{
		Name: "gws", Protocol: "ws", Role: Peer, Source: "github.com/lxzan/gws",
		Broadcast: true, Compress: true, TLS: true,
		Tuned: "Its own server, without net/http. The read loop handles messages (ParallelEnabled is off). It " +
			"does not check UTF-8. Broadcaster.",
		builder: goBuild{peers + "gws", "github.com/lxzan/gws"}, argv: secure,
	},
	{
		Name: "gobwas", Protocol: "ws", Role: Peer, Source: "github.com/gobwas/ws",
		Broadcast: true, Compress: true,
		Tuned: "The low-level API with a goroutine and 4 KiB per connection, without net/http: Upgrader, " +
			"ReadHeaderBuffer, Cipher in place. It holds answers back until there is nothing left to read. It " +
			"encodes the frame of a broadcast once.",
		builder: goBuild{peers + "gobwas", "github.com/gobwas/ws"}, argv: common,
	},
	{
		Name: "melody", Protocol: "ws", Role: Peer, Source: "github.com/olahol/melody",
		Broadcast: true, Compress: true, TLS: true,
		Tuned: "On net/http and gorilla, with gorilla's buffer sizes and a pool of write buffers; its own " +
			"queues and goroutines.",
		builder: goBuild{peers + "melody", "github.com/olahol/melody"}, argv: secure,
	},
	{
		Name: "nbio", Protocol: "ws", Role: Peer, Source: "github.com/lesismal/nbio",
		Broadcast: true, Compress: true, TLS: true, NoEmpty: true,
		Tuned: "Its mode with pollers (IOModNonBlocking), one poller. ReleaseWebsocketPayload, no deadline for " +
			"each message.",
		builder: goBuild{peers + "nbio", "github.com/lesismal/nbio"}, argv: secure,
	},
	{
		Name: "nbio-blocking", Protocol: "ws", Role: Peer, Source: "github.com/lesismal/nbio",
		Broadcast: true, Compress: true, TLS: true, NoEmpty: true,
		Tuned: "Its mode with a goroutine per connection (IOModBlocking), which it recommends for few " +
			"connections. BlockingModAsyncWrite is off; else as nbio.",
		builder: goBuild{peers + "nbio", "github.com/lesismal/nbio"}, argv: append(secure[:9:9], "-mode", "blocking"),
	},
	{
		Name: "nbio-mixed", Protocol: "ws", Role: Peer, Source: "github.com/lesismal/nbio",
		Broadcast: true, Compress: true, TLS: true, NoEmpty: true,
		MinConns: 10_001,
		Tuned: "Its mixed mode (IOModMixed): goroutines for 10,000 connections, which is its default, and a poller " +
			"for more. With at most 10,000 it is nbio-blocking, and is not measured again.",
		builder: goBuild{peers + "nbio", "github.com/lesismal/nbio"}, argv: append(secure[:9:9], "-mode", "mixed"),
	},
	{
		Name: "gobwas-gnet", Protocol: "ws", Role: Peer, Source: "github.com/panjf2000/gnet/v2",
		Broadcast: true,
		Tuned: "github.com/gobwas/ws on gnet, as gnet's example has it, but from gnet's buffer without a copy, with " +
			"one write for all answers. One loop, which also accepts.",
		builder: goBuild{peers + "gobwasgnet", "github.com/panjf2000/gnet/v2"}, argv: common[:4],
	},
	{
		Name: "wsgnet", Protocol: "ws", Role: Peer, Source: root + "/wsproto/wsgnet",
		Broadcast: true, Compress: true,
		Tuned:   "Myriad's protocol on gnet, for those who stay there. One loop, which also accepts.",
		builder: goBuild{peers + "wsgnet", "github.com/panjf2000/gnet/v2"}, argv: common,
	},
	{
		Name: "gnet", Protocol: "tcp", Role: Peer, Source: "github.com/panjf2000/gnet/v2",
		Broadcast: true,
		Tuned: "OnTraffic takes all there is by Next, Write sends it. One loop, which also accepts " +
			"(WithReusePort).",
		builder: goBuild{peers + "gnet", "github.com/panjf2000/gnet/v2"}, argv: common[:4],
	},
	{
		Name: "evio", Protocol: "tcp", Role: Peer, Source: "github.com/tidwall/evio",
		Tuned:   "Data returns what it gets. One loop; ReuseInputBuffer.",
		builder: goBuild{peers + "evio", "github.com/tidwall/evio"}, argv: addr,
	},
	{
		Name: "net", Protocol: "tcp", Role: Peer, Source: "net",
		Broadcast: true,
		Tuned: "A goroutine per connection. Its buffer has 4 KiB at first, and grows up to 64 KiB when reads " +
			"fill it.",
		builder: goBuild{peers + "net", ""}, argv: common[:4],
	},
	{
		Name: "netpoll", Protocol: "tcp", Role: Peer, Source: "github.com/cloudwego/netpoll",
		Broadcast: true,
		Tuned: "OnRequest takes all there is without a copy, one Flush writes it. The library chooses the " +
			"number of pollers.",
		builder: goBuild{peers + "netpoll", "github.com/cloudwego/netpoll"}, argv: common[:4],
	},
}
