package server

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"ancre/batcher"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// This file is the fast path for digests and their proofs, without reflection. scan reads what
// clients usually send; appendEntry and appendProof write the answers. Correctness does not depend
// on it: decode and parseParams read whatever scan does not take, and they would read what scan
// takes to the same effect. Tests hold both.

// scan reads the usual call of submit, submitbatch, getstatus or getproof (of an .ots file): an
// object with the four members of JSON-RPC in any order, strings without escapes, an id that is a
// string or an integer, and parameters by position. It returns false for everything else, valid or
// not. The digests go into the memory of room as far as it suffices.
func scan(body []byte, room [][32]byte) (r request, ok bool) {
	s := scanner{b: body, room: room[:0]}
	if !s.take('{') || !s.member(&r) {
		return r, false
	}
	for s.take(',') {
		if !s.member(&r) {
			return r, false
		}
	}
	if !s.take('}') {
		return r, false
	}
	s.space()
	return r, s.i == len(s.b) && r.digests != nil && s.fits(r.method)
}

// shape is how parameters look.
type shape int

const (
	oneDigest   shape = iota + 1 // ["DIGEST"]
	digestAsOTS                  // ["DIGEST","ots"], where ots is the default
	manyDigests                  // [["DIGEST", …]]
)

// shapes are those that scan takes, for each method.
var shapes = [...]struct {
	method    string
	shape, or shape
}{
	{rpc.MethodSubmit, oneDigest, oneDigest},
	{rpc.MethodSubmitBatch, manyDigests, manyDigests},
	{rpc.MethodGetStatus, oneDigest, oneDigest},
	{rpc.MethodGetProof, oneDigest, digestAsOTS},
}

// scanner reads b from i on. When a function fails it may leave i anywhere: scan gives up then.
type scanner struct {
	b          []byte
	i          int
	room       [][32]byte
	hasVersion bool
	shape      shape // of the parameters
}

// member reads one member of the call.
func (s *scanner) member(r *request) bool {
	name, ok := s.text()
	if !ok || !s.take(':') {
		return false
	}
	switch string(name) {
	case "jsonrpc":
		return s.version(r)
	case "id":
		if r.id != nil {
			return false
		}
		r.id, ok = s.id()
		return ok
	case "method":
		return s.method(r)
	case "params":
		if r.params != nil {
			return false
		}
		s.shape, ok = s.params(r)
		return ok
	}
	return false
}

// version reads the value of "jsonrpc".
func (s *scanner) version(r *request) bool {
	version, ok := s.text()
	if !ok || s.hasVersion {
		return false
	}
	s.hasVersion = true
	switch string(version) {
	case "2.0":
		r.v2 = true
	case "1.0", "1.1":
	default:
		return false
	}
	return true
}

// method reads the value of "method".
func (s *scanner) method(r *request) bool {
	m, ok := s.text()
	if !ok || r.method != "" {
		return false
	}
	for i := range shapes {
		if shapes[i].method == string(m) {
			r.method = shapes[i].method
			return true
		}
	}
	return false
}

// fits reports whether the parameters have a shape that the method takes.
func (s *scanner) fits(method string) bool {
	for i := range shapes {
		if shapes[i].method == method {
			return shapes[i].shape == s.shape || shapes[i].or == s.shape
		}
	}
	return false
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

// take reads one character, after space.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// text reads a string of plain ASCII without escapes, after space, and returns it without the
// quotes.
func (s *scanner) text() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	start := s.i
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1], true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// id reads a string or a natural number, and returns it as it is written.
func (s *scanner) id() ([]byte, bool) {
	s.space()
	start := s.i
	if s.i < len(s.b) && s.b[s.i] == '"' {
		_, ok := s.text()
		return s.b[start:s.i], ok
	}
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	n := s.i - start
	return s.b[start:s.i], n == 1 || n > 1 && s.b[start] != '0'
}

// params reads parameters of any shape.
func (s *scanner) params(r *request) (is shape, ok bool) {
	s.space()
	start := s.i
	if !s.take('[') {
		return 0, false
	}
	if s.take('[') {
		is, ok = manyDigests, s.digests(r)
	} else {
		is, ok = s.one(r)
	}
	if !ok || !s.take(']') {
		return 0, false
	}
	r.params = s.b[start:s.i]
	return is, true
}

// one reads a digest, and perhaps a format.
func (s *scanner) one(r *request) (is shape, ok bool) {
	r.digests = append(s.room, [32]byte{})
	if !s.digest(&r.digests[0]) {
		return 0, false
	}
	if !s.take(',') {
		return oneDigest, true
	}
	format, ok := s.text()
	return digestAsOTS, ok && string(format) == rpc.FormatOTS
}

