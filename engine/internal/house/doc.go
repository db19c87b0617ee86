// Package house has no code. Its tests keep the rules of the house: what may import what, which
// docs/architecture.md draws, and that what users see changes by decision only, docs/api.txt.
package house
