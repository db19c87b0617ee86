package websocket

import (
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

func TestKindOfPostedBytes(t *testing.T) {
	for _, op := range []Opcode{Text, Binary, wsproto.Ping} {
		if k := kindOf(op); k.opcode() != op {
			t.Errorf("opcode %v comes back as %v", op, k.opcode())
		}
	}
	for _, code := range []CloseCode{wsproto.NormalClosure, 4999, 65535} {
		if k := kindOfClose(code); k.opcode() != wsproto.Close || k.closeCode() != code {
			t.Errorf("close code %d comes back as opcode %v, code %d", code, k.opcode(), k.closeCode())
		}
	}
}
