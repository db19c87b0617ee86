// Package drivertest has the contract of package driver as tests. Every driver of a machine passes
// them, and so does the simulator.
package drivertest
