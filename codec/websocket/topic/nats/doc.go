// Package nats is a Broker of topics for many nodes, on NATS with JetStream.
package nats
