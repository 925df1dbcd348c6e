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
	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/proof/receipt"
)

const (
	proofSuffix  = ".ots"
	backupSuffix = ".bak" // of a proof that was replaced: FILE.ots.bak, as the ots client has it

	// proofMode is before the umask: proofs are there to be shown.
	proofMode = 0o644

	// privateMode is the mode of a new file until it gets that of the file it replaces.
	privateMode = 0o600
)

// Files appear in one step, as internal/atomicfile has it. The directory is not synced. After a
// loss of power a new name may be missing, but it never names half a proof, and stamping again
// gives the same proof.
//
// The content is synced although the daemon has the digest on its disk and would give the proof
// again. Without that, some file systems keep the new name over a loss of power but not the
// content, and an empty FILE.ots would be in the way of the next stamp. The sync is about half of
// what a proof costs to write (measured: 0.15 ms, with several written at once), and less than
// hashing a file of some hundred kilobytes.

// mayWrite refuses a path where a file exists, unless force is set.
func mayWrite(path string, force bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return command.Usagef("%s is not a regular file: name a file", path)
	case !force:
		return fmt.Errorf("%s is there already: name another file, or replace it with --force", path)
	}
	return nil
}

// writeWhole calls write to fill a large file, which then exists whole or not at all. If force is
// set, it may replace another file: see [atomicfile.Fill].
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

// readProof reads and parses a proof that the user named. The error does not name the file.
func readProof(path string) (*proof.File, []byte, error) { return (*tree)(nil).readProof(path) }

// readProof reads and parses a proof. The error does not name the file.
func (t *tree) readProof(path string) (*proof.File, []byte, error) {
	f, data, _, err := t.readProofIdentified(path)
	return f, data, err
}

// readProofIdentified is readProof, and also returns which file it was.
func (t *tree) readProofIdentified(path string) (*proof.File, []byte, atomicfile.Identity, error) {
	file, err := t.openProof(path)
	if err != nil {
		return nil, nil, atomicfile.Identity{}, err
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
	return f, data, atomicfile.Identify(file.info), err
}

// notProofError says in plain words why a file cannot be read as a proof.
type notProofError struct {
	text  string
	cause error
}

func (e notProofError) Error() string { return e.text }
func (e notProofError) Unwrap() error { return e.cause }

// noProofError says that a file is not a proof and has no proof beside it.
type noProofError struct{ notProofError }

// parseProof reads a proof, and not more bytes than a proof can have.
func parseProof(r io.Reader) (*proof.File, []byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, proof.MaxSize+1))
	if err != nil {
		return nil, nil, err
	}
	f, err := proof.Parse(data)
	return f, data, err
}

// plainError leaves the operation and the path out of an error of the file system: the message
// names them anyway.
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

// isOthers reports whether a file is not a temporary file of ours that was left behind.
func isOthers(name string) bool {
	return !atomicfile.IsTemp(name)
}

// isProofName reports whether proofs have such names, replaced ones included.
func isProofName(path string) bool {
	return hasProofSuffix(path) || hasProofSuffix(strings.TrimSuffix(path, backupSuffix))
}

// isProof reports whether a file has the name and the first bytes of a proof.
func (t *tree) isProof(path string) bool {
	return isProofName(path) && string(t.head(path, len(proofMagic))) == proofMagic
}

// proofMagic is how every proof begins.
const proofMagic = "\x00OpenTimestamps\x00\x00Proof\x00"

// proofPath returns the path of the proof that an argument means: the argument itself, or FILE.ots
// if the argument is FILE and FILE.ots exists.
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

// parseDigest reads the value of --digest.
func parseDigest(s string) ([32]byte, error) {
	var d [32]byte
	if len(s) == 2*len(d) {
		if _, err := hex.Decode(d[:], []byte(s)); err == nil {
			return d, nil
		}
	}
	return d, command.Usagef("digest %q: must be %d hexadecimal digits, the SHA-256 of what is stamped; this has %d characters", humanize.Clip(s), 2*len(d), len(s))
}
