package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A build is one run of this program: what it reads, and where it writes.
type build struct {
	root string // the repository
	out  string // where the packages go
	work string // a temporary folder: programs, manual pages, changed files

	time    time.Time // of the commit: that of every file
	version string    // as the programs say it: 0.2.0, or 0.2.0+COMMIT
	debian  string    // the same for dpkg, which sorts it before the release

	programs map[string]string // folder of the built programs, by platform
	manuals  string            // folder of manual pages and completions, if they are built

	licenseTexts string // licenses.txt, if it is made
}

// newBuild asks the repository when and what it is.
func newBuild(root, out, version string) (*build, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	b := &build{root: root, out: out, programs: make(map[string]string)}
	if b.out == "" {
		b.out = filepath.Join(root, "bin", "packages")
	}
	if b.out, err = filepath.Abs(b.out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return nil, err
	}
	if b.work, err = os.MkdirTemp("", "ancre-packages-"); err != nil {
		return nil, err
	}
	if b.time, err = b.sourceTime(); err != nil {
		return nil, err
	}
	if version != "" {
		b.version, b.debian = version, version
		return b, nil
	}
	return b, b.askVersion()
}

// sourceTime is SOURCE_DATE_EPOCH, or the time of the commit.
func (b *build) sourceTime() (time.Time, error) {
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		var err error
		if seconds, err = b.command(nil, "git", "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, err
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(n, 0).UTC(), nil
}

// askVersion asks the program itself. What is no release is for dpkg older than the release, and
// newer than the commits before it: 0.2.0~20260102030405.0123456.
func (b *build) askVersion() error {
	dir, err := b.host()
	if err != nil {
		return err
	}
	said, err := b.command(nil, filepath.Join(dir, "ancre"), "version")
	if err != nil {
		return err
	}
	b.version = strings.TrimPrefix(strings.TrimSpace(said), "ancre ")
	number, commit, isCommit := strings.Cut(b.version, "+")
	if b.debian = number; isCommit {
		b.debian = number + "~" + b.time.Format("20060102150405") + "." + commit
	}
	return nil
}

// command runs a program in the repository, with env added, and returns what it prints.
func (b *build) command(env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return out.String(), nil
}

// sums writes SHA256SUMS, in the form of sha256sum, over all packages in the output folder.
func (b *build) sums() error {
	var text strings.Builder
	entries, err := os.ReadDir(b.out) // sorted
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasPrefix(entry.Name(), "ancre_") && !strings.HasPrefix(entry.Name(), "ancre-register_") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(b.out, entry.Name()))
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%x  %s\n", sha256.Sum256(raw), entry.Name())
		text.WriteString(line)
		fmt.Print(line)
	}
	return os.WriteFile(filepath.Join(b.out, "SHA256SUMS"), []byte(text.String()), 0o644)
}
