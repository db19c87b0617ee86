module github.com/myriadnet/myriad/examples/chat/nats

go 1.26.0

replace (
	github.com/myriadnet/myriad => ../../..
	github.com/myriadnet/myriad/codec/websocket/topic/nats => ../../../codec/websocket/topic/nats
)

require (
	github.com/myriadnet/myriad v0.0.0-00010101000000-000000000000
	github.com/myriadnet/myriad/codec/websocket/topic/nats v0.0.0-00010101000000-000000000000
)

require (
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/nats-io/nats.go v1.55.0 // indirect
	github.com/nats-io/nkeys v0.4.16 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
