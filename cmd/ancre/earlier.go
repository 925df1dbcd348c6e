package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
)

// FILE.ots is the proof of what FILE is now. If FILE has changed since, stamp keeps the earlier
// proof as FILE.DATE.ots, and no proof is ever lost. DATE is the day of the earlier proof, in UTC:
// that of its block, or of the last write to the proof if it is pending. A second proof of one day
// is FILE.DATE_2.ots. What belongs to the earlier proof goes with it: FILE.ots.bak and receipts.

// maxEarlier is how many proofs of one file are kept for one day.
const maxEarlier = 1000

// earlierName is how the name of an earlier proof looks, without .ots.
var earlierName = regexp.MustCompile(`\.[0-9]{4}-[0-9]{2}-[0-9]{2}(_[0-9]{1,4})?$`)

// cutDate returns FILE if a name is FILE.DATE. A file may itself have a name that ends in a date:
// then its proofs are its own.
func (t *tree) cutDate(dated string) (file string, ok bool) {
	at := earlierName.FindStringIndex(filepath.Base(dated))
	if at == nil || at[0] == 0 || t.exists(dated) {
		return "", false
	}
	return dated[:len(dated)-(at[1]-at[0])], true
}

// exists reports whether something has that name.
func (t *tree) exists(path string) bool {
	dir, name, err := t.openParent(path)
	if err != nil {
		return false
	}
	defer dir.Close()
	_, err = dir.Lstat(name)
	return err == nil
}

// earlierError says that a proof or a receipt is about what a file was before.
type earlierError struct{ file string }

func (e *earlierError) Error() string {
	return fmt.Sprintf("is about an earlier version of %s", shown(filepath.Base(e.file)))
}

// ofEarlier fills in that the earlier version of a file is needed to check its proof. In a tree,
// that is as expected: nobody kept it.
func (r *fileResult) ofEarlier(e *earlierError) {
	if r.tree != nil {
		r.Result, r.Reason, r.left = skipped, e.Error(), leftEarlier
		return
	}
	r.unverifiable(e.Error(), "that version: name it with -f")
}

// earlierProofs lists the earlier proofs of a file, the newest first.
func (t *tree) earlierProofs(file string) []string {
	dir, name, err := t.openParent(file)
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, _ := dir.ReadDir() // what cannot be read is not found
	var list []string
	for _, e := range entries {
		path := filepath.Join(filepath.Dir(file), e.Name())
		if dated, ok := cutProofSuffix(path); ok && strings.HasPrefix(e.Name(), name) {
			if of, ok := t.cutDate(dated); ok && of == filepath.Clean(file) {
				list = append(list, path)
			}
		}
	}
	slices.Reverse(list)
	return list
}

// earlierProof finds the earlier proof of a file that is about a digest.
func (t *tree) earlierProof(file string, op proof.Tag, digest []byte) (path string, f *proof.File) {
	for _, path := range t.earlierProofs(file) {
		if f, _, err := t.readProof(path); err == nil && f.HashOp == op && bytes.Equal(f.Digest, digest) {
			return path, f
		}
	}
	return "", nil
}

// replaceEarlier keeps the proof that is there as an earlier one, and puts the new one in its
// place. After a crash in between, the next stamp does the rest.
func (s *stamper) replaceEarlier(ctx context.Context, j *stampJob) error {
	h, err := j.tree.hold(j.ProofFile, int64(len(j.was))+1)
	if err != nil {
		return err
	}
	defer h.dir.Close()
	if !bytes.Equal(h.data, j.was) {
		return atomicfile.ErrChanged
	}
	date := s.dateOf(ctx, j.before, h.info)
	if j.EarlierProof, err = j.tree.keepEarlier(j.File, j.ProofFile, h, j.before, date); err != nil {
		return fmt.Errorf("the earlier proof cannot be kept: %w", plainError(err))
	}
	return h.dir.Replace(h.name, h.info, j.after)
}

// dateOf returns the day of a proof: that of its block if the daemon has it, else that on which the
// file was written.
func (s *stamper) dateOf(ctx context.Context, f *proof.File, info fs.FileInfo) time.Time {
	var date time.Time
	for _, a := range f.Attestations() {
		height, ok := a.Height()
		if !ok || a.Kind() != proof.KindBitcoin {
			continue
		}
		h, err := s.client.Header(ctx, height)
		if err == nil && bytes.Equal(h.MerkleRoot[:], a.Msg) && (date.IsZero() || h.Time.Before(date)) {
			date = h.Time
		}
	}
	if date.IsZero() {
		return info.ModTime()
	}
	return date
}

// keepEarlier copies a proof to the first name of an earlier proof that is free or holds the same
// already, and returns it.
func (t *tree) keepEarlier(file, ots string, h *heldFile, f *proof.File, date time.Time) (string, error) {
	dir, name, err := t.openParent(file)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	for n := 1; n <= maxEarlier; n++ {
		dated := name + "." + date.UTC().Format(time.DateOnly)
		if n > 1 {
			dated += fmt.Sprintf("_%d", n)
		}
		if _, err := dir.Lstat(dated); err == nil {
			continue // a file, and the proof of that name is its own
		}
		to := dated + proofSuffix
		err := h.copyTo(dir, to)
		if errors.Is(err, fs.ErrExist) {
			if kept, err := readIn(dir, to, int64(len(h.data))); err != nil || !bytes.Equal(kept, h.data) {
				continue
			}
		} else if err != nil {
			return "", tooLong(to, err, "give the file a shorter name")
		}
		moveCompanions(dir, name, filepath.Base(ots), dated, f)
		return filepath.Join(filepath.Dir(file), to), dir.Sync()
	}
	return "", fmt.Errorf("there are %s of that day already", humanize.Plural(maxEarlier, "earlier proof", "earlier proofs"))
}

// readIn reads a file of at most limit bytes. A longer one is cut after one more.
func readIn(dir *atomicfile.Dir, name string, limit int64) ([]byte, error) {
	f, _, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// moveCompanions gives what belongs to an earlier proof the earlier proof's name: its backup and
// its receipts. What is about something else stays, and so does what cannot be moved: it can be
// made again.
func moveCompanions(dir *atomicfile.Dir, name, ots, dated string, f *proof.File) {
	if data, err := readIn(dir, ots+backupSuffix, proof.MaxSize); err == nil {
		if bak, err := proof.Parse(data); err == nil && bak.HashOp == f.HashOp && bytes.Equal(bak.Digest, f.Digest) {
			_ = dir.Move(ots+backupSuffix, dated+proofSuffix+backupSuffix)
		}
	}
	for _, kind := range receiptKinds {
		data, err := readIn(dir, name+kind.suffix, receipt.MaxSize)
		if err != nil {
			continue
		}
		if r, err := receipt.Parse(data); err == nil && f.HashOp == proof.SHA256 && string(f.Digest) == string(digestOf(r)) {
			_ = dir.Move(name+kind.suffix, dated+kind.suffix)
		}
	}
}

func digestOf(r receipt.Receipt) []byte {
	d := r.Digest()
	return d[:]
}
