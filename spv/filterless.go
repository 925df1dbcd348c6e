package spv

import (
	"bytes"
	"encoding/binary"
	"net"

	"github.com/btcsuite/btcd/wire/v2"
)

// filterless is a connection to a peer that is never asked for filters. neutrino fetches filter
// headers as soon as they are a thousand behind the headers: who wants headers alone would download
// half as much again, and where headers are reorganised meanwhile, neutrino panics ("failed getting
// block header", in getCheckpointedCFHeaders, v0.18). A peer that does not answer, it asks again
// later.
//
// Writes come from one goroutine at a time.
type filterless struct {
	net.Conn
	begin []byte // of a message whose header is not whole yet
	left  uint32 // bytes of the present message that are still to come
	drop  bool   // the present message is not sent
}

// Write sends what is no question for filters, and says of all that it was sent.
func (f *filterless) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if f.left > 0 {
			part := rest[:min(int64(f.left), int64(len(rest)))]
			if !f.drop {
				if _, err := f.Conn.Write(part); err != nil {
					return 0, err
				}
			}
			f.left -= uint32(len(part))
			rest = rest[len(part):]
			continue
		}
		n := min(frameHeader-len(f.begin), len(rest))
		f.begin = append(f.begin, rest[:n]...)
		rest = rest[n:]
		if len(f.begin) < frameHeader {
			break
		}
		switch string(bytes.TrimRight(f.begin[4:16], "\x00")) {
		case wire.CmdGetCFCheckpt, wire.CmdGetCFHeaders, wire.CmdGetCFilters:
			f.drop = true
		default:
			f.drop = false
			if _, err := f.Conn.Write(f.begin); err != nil {
				return 0, err
			}
		}
		f.left = binary.LittleEndian.Uint32(f.begin[16:])
		f.begin = f.begin[:0]
	}
	return len(b), nil
}
