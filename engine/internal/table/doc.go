// Package table gives things short names, each of a slot and a generation, that show when the thing
// is gone.
package table
