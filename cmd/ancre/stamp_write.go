package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/internal/printable"
	"ancre/proof"
)

// write writes a proof to its file, or to standard output.
func (s *stamper) write(ctx context.Context, j *stampJob) *stampJob {
	if j.Result != "" {
		return j
	}
	j.Result = stamped
	var err error
	switch {
	case j.ProofFile == "-":
		if s.options.wait && !j.Complete {
			break // it is written when it is complete
		}
		if j.Proof = j.after; !s.json {
			_, err = printable.Raw(s.out).Write(j.after)
		}
	default:
		err = s.put(ctx, j)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, atomicfile.ErrChanged) {
			// The proof appeared or changed meanwhile: the same file was named twice, or another
			// ancre stamps it too.
			if j.before, j.was, err = j.tree.readProof(j.ProofFile); err == nil {
				j.changed = j.before.HashOp != proof.SHA256 || !bytes.Equal(j.before.Digest, j.digest[:])
				err = s.put(ctx, j)
			}
		}
	}
	if err != nil {
		j.fail(fmt.Errorf("the proof %s cannot be written: %w", shown(humanize.Clip(j.ProofFile)), tooLong(j.ProofFile, plainError(err), "name a shorter one with -o")))
	}
	return j
}

// put puts the new proof where the file's proof belongs.
func (s *stamper) put(ctx context.Context, j *stampJob) error {
	switch {
	case j.before == nil:
		return j.tree.create(j.ProofFile, j.after, j.parent)
	case j.changed:
		return s.replaceEarlier(ctx, j)
	}
	return s.extend(j)
}

// extend merges the new proof into the one that is there.
func (s *stamper) extend(j *stampJob) error {
	f, err := proof.Parse(j.after)
	if err != nil {
		return err
	}
	if f.Timestamp, err = proof.Merge(j.before.Timestamp, f.Timestamp); err != nil {
		return err
	}
	if f.Timestamp, err = proof.DropFulfilled(f.Timestamp); err != nil {
		return err
	}
	if j.after, err = f.Marshal(); err != nil {
		return err
	}
	old, err := j.before.Marshal()
	if err != nil {
		return err
	}
	if bytes.Equal(old, j.after) {
		j.Result = already
		return nil
	}
	return j.tree.replace(j.ProofFile, j.was, j.after, false)
}

// print writes the result of a file.
func (s *stamper) print(j *stampJob) {
	s.bar.AddFile()
	if j.Result == failed {
		s.exit = exitFailed
	}
	s.counts.add(&j.fileResult, j.counted())
	if s.options.wait && (j.Result == stamped || j.Result == already) && !j.Complete && j.Batch != 0 {
		w := &waiter{fileResult: j.fileResult, digest: j.digest}
		var err error
		if j.ProofFile == "-" { // others are read again: many proofs may wait, for hours
			w.file, err = proof.Parse(j.after)
		}
		if err == nil {
			s.waiting = append(s.waiting, w)
			return
		}
	}
	s.bar.Above(func() {
		if s.json {
			s.printJSON(&j.fileResult, true)
			return
		}
		state := "pending"
		if j.Complete {
			state = "complete"
		} else if j.Batch != 0 {
			state += ", in batch " + humanize.Count(j.Batch)
		}
		switch j.Result {
		case failed:
			s.complain("%s: %s", (&fileResult{File: j.File}).name(), j.Reason)
		case already:
			if j.tree == nil { // of a tree, the summary counts them
				s.say("%s: stamped already (%s)\n", j.name(), state)
			}
		case stamped:
			if j.EarlierProof != "" {
				s.say("%s: stamped (%s); the file has changed, and its earlier proof is now %s\n", j.name(), state, shown(filepath.Base(j.EarlierProof)))
			} else if j.ProofFile != "-" {
				s.say("%s: stamped (%s)\n", j.name(), state)
			}
		}
	})
}

// counted is what a tally counts the result as.
func (j *stampJob) counted() outcome {
	switch {
	case j.Result == stamped && j.EarlierProof != "":
		return restamped
	case j.Result == already:
		return unchanged
	}
	return j.Result
}

// stamped returns how many files have a new proof.
func (s *stamper) stamped() int { return s.counts.results[stamped] + s.counts.results[restamped] }

// summarize says what was done. Of single files, their own lines say it.
func (s *stamper) summarize() {
	if n := s.stamped(); n > 0 && len(s.waiting) == 0 {
		s.note("%s. \"ancre upgrade\" completes what is pending once Bitcoin has confirmed it, usually within a day.", humanize.Plural(n, "file stamped", "files stamped"))
	}
	if n := s.counts.left[leftProofs]; n > 0 && !s.options.recursive {
		s.note("%s skipped: a proof needs no proof.", humanize.Plural(n, "proof", "proofs"))
	}
	if s.options.recursive {
		s.summary(&s.counts, []outcome{stamped, restamped, unchanged, failed}, map[outcome]string{restamped: "changed (earlier proofs kept)"})
	}
}

// interrupted adds to an error how many files were stamped.
func (s *stamper) interrupted(err error) error {
	s.bar.Finish()
	if n := s.stamped(); n > 0 {
		s.note("%s before this. Their hashes are submitted, and their proofs are written.", humanize.Plural(n, "file was stamped", "files were stamped"))
	}
	return err
}
