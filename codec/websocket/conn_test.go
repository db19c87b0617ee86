package websocket_test

import (
	"reflect"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestConnHasNoHooksOfTheEngine: what only the engine calls is not offered to users.
func TestConnHasNoHooksOfTheEngine(t *testing.T) {
	conn := reflect.TypeFor[*websocket.Conn]()
	for _, hooks := range []reflect.Type{
		reflect.TypeFor[engine.Drainer](), reflect.TypeFor[engine.Flusher](), reflect.TypeFor[engine.Expirer](),
		reflect.TypeFor[engine.Idler](), reflect.TypeFor[engine.Shutdowner](), reflect.TypeFor[engine.PostReceiver](),
		reflect.TypeFor[engine.Bufferer](), reflect.TypeFor[engine.Protocol](),
	} {
		for i := range hooks.NumMethod() {
			if name := hooks.Method(i).Name; methodOf(conn, name) {
				t.Errorf("Conn has %s of %v", name, hooks)
			}
		}
	}
}

func methodOf(t reflect.Type, name string) bool {
	_, ok := t.MethodByName(name)
	return ok
}