// digests reads an array of digests after its opening bracket.
func (s *scanner) digests(r *request) bool {
	// A digest takes 67 bytes, quotes and comma included. So the memory is right at once if there
	// are no spaces.
	const perDigest = 67
	r.digests = slices.Grow(s.room, min((len(s.b)-s.i)/perDigest+1, rpc.MaxDigests))
	for {
		if len(r.digests) == rpc.MaxDigests {
			return false
		}
		r.digests = append(r.digests, [32]byte{})
		if !s.digest(&r.digests[len(r.digests)-1]) {
			return false
		}
		if !s.take(',') {
			return s.take(']')
		}
	}
}

// scanned returns the parameters of a call that scan has read. The first one is the digests. The
// others have their defaults: scan takes only calls in which they change nothing.
func scanned(m *method, digests [][32]byte) args {
	a := args{params: m.Params, values: make([]arg, len(m.Params))}
	a.values[0] = arg{set: true, digests: digests}
	for i := 1; i < len(a.values); i++ {
		a.values[i] = arg{set: true, text: m.Params[i].Default}
	}
	return a
}

// digest reads one digest, quotes included.
func (s *scanner) digest(dst *[32]byte) bool {
	const n = 2 * len(dst)
	if !s.take('"') || len(s.b)-s.i <= n || s.b[s.i+n] != '"' {
		return false
	}
	ok := decodeDigest(dst, s.b[s.i:s.i+n])
	s.i += n + 1
	return ok
}

// lowerHex is the value of each lower-case hexadecimal digit, and notHex for every other byte.
var lowerHex = func() (t [256]byte) {
	for i := range t {
		t[i] = notHex
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

const notHex = 0xff

// decodeDigest reads 64 lower-case digits. encoding/hex would take upper case too.
func decodeDigest(dst *[32]byte, text []byte) bool {
	if len(text) != 2*len(dst) {
		return false
	}
	var bad byte
	for i := range dst {
		hi, lo := lowerHex[text[2*i]], lowerHex[text[2*i+1]]
		bad |= hi | lo
		dst[i] = hi<<4 | lo
	}
	return bad < 0x10
}

// appendEntry writes the same as encoding/json would write of entryOf(st, proof).
func appendEntry(dst []byte, st *batcher.Status, proof []byte) []byte {
	dst = appendState(dst, st)
	if len(proof) > 0 {
		dst = append(dst, `,"proof":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, proof)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendState writes an entry without the proof and the closing brace.
func appendState(dst []byte, st *batcher.Status) []byte {
	dst = append(dst, `{"digest":"`...)
	dst = hex.AppendEncode(dst, st.Digest[:])
	dst = append(dst, `","state":"`...)
	dst = append(dst, st.Progress.State...) // one of five words: nothing to escape
	dst = append(dst, `","batch":`...)
	dst = strconv.AppendUint(dst, st.Position.Batch, 10)
	dst = append(dst, `,"index":`...)
	dst = strconv.AppendUint(dst, st.Position.Index, 10)
	if st.Progress.TxID != (chainhash.Hash{}) {
		dst = append(dst, `,"txid":"`...)
		dst = appendReversed(dst, &st.Progress.TxID)
		dst = append(dst, '"')
	}
	if st.Progress.Height != 0 {
		dst = append(dst, `,"height":`...)
		dst = strconv.AppendInt(dst, int64(st.Progress.Height), 10)
	}
	if st.Progress.BlockHash != (chainhash.Hash{}) {
		dst = append(dst, `,"blockhash":"`...)
		dst = appendReversed(dst, &st.Progress.BlockHash)
		dst = append(dst, '"')
	}
	if !st.Progress.BlockTime.IsZero() {
		dst = append(dst, `,"blocktime":"`...)
		dst = st.Progress.BlockTime.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	if st.Progress.Confirmations != 0 {
		dst = append(dst, `,"confirmations":`...)
		dst = strconv.AppendInt(dst, int64(st.Progress.Confirmations), 10)
	}
	return dst
}

// appendProof writes the same as encoding/json would write of an [rpc.Proof] with an .ots file.
func appendProof(dst []byte, st *batcher.Status, ots []byte, complete bool) []byte {
	dst = appendEntry(dst, st, ots)
	dst = append(dst[:len(dst)-1], `,"format":"`+rpc.FormatOTS+`","complete":`...)
	return append(strconv.AppendBool(dst, complete), '}')
}

// appendReversed writes a hash as Bitcoin's tools display it.
func appendReversed(dst []byte, h *chainhash.Hash) []byte {
	var r chainhash.Hash
	for i, b := range h {
		r[len(r)-1-i] = b
	}
	return hex.AppendEncode(dst, r[:])
}
