// Package wheel has a hierarchical timing wheel. What a timer costs does not depend on how many
// there are.
//
// The package is pure. Time is counted in ticks, which the caller passes to Expire, so tests need
// no clock.
package wheel
