package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
)

const (
	proofSuffix  = ".ots"
	backupSuffix = ".bak" // of a proof that was replaced: FILE.ots.bak, as the ots client has it

	// proofMode is before the umask: proofs are there to be shown.
	proofMode = 0o644

	// privateMode is what a file has until it gets the mode of another one.
	privateMode = 0o600
)

// Files come to be in one step, as internal/atomicfile has it. The directory is not synced: after a
// loss of power a new name may be missing, but never names half a proof, and whoever stamps again
// gets the same proof.
//
// The content is synced although the daemon has the digest on its disk and would give the proof
// again: without that, some file systems keep the new name over a loss of power and not the
// content, and an empty FILE.ots would be in the way of the next stamp. It is about half of what a
// proof costs to write (measured: 0.15 ms, with several written at once), and less than hashing a
// file of some hundred kilobytes.

// mayWrite refuses to make a file where one is, unless force is set.
func mayWrite(path string, force bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return usagef("%s is not a regular file: name a file", path)
	case !force:
		return fmt.Errorf("%s is there already: name another file, or replace it with --force", path)
	}
	return nil
}

// writeWhole has write fill a large file, which is there whole or not at all. With force it may
// replace another one: see [atomicfile.Fill].
func writeWhole(path string, force bool, mode fs.FileMode, write func(io.Writer) error) error {
	err := atomicfile.Fill(path, force, mode, write)
	if errors.Is(err, fs.ErrExist) {
		err = errors.New("another file of that name has appeared meanwhile: name another one, or replace it with --force")
	}
	if err != nil {
		return fmt.Errorf("nothing was written to %s: %w", path, err)
	}
	return nil
}

// readProof reads and parses a proof that was named. The error names no file.
func readProof(path string) (*proof.File, []byte, error) { return (*tree)(nil).readProof(path) }

// readProof reads and parses a proof. The error names no file.
func (t *tree) readProof(path string) (*proof.File, []byte, error) {
	file, err := t.openProof(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	f, data, err := parseProof(file)
	if err != nil && !bytes.HasPrefix(data, []byte(proofMagic)) {
		switch {
		case receipt.LooksLike(data) && (isReceiptName(path) || receipt.NamesChainpoint(data)):
			err = notProofError{`this is a receipt, not a .ots: "ancre verify" reads it`, err}
		case !isProofName(path):
			err = noProofError{notProofError{fmt.Sprintf("this is not a proof, and there is no %s", shown(path+proofSuffix)), err}}
		}
	}
	return f, data, err
}

// notProofError says of a file in plain words why it cannot be read as a proof.
type notProofError struct {
	text  string
	cause error
}

func (e notProofError) Error() string { return e.text }
func (e notProofError) Unwrap() error { return e.cause }

// noProofError says of a file, which is no proof itself, that there is none beside it.
type noProofError struct{ notProofError }

// parseProof reads a proof, and no more than a proof can be.
func parseProof(r io.Reader) (*proof.File, []byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, proof.MaxSize+1))
	if err != nil {
		return nil, nil, err
	}
	f, err := proof.Parse(data)
	return f, data, err
}

// plainError leaves out of an error of the file system what is said anyway: the operation and the
// path.
func plainError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

// isOthers says whether a file is none of ours that was left behind.
func isOthers(name string) bool {
	return !atomicfile.IsTemp(name)
}

// isProofName says whether proofs have such names, replaced ones included.
func isProofName(path string) bool {
	return hasProofSuffix(path) || hasProofSuffix(strings.TrimSuffix(path, backupSuffix))
}

// isProof says whether a file has the name and the first bytes of a proof.
func (t *tree) isProof(path string) bool {
	return isProofName(path) && string(t.head(path, len(proofMagic))) == proofMagic
}

// proofMagic begins every proof.
const proofMagic = "\x00OpenTimestamps\x00\x00Proof\x00"

// proofPath finds the proof that an argument means: itself, or FILE.ots when FILE is no proof and
// has one beside it.
func proofPath(arg string) string {
	if hasProofSuffix(arg) {
		return arg
	}
	for _, suffix := range []string{proofSuffix, strings.ToUpper(proofSuffix)} {
		if exists(arg + suffix) {
			return arg + suffix
		}
	}
	return arg
}

// parseDigest reads what stands after --digest.
func parseDigest(s string) ([32]byte, error) {
	var d [32]byte
	if len(s) == 2*len(d) {
		if _, err := hex.Decode(d[:], []byte(s)); err == nil {
			return d, nil
		}
	}
	return d, usagef("digest %q: must be %d hexadecimal digits, the SHA-256 of what is stamped; this has %d characters", humanize.Clip(s), 2*len(d), len(s))
}
