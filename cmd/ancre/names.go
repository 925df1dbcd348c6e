package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/proof/receipt"
)

// cutProofSuffix returns the name without .ots, in upper or lower case: some archives come from
// systems with names in capitals.
func cutProofSuffix(name string) (file string, found bool) {
	cut := len(name) - len(proofSuffix)
	if cut < 0 || !strings.EqualFold(name[cut:], proofSuffix) {
		return name, false
	}
	return name[:cut], true
}

// hasProofSuffix reports whether a name ends in .ots.
func hasProofSuffix(name string) bool {
	_, found := cutProofSuffix(name)
	return found
}

// besideSuffixes are the suffixes of receipts beside FILE, ours first. ".json" alone is not among
// them: any file may have it.
var besideSuffixes = append([]string{receiptKinds["v2"].suffix, receiptKinds["v4"].suffix}, slices.Concat(receiptSuffixes, []string{".receipt.json", ".receipt", ".chp"})...)

// receiptsBeside finds the receipts beside FILE: files with their names that look like receipts,
// those with our own names first. The names of Woleet's hold an identifier.
func receiptsBeside(file string) []string {
	var list []string
	for _, suffix := range besideSuffixes {
		if path := file + suffix; !slices.Contains(list, path) && looksLikeReceipt(path) {
			list = append(list, path)
		}
	}
	if len(list) > 0 {
		return list
	}
	dir, base := filepath.Split(file)
	in := dir
	if in == "" {
		in = "."
	}
	entries, _ := os.ReadDir(in) // without them nothing is found
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		for _, suffix := range receiptSuffixes {
			if id, ok := strings.CutSuffix(rest, suffix); ok && anchorID.FindString(id) == id && id != "" && looksLikeReceipt(dir+e.Name()) {
				list = append(list, dir+e.Name())
			}
		}
	}
	return list
}

// looksLikeReceipt reports whether a regular file begins as a receipt does.
func looksLikeReceipt(path string) bool {
	file, _, err := atomicfile.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	start := make([]byte, 64)
	n, _ := file.Read(start)
	return receipt.LooksLike(start[:n])
}

// severalError says that there are several receipts beside a file.
type severalError struct {
	file string
	list []string
}

func (e severalError) Error() string {
	names := make([]string, len(e.list))
	for i, path := range e.list {
		names[i] = shown(path)
	}
	return fmt.Sprintf("there is no %s, and %d receipts are beside it: %s", shown(e.file+proofSuffix), len(e.list), humanize.Few(names))
}

// tooLong explains that a name is too long for the file system. It returns other errors as they
// are. remedy is what to do about it.
func tooLong(path string, err error, remedy string) error {
	if !errors.Is(err, syscall.ENAMETOOLONG) {
		return err
	}
	return fmt.Errorf("the name %s has %d bytes, which is too long for the file system: %s", shown(humanize.Clip(filepath.Base(path))), len(filepath.Base(path)), remedy)
}

// notToStamp replaces the remedy that "ancre stamp" gives when it cannot hash a file. pipe says how
// to give the content on standard input instead.
func notToStamp(err error, pipe string) error {
	switch {
	case errors.Is(err, errDirectory):
		return errors.New("is a directory: name a file")
	case errors.Is(err, errNotRegular):
		return fmt.Errorf("is not a regular file: pipe its content, and %s", pipe)
	}
	return err
}

// isThere reports whether something has that name, even a link that leads nowhere.
func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
