//go:build unix && !linux && !darwin

package socket

const notSentLowat = 0 // there is no such option
