package spv

import (
	"encoding/binary"
	"io"
	"net"
	"slices"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// maxVersionMessage is far above the length of a version message: 86 bytes, and a user agent of up
// to 256 (Bitcoin Core: MAX_SUBVERSION_LENGTH).
const maxVersionMessage = 2048

// anyServices is a connection to a peer that may serve no compact filters, for a client that wants
// headers only. neutrino bans such a peer as soon as it has shaken hands, although every full node
// serves headers. So the peer's version message is changed to promise filters too. They are never
// asked for: see noFilters.
//
// Only one goroutine reads at a time.
type anyServices struct {
	net.Conn
	magic wire.BitcoinNet
	seen  bool   // the first message has been looked at
	begin []byte // bytes that were read and not yet returned
}

// Read returns the bytes that the peer sends, with its version message changed.
func (s *anyServices) Read(b []byte) (int, error) {
	if !s.seen {
		if err := s.firstMessage(); err != nil {
			return 0, err
		}
	}
	if len(s.begin) > 0 {
		n := copy(b, s.begin)
		s.begin = s.begin[n:]
		return n, nil
	}
	return s.Conn.Read(b)
}

// firstMessage reads the first message, and changes it if it is a version message.
func (s *anyServices) firstMessage() error {
	for len(s.begin) < frameHeader {
		if err := s.more(frameHeader); err != nil {
			return err
		}
	}
	// The header is magic, command, length and checksum, see wire.WriteMessage.
	const version, lengthAt, checksumAt = "version\x00\x00\x00\x00\x00", 16, 20
	length := binary.LittleEndian.Uint32(s.begin[lengthAt:])
	if binary.LittleEndian.Uint32(s.begin) != uint32(s.magic) || string(s.begin[4:lengthAt]) != version || length > maxVersionMessage {
		s.seen = true
		return nil
	}
	whole := frameHeader + int(length)
	for len(s.begin) < whole {
		if err := s.more(whole); err != nil {
			return err
		}
	}
	s.seen = true
	const servicesAt, servicesEnd = 4, 12 // of the payload, after the protocol version
	payload := s.begin[frameHeader:whole]
	if len(payload) < servicesEnd || string(chainhash.DoubleHashB(payload)[:4]) != string(s.begin[checksumAt:frameHeader]) {
		return nil
	}
	services := payload[servicesAt:servicesEnd]
	binary.LittleEndian.PutUint64(services, binary.LittleEndian.Uint64(services)|uint64(wire.SFNodeWitness|wire.SFNodeCF))
	copy(s.begin[checksumAt:], chainhash.DoubleHashB(payload)[:4])
	return nil
}

// more reads on. In all, it reads no more than want bytes.
func (s *anyServices) more(want int) error {
	have := len(s.begin)
	s.begin = slices.Grow(s.begin, want-have)
	n, err := s.Conn.Read(s.begin[have:want])
	s.begin = s.begin[:have+n]
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}
