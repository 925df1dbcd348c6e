package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"ancre/proof"
	"ancre/proof/receipt"
)

const (
	proofSuffix  = ".ots"
	backupSuffix = ".bak" // of a proof that was replaced: FILE.ots.bak, as the ots client has it

	// Temporary files that a killed ancre left behind are nobody's content.
	tempPrefix = ".ancre-"
	tempSuffix = ".tmp"

	// proofMode is before the umask: proofs are there to be shown.
	proofMode = 0o644
)

// Files come to be in one step: written under another name in the same directory, synced, then linked or renamed. The
// directory is not synced: after a loss of power a new name may be missing, but never names half a proof, and whoever stamps again
// gets the same proof.
//
// The content is synced although the daemon has the digest on its disk and would give the proof again: without that, some file systems keep the new name
// over a loss of power and not the content, and an empty FILE.ots would be in the way of the next stamp. It is about half of what a
// proof costs to write (measured: 0.15 ms, with several written at once), and less than hashing a file of some hundred kilobytes.

// createFile makes a file that must not exist yet. The error wraps fs.ErrExist when it does.
func createFile(path string, data []byte) error {
	return createAs(path, data, proofMode)
}

// createAs is createFile with a mode, which is before the umask.
func createAs(path string, data []byte, mode fs.FileMode) error {
	temp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	return place(temp, path)
}

// place gives a temporary file its name, which must not be taken: the error wraps fs.ErrExist when it is. The temporary name is gone
// afterwards either way.
func place(temp, path string) error {
	defer os.Remove(temp)
	err := os.Link(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// There are file systems without hard links. Two programs that make the same proof at once might then both
	// succeed, and the later one wins.
	if _, err := os.Lstat(path); err == nil {
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(temp, path)
}

// replaceFile puts data in the place of a file. The file behind a symbolic link is replaced, not the link.
func replaceFile(path string, data []byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temp, err := writeTemp(path, data, info.Mode().Perm())
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return err
	}
	return nil
}

// backUp keeps what is at path under path.bak, unless something is there: what is older is more worth keeping.
// Whoever may not read the one may not read the other.
func backUp(path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := createAs(path+backupSuffix, data, info.Mode().Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeTemp writes and syncs a new file in the directory of path, and returns its name. It leaves nothing behind when it fails.
func writeTemp(path string, data []byte, mode fs.FileMode) (string, error) {
	// The name does not hold that of the file, which may be as long as names can be.
	temp := filepath.Join(filepath.Dir(path), tempPrefix+rand.Text()+tempSuffix)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(temp)
		return "", err
	}
	return temp, nil
}

// readProof reads and parses a proof. The error names no file.
func readProof(path string) (*proof.File, []byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, nil, errors.New("is a directory")
	}
	f, data, err := parseProof(file)
	if err != nil && !bytes.HasPrefix(data, []byte(proofMagic)) {
		switch {
		case receipt.LooksLike(data) && (isReceiptName(path) || receipt.SaysSo(data)):
			err = notProofError{`this is a receipt, not a .ots: "ancre verify" reads it`, err}
		case !isProofName(path):
			err = noProofError{notProofError{fmt.Sprintf("this is no proof, and there is no %s", shown(path+proofSuffix)), err}}
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

// target is one file that a command is about.
type target struct {
	path string
	size int64
	err  error // it cannot be had: the command says so and goes on
}

// plainError leaves out of an error of the file system what is said anyway: the operation and the path.
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

var errDirectory = errors.New("is a directory: use -r for all files in it")

// walk lists what args name: files, and with recursive the regular files in directories that want accepts. Symbolic links are followed
// when they are named, not when they are found. "-" is passed on.
func walk(args []string, recursive bool, want func(name string) bool) iter.Seq[target] {
	return func(yield func(target) bool) {
		for _, arg := range args {
			if arg == "-" {
				if !yield(target{path: arg}) {
					return
				}
				continue
			}
			info, err := os.Stat(arg)
			switch {
			case err != nil:
				if !yield(target{path: arg, err: plainError(err)}) {
					return
				}
			case !info.IsDir():
				if !yield(target{path: arg, size: info.Size()}) {
					return
				}
			case !recursive:
				if !yield(target{path: arg, err: errDirectory}) {
					return
				}
			default:
				if !walkDir(arg, want, yield) {
					return
				}
			}
		}
	}
}

// walkDir reports whether to go on.
func walkDir(dir string, want func(name string) bool, yield func(target) bool) bool {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		t := target{path: path}
		switch {
		case err != nil:
			t.err = plainError(err)
		case d.IsDir(), !d.Type().IsRegular(), !want(d.Name()):
			return nil
		default:
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it went away meanwhile
			}
			if err != nil {
				t.err = plainError(err)
			} else {
				t.size = info.Size()
			}
		}
		if !yield(t) {
			return fs.SkipAll
		}
		if err != nil && d != nil && d.IsDir() {
			return fs.SkipDir // it cannot be read
		}
		return nil
	})
	return err == nil
}

// isOthers says whether a file is none of ours that was left behind.
func isOthers(name string) bool {
	return !strings.HasPrefix(name, tempPrefix) || !strings.HasSuffix(name, tempSuffix)
}

// isProofName says whether proofs have such names, replaced ones included.
func isProofName(path string) bool {
	return hasProofSuffix(path) || hasProofSuffix(strings.TrimSuffix(path, backupSuffix))
}

// isProof says whether a file has the name and the first bytes of a proof.
func isProof(path string) bool {
	if !isProofName(path) {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start := make([]byte, len(proofMagic))
	_, err = io.ReadFull(file, start)
	return err == nil && string(start) == proofMagic
}

// proofMagic begins every proof.
const proofMagic = "\x00OpenTimestamps\x00\x00Proof\x00"

// proofPath finds the proof that an argument means: itself, or FILE.ots when FILE is no proof and has one beside it.
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
	return d, usagef("digest %q: must be %d hexadecimal digits, the SHA-256 of what is stamped; this has %d characters", clip(s), 2*len(d), len(s))
}

// clip shortens what others wrote, for an error.
func clip(s string) string {
	const enough = 80
	if len(s) > enough {
		return s[:enough] + "…"
	}
	return s
}
