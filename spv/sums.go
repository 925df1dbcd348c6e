package spv

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"ancre/internal/atomicfile"
)

// sumsFile holds the checksums of the header files, as they were when the client was closed: for
// each file a line "SHA256 SIZE NAME", then the SHA-256 of those lines. With it, the next start
// finds what the checks of repairHeaders cannot: one flipped bit in an old header, or in any filter
// header. A false filter header would make true filters look false, and the peers that send them
// look like liars.
//
// Each start removes the file. So after a crash, when the header files may have changed for good
// reason, there is none.
const sumsFile = "headers.sum"

// checkSums compares the header files with their checksums. If one differs, it removes them all.
func checkSums(dir string, log *slog.Logger) error {
	path := filepath.Join(dir, sumsFile)
	defer func() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("cannot remove the checksums of the header files: remove them before the next start, or it may download all headers again", "file", path, "err", err)
		}
	}()
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil || !info.Mode().IsRegular() {
		log.Warn("cannot read the checksums of the header files, so a flipped bit in a header file is not found", "file", path, "err", err)
		return nil
	}
	text, err := os.ReadFile(path)
	lines, ok := checkedLines(string(text))
	if err != nil || !ok {
		log.Warn("the checksums of the header files are damaged, so a flipped bit in a header file is not found", "file", path, "err", err)
		return nil
	}
	for _, name := range []string{headersFile, filterHeadersFile} {
		var was string
		for _, line := range lines {
			if strings.HasSuffix(line, " "+name) {
				was = line
			}
		}
		now, err := sumLine(dir, name)
		if err != nil || was == "" || sizeOf(now) != sizeOf(was) {
			continue // repairHeaders sees a file that is missing or has another size
		}
		if now != was {
			log.Error("a header file has changed since it was written, as after a disk error: removing the header files, all headers will be downloaded again",
				"file", filepath.Join(dir, name))
			return removeHeaders(dir)
		}
	}
	return nil
}

// checkedLines returns all lines but the last, which must be the checksum of the others.
func checkedLines(text string) (lines []string, ok bool) {
	body, ok := strings.CutSuffix(text, "\n")
	if !ok {
		return nil, false
	}
	end := strings.LastIndexByte(body, '\n') + 1
	sum := sha256.Sum256([]byte(text[:end]))
	return strings.Split(strings.TrimSuffix(body[:end], "\n"), "\n"), body[end:] == fmt.Sprintf("%x", sum)
}

func sizeOf(line string) string {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return ""
	}
	return fields[1]
}

// sumLine makes the line for a file.
func sumLine(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x %d %s", sum.Sum(nil), size, name), nil
}

// writeSums writes the checksums of the header files, which nothing may change meanwhile.
func writeSums(dir string) error {
	var lines bytes.Buffer
	for _, name := range []string{headersFile, filterHeadersFile} {
		line, err := sumLine(dir, name)
		if err != nil {
			return err
		}
		fmt.Fprintln(&lines, line)
	}
	fmt.Fprintf(&lines, "%x\n", sha256.Sum256(lines.Bytes()))
	return atomicfile.Put(filepath.Join(dir, sumsFile), lines.Bytes(), 0o600)
}

// closeFiles closes the database and writes the checksums of the header files. neutrino must have
// stopped.
func (c *Client) closeFiles() error {
	if err := c.db.Close(); err != nil {
		return err
	}
	if err := writeSums(c.cfg.Dir); err != nil { // the next start then finds fewer faults
		c.log.Debug("cannot write the checksums of the header files", "dir", c.cfg.Dir, "err", err)
	}
	return nil
}
