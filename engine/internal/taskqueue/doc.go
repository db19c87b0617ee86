// Package taskqueue carries tasks from any goroutine to one loop.
package taskqueue
