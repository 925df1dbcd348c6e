package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"ancre/register/store"
)

const (
	proofColumns = "digest, state, added_at, submitted_at, batch, height, block_hash, block_time, complete_at"

	proofQuery         = "SELECT " + proofColumns + " FROM proofs WHERE digest = ?"
	proofsOfBatchQuery = "SELECT " + proofColumns + " FROM proofs WHERE batch = ? AND batch <> 0 ORDER BY digest"
	proofsAfterQuery   = "SELECT " + proofColumns + " FROM proofs WHERE state = ? AND digest > ? ORDER BY digest LIMIT ?"
	waitingQuery       = "SELECT digest FROM proofs INDEXED BY proofs_waiting WHERE state = 'waiting' ORDER BY added_at, digest LIMIT ?"
)

// proofRow is a proof with the batch as SQLite keeps it.
type proofRow struct {
	store.Proof
	batch int64
}

func scanProof(r *proofRow) []any {
	p := &r.Proof
	return []any{digestColumn{&p.Digest}, &p.State, timeColumn{&p.AddedAt}, timeColumn{&p.SubmittedAt}, &r.batch, &p.Height, &p.BlockHash,
		timeColumn{&p.BlockTime}, timeColumn{&p.CompleteAt}}
}

func collectProofs(rows *sql.Rows, err error) ([]store.Proof, error) {
	all, err := collect(rows, err, scanProof)
	proofs := make([]store.Proof, len(all))
	for i := range all {
		proofs[i] = all[i].Proof
		proofs[i].Batch = uint64(all[i].batch)
	}
	return proofs, err
}

// Waiting implements [store.Store].
func (s *Store) Waiting(ctx context.Context, limit int) ([]store.Digest, error) {
	if limit <= 0 {
		limit = -1
	}
	rows, err := s.read.QueryContext(ctx, waitingQuery, limit)
	digests, err := collect(rows, err, func(d *store.Digest) []any { return []any{digestColumn{d}} })
	return digests, s.explain(err)
}

// Proof implements [store.Store].
func (s *Store) Proof(ctx context.Context, d store.Digest) (store.Proof, error) {
	p, err := proofIn(ctx, s.read, d)
	return p, s.explain(err)
}

func proofIn(ctx context.Context, q queryer, d store.Digest) (store.Proof, error) {
	var r proofRow
	err := q.QueryRowContext(ctx, proofQuery, d[:]).Scan(scanProof(&r)...)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("a proof of %s is %w", d, store.ErrNotFound)
	}
	r.Proof.Batch = uint64(r.batch)
	return r.Proof, err
}

// Proofs implements [store.Store].
func (s *Store) Proofs(ctx context.Context, ds []store.Digest) ([]store.Proof, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	stmt, err := s.read.PrepareContext(ctx, proofQuery)
	if err != nil {
		return nil, s.explain(err)
	}
	defer stmt.Close()
	proofs := make([]store.Proof, len(ds))
	for i, d := range ds {
		var r proofRow
		if err := stmt.QueryRowContext(ctx, d[:]).Scan(scanProof(&r)...); errors.Is(err, sql.ErrNoRows) {
			continue
		} else if err != nil {
			return nil, s.explain(err)
		}
		proofs[i] = r.Proof
		proofs[i].Batch = uint64(r.batch)
	}
	return proofs, nil
}

// ProofsOfBatch implements [store.Store].
func (s *Store) ProofsOfBatch(ctx context.Context, batch uint64) ([]store.Proof, error) {
	proofs, err := collectProofs(s.read.QueryContext(ctx, proofsOfBatchQuery, int64(batch)))
	return proofs, s.explain(err)
}

// ProofsAfter implements [store.Store].
func (s *Store) ProofsAfter(ctx context.Context, after *store.Digest, limit int, states ...store.ProofState) ([]store.Proof, error) {
	if len(states) == 0 {
		states = store.ProofStates
	}
	if limit <= 0 {
		limit = -1
	}
	from := []byte{} // before all digests
	if after != nil {
		from = after[:]
	}
	// The index has the digests of each state in their order. So each state is asked alone, for all
	// that the answer can need of it.
	var all []store.Proof
	for i, state := range states {
		if slices.Contains(states[:i], state) {
			continue
		}
		some, err := collectProofs(s.read.QueryContext(ctx, proofsAfterQuery, state, from, limit))
		if err != nil {
			return nil, s.explain(err)
		}
		all = append(all, some...)
	}
	slices.SortFunc(all, func(a, b store.Proof) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	if limit >= 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

// Follow implements [store.Store].
func (s *Store) Follow(ctx context.Context, proofs []store.Proof, cursor string) error {
	for i := range proofs {
		if err := proofs[i].Check(); err != nil {
			return err
		}
	}
	return s.update(ctx, func(t tx) (changed bool, err error) {
		for i := range proofs {
			p := proofs[i]
			was, err := proofIn(t.ctx, t, p.Digest)
			if err != nil {
				return false, err
			}
			if p.AddedAt = was.AddedAt; p == was {
				continue
			}
			changed = true
			_, err = t.exec("UPDATE proofs SET state = ?, submitted_at = ?, batch = ?, height = ?, block_hash = ?, block_time = ?, complete_at = ? WHERE digest = ?",
				p.State, millis(p.SubmittedAt), int64(p.Batch), p.Height, p.BlockHash, millis(p.BlockTime), millis(p.CompleteAt), p.Digest[:])
			if err != nil {
				return false, err
			}
		}
		if cursor != "" {
			_, err = t.exec("UPDATE register SET cursor = ? WHERE cursor <> ?", cursor, cursor)
		}
		return changed, err
	})
}
