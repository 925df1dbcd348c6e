package proof

import "fmt"

// CompleteWriter writes complete proofs for the leaves of one batch. Its output equals that of
// [Complete] followed by [File.Marshal], but it builds no tree, so a server can answer tens of
// thousands of requests a second. Everything from the batch's root on is the same in each proof: it
// is built and checked once. A CompleteWriter is safe for concurrent use.
type CompleteWriter struct {
	root [32]byte
	rest []byte // serialized: from the root on
	ops  int    // operations in rest, one after the other
}

// NewCompleteWriter returns a writer for the batch with that root. a says how the root got into a
// block; a.Path is ignored. Like [Complete], it refuses an inclusion that does not lead to the
// block's Merkle root.
func NewCompleteWriter(root [32]byte, a Inclusion) (*CompleteWriter, error) {
	a.Path = nil
	t, err := LeafTimestamp(root, a)
	if err != nil {
		return nil, err
	}
	w := &CompleteWriter{root: root}
	if w.rest, err = t.Marshal(); err != nil {
		return nil, err
	}
	for ; len(t.Branches) > 0; t = t.Branches[0].Next {
		w.ops++
	}
	return w, nil
}

// Waypoint is a node on a path whose remaining steps are known to lead to the root, so that they
// need not be hashed again for each leaf. The zero value means that no such node is known.
type Waypoint struct {
	Steps int // of the path, from the leaf to the node
	Node  [32]byte
}

// Append appends the proof of a digest to b. It refuses a path that does not lead from the digest's
// leaf to the root, or to the waypoint if there is one.
func (w *CompleteWriter) Append(b []byte, digest, nonce [32]byte, path []Step, way Waypoint) ([]byte, error) {
	const ops = 2 // that lead to the leaf
	if err := w.check(Leaf(digest[:], nonce), path, way, ops); err != nil {
		return b, err
	}
	b = append(b, magic...)
	b = append(b, majorVersion, byte(SHA256))
	b = append(b, digest[:]...)
	b = append(b, byte(Append), byte(len(nonce)))
	b = append(b, nonce[:]...)
	b = append(b, byte(SHA256))
	return w.append(b, path), nil
}

// AppendTimestamp appends the timestamp of a leaf, without a file's header. Its output equals that
// of [LeafTimestamp] followed by [Timestamp.Marshal].
func (w *CompleteWriter) AppendTimestamp(b []byte, leaf [32]byte, path []Step, way Waypoint) ([]byte, error) {
	if err := w.check(leaf, path, way, 0); err != nil {
		return b, err
	}
	return w.append(b, path), nil
}

func (w *CompleteWriter) check(leaf [32]byte, path []Step, way Waypoint, ops int) error {
	if way == (Waypoint{}) {
		way = Waypoint{len(path), w.root}
	}
	if way.Steps < 0 || way.Steps > len(path) {
		return fmt.Errorf("a waypoint after %d steps of a path of %d", way.Steps, len(path))
	}
	if node := RootFromPath(leaf, path[:way.Steps]); node != way.Node {
		return fmt.Errorf("the path leads from leaf %x in %d of %d steps to the node %x, but that of the batch is %x", leaf, way.Steps, len(path), node, way.Node)
	}
	if ops += 2*len(path) + w.ops; ops > MaxDepth {
		return fmt.Errorf("%d operations one after the other, at most %d are allowed", ops, MaxDepth)
	}
	return nil
}

func (w *CompleteWriter) append(b []byte, path []Step) []byte {
	for i := range path {
		b = append(b, byte(path[i].tag()), byte(len(path[i].Hash)))
		b = append(b, path[i].Hash[:]...)
		b = append(b, byte(SHA256))
	}
	return append(b, w.rest...)
}

// Size returns how many bytes Append appends for a path of that many steps.
func (w *CompleteWriter) Size(steps int) int {
	return len(magic) + 2 + 32 + 2 + 32 + 1 + steps*(2+32+1) + len(w.rest)
}
