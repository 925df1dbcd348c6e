package spv

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/btcsuite/btcd/wire/v2"
)

// stream is a connection on which that comes.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(b []byte) (int, error) { return s.Reader.Read(b) }

// However the bytes are cut into pieces, only the services in the version message change.
func TestAnyPeerIsTakenForHeaders(t *testing.T) {
	t.Parallel()
	version := wire.NewMsgVersion(&wire.NetAddress{}, &wire.NetAddress{}, 7, 100)
	version.Services = wire.SFNodeNetwork
	rest := append(frameOf(wire.NewMsgVerAck()).bytes(), frameOf(version).bytes()...) // a second one stays as it is
	before := append(frameOf(version).bytes(), rest...)
	version.Services |= wire.SFNodeWitness | wire.SFNodeCF
	want := append(frameOf(version).bytes(), rest...)
	for name, reader := range map[string]func([]byte) io.Reader{
		"whole":            func(b []byte) io.Reader { return bytes.NewReader(b) },
		"a byte at a time": func(b []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) },
		"in halves":        func(b []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(b)) },
	} {
		got, err := io.ReadAll(&anyServices{Conn: stream{Reader: reader(before)}, magic: wire.TestNet})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v\n got %x\nwant %x", name, err, got, want)
		}
	}
	long := frameOf(version)
	long.payload = make([]byte, maxVersionMessage+1)
	wrong := frameOf(version).bytes()
	wrong[20] ^= 1 // the checksum: who reads it says so
	for name, b := range map[string][]byte{
		"another message first": rest, "a version that is far too long": long.bytes(), "a wrong checksum": wrong,
		"a version cut short": frame{wire.CmdVersion, []byte{1, 2, 3}}.bytes(), "another network": append([]byte{1, 2, 3, 4}, want[4:]...),
	} {
		got, err := io.ReadAll(&anyServices{Conn: stream{Reader: bytes.NewReader(b)}, magic: wire.TestNet})
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: %v, %d bytes of %d", name, err, len(got), len(b))
		}
	}
	broken := io.MultiReader(bytes.NewReader(want[:30]), iotest.ErrReader(net.ErrClosed))
	if _, err := io.ReadAll(&anyServices{Conn: stream{Reader: broken}, magic: wire.TestNet}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection that breaks off: %v", err)
	}
}

// The bug that this catches: a node that serves no filters, which is bitcoind's default, was not
// accepted as a source of headers.
func TestHeadersOfAPeerWithoutFilters(t *testing.T) {
	t.Parallel()
	n := newNode(t, "btcd")
	n.mine(20)
	plain := newLiar(t, n.p2p, func(f frame) []frame {
		if f.command == wire.CmdVersion {
			var v wire.MsgVersion
			f.decode(&v)
			v.Services = wire.SFNodeNetwork
			f = frameOf(&v)
		}
		return []frame{f}
	}, nil)
	dir := newDir(t)
	syncHeaders(t, dir, plain.addr)
	wantHeaders(t, dir, n)
}
