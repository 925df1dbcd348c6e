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
)

// sumsFile holds the sums of the header files as they were when the client was closed: a line for
// each, "SHA256 SIZE NAME", and the SHA-256 of those lines. The next start finds by it what the
// checks of repairHeaders cannot: one bit that was flipped in an old header, or in any filter
// header, whose truth only peers know otherwise. A false one would make filters that are true look
// false, and their peers liars.
//
// The start removes it, so that none is left after a crash, when the files may have changed
// rightly.
const sumsFile = "headers.sum"

// checkSums compares the header files with their sums, and removes the headers if one of them
// differs.
func checkSums(dir string, log *slog.Logger) error {
	path := filepath.Join(dir, sumsFile)
	defer func() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the sums of the header files cannot be removed; remove them before the next start, or it may download all headers again", "file", path, "err", err)
		}
	}()
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil || !info.Mode().IsRegular() {
		log.Warn("the sums of the header files cannot be read, so a flipped bit in them is not found", "file", path, "err", err)
		return nil
	}
	text, err := os.ReadFile(path)
	lines, ok := checkedLines(string(text))
	if err != nil || !ok {
		log.Warn("the sums of the header files are damaged, so a flipped bit in the headers is not found", "file", path, "err", err)
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
			continue // what is missing, or has another size, repairHeaders looks into
		}
		if now != was {
			log.Error("a header file is not as it was written, after a fault of the disk; removing the header files, all headers will be downloaded again",
				"file", filepath.Join(dir, name))
			return removeHeaders(dir)
		}
	}
	return nil
}

// checkedLines returns the lines before the last one, which must be their sum.
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

// sumLine makes the line of a file.
func sumLine(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
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

// writeSums writes the sums of files that nobody changes any more.
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
	path := filepath.Join(dir, sumsFile)
	half := path + ".new"
	if err := os.WriteFile(half, lines.Bytes(), 0o600); err != nil {
		return err
	}
	return os.Rename(half, path)
}

// closeFiles closes the database and leaves the sums of the header files. neutrino writes to them
// no more.
func (c *Client) closeFiles() error {
	if err := c.db.Close(); err != nil {
		return err
	}
	if err := writeSums(c.cfg.Dir); err != nil { // the next start finds less
		c.log.Debug("the header files were closed without their sums", "dir", c.cfg.Dir, "err", err)
	}
	return nil
}
