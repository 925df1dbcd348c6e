package spv

import (
	"bytes"
	"encoding/binary"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// A peer says with a feefilter message (BIP133) below which fee rate it does not want to hear of
// transactions. Bitcoin Core says it right after the handshake, before neutrino lets anyone listen,
// and again only when it has changed, after some ten minutes. So the message is read off the
// connection, as it passes. btcd sends none.

const (
	// A message of the first transport protocol begins with magic (4 bytes), command (12), length
	// of the payload (4) and checksum (4).
	frameHeader = 24

	feeFilterSize = 8 // the payload: sat/kvB, little endian

	// noRelay is the rate, in sat/kvB, from which a feefilter is no price: Bitcoin Core sends the
	// highest step of its scale, between 9,090,909 and 10,000,000, while it syncs and wants no
	// transactions at all.
	noRelay = 9_000_000

	// noFeeFilter stands for a peer that told none.
	noFeeFilter = -1
)

// feeFilter returns what the peer that neutrino knows by addr told on its present connection, in
// sat/kvB. It is false when the peer told none, or nothing that can be a price.
func (d *dialer) feeFilter(addr string) (satPerKvB int64, told bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.heard {
		if v := h.satPerKvB.Load(); h.addr == addr && v >= 0 && v < noRelay {
			return v, true
		}
	}
	return 0, false
}

// feeFilters finds the fee filters in what a peer sends, which comes in pieces. Whatever comes, it
// keeps no more than the beginning of one message. Once it meets what is no message of its network
// it looks no further: neutrino hangs up on such a peer, and an encrypted connection (BIP324) would
// look like that too.
type feeFilters struct {
	magic   wire.BitcoinNet
	message func(command string, length uint32) // told of each message's header; nil: nobody is

	begin [frameHeader + feeFilterSize]byte
	have  int    // bytes of begin that were read
	skip  uint32 // bytes of the present message that are still to come and do not matter
	lost  bool
}

// read takes the next piece and reports each fee filter in it, as it was sent: any value.
func (f *feeFilters) read(piece []byte, report func(satPerKvB int64)) {
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

// header looks at the header of a message, which is whole.
func (f *feeFilters) header() {
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
