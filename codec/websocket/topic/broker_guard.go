package topic

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// guard calls a method of the Broker whose panic must not cost anything else: there are locks to
// release, other topics to go on with, or goroutines that nobody else guards. It logs the panic,
// and returns it as an error.
func guard(method string, call func()) (panicked error) { return caught("Broker."+method, call) }

// caught is guard for any function of the user.
func caught(name string, call func()) (panicked error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = "runtime.Goexit"
		}
		text := textOf(v)
		logPanic(name, text)
		panicked = errors.New("topic: panic in " + name + ": " + text)
	}()
	call()
	returned = true
	return nil
}

// isolated calls a function of the user, and returns when that has ended. It has a goroutine of its
// own, so that runtime.Goexit does not end one that others need.
func isolated(name string, call func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		caught(name, call)
	}()
	<-ended
}

// unsubscribe is Broker.Unsubscribe.
func (h *Hub) unsubscribe(name string) {
	guard("Unsubscribe", func() { h.broker.Unsubscribe(name) })
}

// textOf returns the value of a panic as text. It may be an error whose methods panic, with a value
// of that kind: then the text is its type.
func textOf(v any) (text string) {
	text = fmt.Sprintf("a %T", v)
	defer func() { recover() }()
	return fmt.Sprint(v)
}

// logPanic logs a panic of user code. One of the Handler of slog.Default is lost.
func logPanic(name, text string) {
	defer func() { recover() }()
	slog.Error("topic: panic in "+name, "panic", text, "stack", string(debug.Stack()))
}
