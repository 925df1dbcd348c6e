package leafindex

import (
	"encoding/binary"
	"fmt"

	"ancre/batcher/store/codec"
)

// Listing is what the owner of an index writes down of a segment.
type Listing struct {
	ID, From, Count uint64 // From is the ordinal of its first leaf
	Footer          uint32 // the checksum in the footer of the file
}

const listingVersion = 1

// AppendListing encodes a listing without its ID.
func AppendListing(b []byte, l Listing) []byte {
	b = append(b, listingVersion)
	b = binary.AppendUvarint(b, l.From)
	b = binary.AppendUvarint(b, l.Count)
	return binary.BigEndian.AppendUint32(b, l.Footer)
}

// DecodeListing reads what AppendListing wrote.
func DecodeListing(id uint64, b []byte) (l Listing, err error) {
	d := codec.NewDecoder(b)
	if v := d.Byte("version"); v != listingVersion {
		d.Fail("record version %d, expected %d", v, listingVersion)
	}
	l = Listing{ID: id, From: d.Uvarint("first ordinal"), Count: d.Uvarint("number of leaves")}
	sum := d.Take("checksum", codec.SumSize)
	if err := d.End(); err != nil {
		return l, err
	}
	if l.Count == 0 || l.Count > maxSegment {
		return l, fmt.Errorf("%d leaves, expected 1 to %d", l.Count, maxSegment)
	}
	l.Footer = binary.BigEndian.Uint32(sum)
	return l, nil
}
