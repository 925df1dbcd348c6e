package spv

import (
	"bytes"
	"encoding/binary"
	"net"

	"github.com/btcsuite/btcd/wire/v2"
)

// noFilters is a connection on which no peer is asked for filters, for a client that wants headers
// only. neutrino fetches filter headers as soon as they are a thousand behind the headers. That
// would be half as much again to download. If headers are reorganised meanwhile, neutrino even
// panics ("failed getting block header", in getCheckpointedCFHeaders, v0.18). When a peer does not
// answer, neutrino asks again later, so the questions for filters are just not sent.
//
// Only one goroutine writes at a time.
type noFilters struct {
	net.Conn
	begin []byte // the beginning of a message whose header has not come as a whole
	left  uint32 // bytes of the present message that are still to come
	drop  bool   // the present message is not sent
}

// Write sends all messages but those that ask for filters. It reports everything as sent.
func (f *noFilters) Write(b []byte) (int, error) {
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
