package spv

import (
	"bytes"
	"net"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

// recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	written []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.written = append(r.written, b...)
	return len(b), nil
}

// However the messages are cut into pieces, those that ask for filters are left out, and the others
// arrive whole.
func TestNoFiltersAreAskedFor(t *testing.T) {
	t.Parallel()
	ask := frameOf(wire.NewMsgGetHeaders())
	stream, want := []byte(nil), []byte(nil)
	for _, f := range []frame{frameOf(wire.NewMsgVerAck()), frameOf(&wire.MsgGetCFCheckpt{}), ask, frameOf(&wire.MsgGetCFHeaders{}), frameOf(&wire.MsgGetCFilters{}), ask, frameOf(wire.NewMsgVerAck())} {
		stream = append(stream, f.bytes()...)
		switch f.command {
		case wire.CmdVerAck, wire.CmdGetHeaders:
			want = append(want, f.bytes()...)
		}
	}
	for size := 1; size <= len(stream); size++ {
		r := new(recorder)
		f := &noFilters{Conn: r}
		for at := 0; at < len(stream); at += size {
			piece := stream[at:min(at+size, len(stream))]
			if n, err := f.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
		}
		if !bytes.Equal(r.written, want) {
			t.Fatalf("in pieces of %d bytes: %x", size, r.written)
		}
	}
}
