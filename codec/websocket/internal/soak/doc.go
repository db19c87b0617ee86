// Package soak is a test only: engines that do everything at once, one after the other in one
// process, from which each must have left without a trace. MYRIAD_SOAK says for how long.
package soak
