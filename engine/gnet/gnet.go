package gnet

import "github.com/panjf2000/gnet/v2"

// These are the types of package gnet.
type (
	Action           = gnet.Action
	AsyncCallback    = gnet.AsyncCallback
	Conn             = gnet.Conn
	EventLoop        = gnet.EventLoop
	LoadBalancing    = gnet.LoadBalancing
	Option           = gnet.Option
	Options          = gnet.Options
	Reader           = gnet.Reader
	RegisteredResult = gnet.RegisteredResult
	Runnable         = gnet.Runnable
	RunnableFunc     = gnet.RunnableFunc
	Socket           = gnet.Socket
	TCPSocketOpt     = gnet.TCPSocketOpt
	Writer           = gnet.Writer
)

// These are the actions that a callback returns.
const (
	None     = gnet.None
	Close    = gnet.Close
	Shutdown = gnet.Shutdown
)

// These are the values of Options.LB and Options.TCPNoDelay.
const (
	RoundRobin       = gnet.RoundRobin
	LeastConnections = gnet.LeastConnections
	SourceAddrHash   = gnet.SourceAddrHash

	TCPNoDelay = gnet.TCPNoDelay
	TCPDelay   = gnet.TCPDelay
)

// These are the functions of package gnet that make an Option. Options says what each does, and
// docs/gnet.md what it does here.
var (
	WithBindToDevice            = gnet.WithBindToDevice
	WithEdgeTriggeredIO         = gnet.WithEdgeTriggeredIO
	WithEdgeTriggeredIOChunk    = gnet.WithEdgeTriggeredIOChunk
	WithLoadBalancing           = gnet.WithLoadBalancing
	WithLockOSThread            = gnet.WithLockOSThread
	WithLogLevel                = gnet.WithLogLevel
	WithLogPath                 = gnet.WithLogPath
	WithLogger                  = gnet.WithLogger
	WithMulticastInterfaceIndex = gnet.WithMulticastInterfaceIndex
	WithMulticore               = gnet.WithMulticore
	WithNumEventLoop            = gnet.WithNumEventLoop
	WithOptions                 = gnet.WithOptions
	WithReadBufferCap           = gnet.WithReadBufferCap
	WithReuseAddr               = gnet.WithReuseAddr
	WithReusePort               = gnet.WithReusePort
	WithSocketRecvBuffer        = gnet.WithSocketRecvBuffer
	WithSocketSendBuffer        = gnet.WithSocketSendBuffer
	WithTCPKeepAlive            = gnet.WithTCPKeepAlive
	WithTCPKeepCount            = gnet.WithTCPKeepCount
	WithTCPKeepInterval         = gnet.WithTCPKeepInterval
	WithTCPNoDelay              = gnet.WithTCPNoDelay
	WithTicker                  = gnet.WithTicker
	WithWriteBufferCap          = gnet.WithWriteBufferCap
)

// These are the functions of package gnet that put values into a context, and find them.
var (
	FromContext        = gnet.FromContext
	FromNetAddrContext = gnet.FromNetAddrContext
	FromNetConnContext = gnet.FromNetConnContext
	NewContext         = gnet.NewContext
	NewNetAddrContext  = gnet.NewNetAddrContext
	NewNetConnContext  = gnet.NewNetConnContext
)
