package nats

import (
	"bytes"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

func TestPack(t *testing.T) {
	pack := appendMessage(nil, wsproto.Text, []byte("one"))
	pack = appendMessage(pack, wsproto.Binary, nil)
	msgs, err := unpack(nil, 7, 3, lastSeq(2), pack)
	if err != nil || len(msgs) != 2 {
		t.Fatal(msgs, err)
	}
	a, b := msgs[0], msgs[1]
	if a.Epoch != 7 || a.Seq != 3<<8|254 || a.Prev != 2<<8|255 || a.Op != wsproto.Text ||
		string(a.Data) != "one" {
		t.Errorf("first message %+v", a)
	}
	if b.Seq != lastSeq(3) || b.Prev != a.Seq || b.Op != wsproto.Binary || len(b.Data) != 0 {
		t.Errorf("second message %+v", b)
	}
}

// FuzzUnpack checks that no bytes make unpack panic, and that what it returns makes the same bytes.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendMessage(appendMessage(nil, wsproto.Text, []byte("a")), wsproto.Binary, nil))
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		msgs, err := unpack(nil, 1, 1, 0, data)
		if err != nil {
			return
		}
		var again []byte
		for i, m := range msgs {
			again = appendMessage(again, m.Op, m.Data)
			if i > 0 && m.Prev != msgs[i-1].Seq {
				t.Errorf("message %d has Prev %d after %d", i, m.Prev, msgs[i-1].Seq)
			}
		}
		if msgs2, err := unpack(nil, 1, 1, 0, again); err != nil || len(msgs2) != len(msgs) {
			t.Errorf("%d messages, then %d: %v", len(msgs), len(msgs2), err)
		} else if len(again) == len(data) && !bytes.Equal(again, data) {
			t.Error("packed differently")
		}
	})
}

// TestPackWithForeignOpcode shows that what others have put into the stream is not sent to peers as
// a control frame: a Close would end their connections.
func TestPackWithForeignOpcode(t *testing.T) {
	for _, op := range []wsproto.Opcode{0, wsproto.Close, wsproto.Ping, 0x81} {
		if msgs, err := unpack(nil, 1, 1, 0, appendMessage(nil, op, []byte("x"))); err == nil {
			t.Errorf("opcode %#x: %+v", op, msgs)
		}
	}
}
