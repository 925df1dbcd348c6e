package proof

import "fmt"

// CompleteWriter writes complete proofs of the leaves of one batch: the bytes of [Complete] and [File.Marshal], without building the tree,
// for whoever answers tens of thousands of questions a second. All that follows on the batch's root is the same in each: it is made and
// checked once. It is safe for concurrent use.
type CompleteWriter struct {
	root [32]byte
	rest []byte // serialized: from the root on
	ops  int    // operations in rest, one after the other
}

// NewCompleteWriter returns a writer for the batch with that root. a says how the root got into a block; its Path does not count. It is
// refused unless it leads there, as by [Complete].
func NewCompleteWriter(root [32]byte, a Anchored) (*CompleteWriter, error) {
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

// Append appends the proof of a digest to b. It refuses a path that does not lead from the digest's leaf to the root.
func (w *CompleteWriter) Append(b []byte, digest, nonce [32]byte, path []Step) ([]byte, error) {
	const ops = 2 // that lead to the leaf
	if err := w.check(Leaf(digest[:], nonce), path, ops); err != nil {
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

// AppendTimestamp appends what leads from a leaf on, without a file's header: the bytes of [LeafTimestamp] and [Timestamp.Marshal].
func (w *CompleteWriter) AppendTimestamp(b []byte, leaf [32]byte, path []Step) ([]byte, error) {
	if err := w.check(leaf, path, 0); err != nil {
		return b, err
	}
	return w.append(b, path), nil
}

func (w *CompleteWriter) check(leaf [32]byte, path []Step, ops int) error {
	if root := Climb(leaf, path); root != w.root {
		return fmt.Errorf("the path leads from leaf %x to the root %x, but that of the batch is %x", leaf, root, w.root)
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
