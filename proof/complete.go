package proof

import "fmt"

// CompleteWriter writes complete proofs of the leaves of one batch: the bytes of [Complete] and
// [File.Marshal], without building the tree, for whoever answers tens of thousands of questions a
// second. All that follows on the batch's root is the same in each: it is made and checked once. It
// is safe for concurrent use.
type CompleteWriter struct {
	root [32]byte
	rest []byte // serialized: from the root on
	ops  int    // operations in rest, one after the other
}

// NewCompleteWriter returns a writer for the batch with that root. a says how the root got into a
// block; its Path does not count. It is refused unless it leads there, as by [Complete].
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

// Waypoint is a node that a path comes through, and from where on the rest of the path is known to
// lead to the root: so it need not be climbed for each leaf below. The zero value says that nothing
// is known.
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

// AppendTimestamp appends what leads from a leaf on, without a file's header: the bytes of
// [LeafTimestamp] and [Timestamp.Marshal].
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

// Size is how many bytes Append appends for a path of so many steps.
func (w *CompleteWriter) Size(steps int) int {
	return len(magic) + 2 + 32 + 2 + 32 + 1 + steps*(2+32+1) + len(w.rest)
}
