// Package codectest checks a codec in a test:
//
//	func TestMyCodec(t *testing.T) {
//		long := bytes.Repeat([]byte("x"), 1000)
//		if err := codectest.Check(MyCodec{}, []byte("a message"), []byte{}, long); err != nil {
//			t.Error(err)
//		}
//	}
package codectest
