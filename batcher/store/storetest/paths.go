package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"ancre/batcher/store"
	"ancre/batcher/store/tree"
	"ancre/proof"
)

// nodesOf are n nodes above the leaves that follow from none.
func nodesOf(batch, start, n uint64) store.Nodes {
	nodes := store.Nodes{Batch: batch, Height: tree.HeightStep, Start: start}
	for i := range n {
		nodes.Hashes = append(nodes.Hashes, Node(batch, 1, start+i))
	}
	return nodes
}

// Seal returns what seals a batch of leaves of [Leaf]: the batch with its root, and the nodes of
// its tree.
func Seal(b store.Batch) (store.Batch, []store.Nodes) {
	var nodes []store.Nodes
	t := tree.New(b.ID, func(n store.Nodes) error {
		nodes = append(nodes, n)
		return nil
	})
	err := t.Add(Leaves(b.ID, 0, b.Count))
	if err == nil {
		b.Root, err = t.Root()
	}
	if err != nil { // keep gives none
		panic(err)
	}
	b.State = store.Sealed
	return b, nodes
}

// Paths gives the paths of many leaves of one batch. Each is that of [proof.Path], which hashes the
// whole batch for one path; Paths remembers the roots of runs of leaves.
type Paths struct {
	leaves []store.Leaf
	roots  [][32]byte // of each run of pathRun leaves
}

// pathRun is a power of two, so that a path within a run and the path of the run's root are one
// path.
const pathRun = 256

// NewPaths returns the paths of a batch with these leaves.
func NewPaths(leaves []store.Leaf) *Paths {
	p := &Paths{leaves: leaves}
	for run := range slices.Chunk(leaves, pathRun) {
		p.roots = append(p.roots, proof.Root(run))
	}
	return p
}

// Path returns the siblings from a leaf up to the root.
func (p *Paths) Path(index uint64) []proof.Step {
	start := index / pathRun * pathRun
	run := p.leaves[start:min(start+pathRun, uint64(len(p.leaves)))]
	return append(proof.Path(run, int(index-start)), proof.Path(p.roots, int(index/pathRun))...)
}

func testPaths(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	counts := []uint64{1, 2, 15, 16, 17, 255, 256, 257, 300*16 + 1, 4096 + 256 + 3, 16*4096 + 1}
	var batches []store.Batch
	for i, n := range counts {
		b := store.Batch{ID: uint64(i) + 1, State: store.Open, Opened: Time(1)}
		for b.Count < n {
			start := b.Count
			if b.Count = min(start+20_011, n); b.Count == n {
				b.State, b.Closed = store.Closed, Time(2)
			}
			f.append(Group([]store.Batch{b}, b.ID, start, b.Count))
		}
		p, err := f.Locate(ctx, Leaf(b.ID, 0))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = f.Path(ctx, nil, &b, p)
		wantError(t, "a path before the batch is sealed", err, store.ErrNotFound)

		sealed, nodes := Seal(b)
		if len(nodes) > 0 { // what an interrupted sealing leaves, damaged, which is then written again
			wrong := nodes[0]
			wrong.Hashes = slices.Clone(wrong.Hashes)
			wrong.Hashes[0][0]++
			f.apply(&store.Update{Nodes: []store.Nodes{wrong}})
			f.apply(&store.Update{Nodes: nodes[:1]})
		}
		f.apply(&store.Update{Batches: []store.Batch{sealed}, Nodes: nodes})
		batches = append(batches, sealed)
	}
	f.twice(func() {
		for i := range batches {
			f.wantPaths(&batches[i])
		}
	})
}

