package spv

import (
	"bytes"
	"encoding/binary"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// frameHeader is the length of a message's header in the first transport protocol: magic (4 bytes),
// command (12), length of the payload (4) and checksum (4).
const frameHeader = 24

// frameScanner finds the messages in a stream of bytes that comes in pieces, and reads the fee
// filters among them. It keeps no more than the beginning of one message. When something is not a
// message of its network, it stops scanning: neutrino disconnects from such a peer, and an
// encrypted connection (BIP324) would look the same.
type frameScanner struct {
	magic   wire.BitcoinNet
	message func(command string, length uint32) // called with each message's header; may be nil

	begin [frameHeader + feeFilterSize]byte
	have  int    // bytes of begin that were read
	skip  uint32 // bytes of the present message that are still to come and are not looked at
	lost  bool   // something was not a message
}

// scan takes the next piece, and reports each fee filter in it: any value that the peer sent.
func (f *frameScanner) scan(piece []byte, report func(satPerKvB int64)) {
	for len(piece) > 0 && !f.lost {
		if f.skip > 0 {
			n := min(int64(f.skip), int64(len(piece)))
			f.skip -= uint32(n)
			piece = piece[n:]
			continue
		}
		want := frameHeader
		if f.have >= frameHeader {
			want += feeFilterSize
		}
		n := copy(f.begin[f.have:want], piece)
		f.have += n
		piece = piece[n:]
		switch {
		case f.have == frameHeader:
			f.header()
		case f.have == len(f.begin):
			f.have = 0
			payload := f.begin[frameHeader:]
			if !bytes.Equal(chainhash.DoubleHashB(payload)[:4], f.begin[20:frameHeader]) {
				f.lost = true
				return
			}
			report(int64(binary.LittleEndian.Uint64(payload)))
		}
	}
}

// header looks at the header of a message, which has come as a whole.
func (f *frameScanner) header() {
	length := binary.LittleEndian.Uint32(f.begin[16:])
	if binary.LittleEndian.Uint32(f.begin[:]) != uint32(f.magic) || length > wire.MaxMessagePayload {
		f.lost = true
		return
	}
	command := string(bytes.TrimRight(f.begin[4:16], "\x00"))
	if f.message != nil {
		f.message(command, length)
	}
	if command == wire.CmdFeeFilter && length == feeFilterSize {
		return // its payload is read next
	}
	f.have, f.skip = 0, length
}