// wantPaths checks paths from many leaves of a sealed batch.
func (f *fixture) wantPaths(b *store.Batch) {
	f.t.Helper()
	f.wantBatch(*b)
	leaves := Leaves(b.ID, 0, b.Count)
	paths := NewPaths(leaves)
	for _, at := range []uint64{0, b.Count / 2, b.Count - 1} {
		if got, want := paths.Path(at), proof.Path(leaves, int(at)); !slices.Equal(got, want) {
			f.t.Fatalf("leaf %d of %d: the path is\n%v, want\n%v", at, b.Count, got, want)
		}
	}
	for at := range b.Count {
		if at > 40 && at < b.Count-40 && at%257 > 1 {
			continue
		}
		if err := f.checkPath(b, at, leaves, paths.Path(at)); err != nil {
			f.t.Fatalf("leaf %d of batch %d, which has %d: %v", at, b.ID, b.Count, err)
		}
	}
	past := store.Place{Position: store.Position{Batch: b.ID, Index: b.Count}}
	if _, _, err := f.Path(f.t.Context(), nil, b, past); !errors.Is(err, store.ErrDamaged) {
		f.t.Fatalf("the path of a leaf past the end of batch %d: %v", b.ID, err)
	}
}

// checkPath compares the path of a leaf with the one that is wanted.
func (f *fixture) checkPath(b *store.Batch, at uint64, leaves []store.Leaf, want []proof.Step) error {
	ctx := f.t.Context()
	p, err := f.Locate(ctx, leaves[at])
	if want := (store.Position{Batch: b.ID, Index: at}); err != nil || p.Position != want {
		return fmt.Errorf("it is at %v, %w", p.Position, err)
	}
	before := proof.Step{Left: true, Hash: [32]byte{1}}
	path, way, err := f.Path(ctx, []proof.Step{before}, b, p)
	if err != nil {
		return err
	}
	if path[0] != before {
		return fmt.Errorf("the step before its path became %v", path[0])
	}
	path = path[1:]
	if root := proof.RootFromPath(leaves[at], path); root != b.Root {
		return fmt.Errorf("its path leads to %x, and the root is %x", root, b.Root)
	}
	if !slices.Equal(path, want) {
		return fmt.Errorf("its path is\n%v, want\n%v", path, want)
	}
	if len(p.Near) > len(path) || !slices.Equal(p.Near, path[:len(p.Near)]) {
		return fmt.Errorf("its path does not begin with %v", p.Near)
	}
	if way != (proof.Waypoint{}) && (way.Steps > len(path) || proof.RootFromPath(leaves[at], path[:way.Steps]) != way.Node) {
		return fmt.Errorf("its path does not lead to the waypoint %v", way)
	}
	bare, _, err := f.Path(ctx, nil, b, store.Place{Position: p.Position})
	if err == nil && !slices.Equal(bare, want) {
		err = fmt.Errorf("without the first steps, its path is\n%v, want\n%v", bare, want)
	}
	return err
}

// testWrongRoot seals a batch with a root that does not follow from its leaves, as if these were
// damaged. The engine may leave it to the caller to see that, but only if it gives no waypoint.
func testWrongRoot(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	for i, n := range []uint64{300, 5000} {
		b := store.Batch{ID: uint64(i) + 1, State: store.Closed, Count: n, Opened: Time(1), Closed: Time(2)}
		f.append(Group([]store.Batch{b}, b.ID, 0, n))
		sealed, nodes := Seal(b)
		sealed.Root[0]++
		f.apply(&store.Update{Batches: []store.Batch{sealed}, Nodes: nodes})
		for at := uint64(0); at < n; at += 97 {
			p, err := f.Locate(ctx, Leaf(b.ID, at))
			if err != nil {
				t.Fatal(err)
			}
			path, way, err := f.Path(ctx, nil, &sealed, p)
			if errors.Is(err, store.ErrDamaged) {
				continue
			}
			if err != nil {
				t.Fatalf("leaf %d of batch %d: %v", at, b.ID, err)
			}
			if way != (proof.Waypoint{}) || proof.RootFromPath(Leaf(b.ID, at), path) == sealed.Root {
				t.Errorf("leaf %d of batch %d has a path to a root that is not that of its leaves: waypoint %v", at, b.ID, way)
			}
		}
	}
}
