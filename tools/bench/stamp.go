package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/itest/harness"
)

// The trees of files for ancre stamp -r.
const (
	stampFiles     = 10_000
	stampFileSize  = 100_000 // bytes
	stampMany      = 100_000 // small files, to see what memory they need
	stampSmallSize = 100
	stampDirectory = 500 // files in one
)

// stampTarget is ancre's time ÷ sha256sum's.
const stampTarget = 1.3

// measureStamp measures how long ancre stamp -r takes for a tree of files, with a daemon that makes
// the digests durable. The floor is sha256sum of the same files; the page cache holds them. Then it
// measures the memory for many small files. dir holds the programs and the files.
func measureStamp(ctx context.Context, o options, dir string) (rows []row, err error) {
	bins, err := harness.In(dir)
	if err != nil {
		return nil, err
	}
	files, many := stampFiles, stampMany
	if o.short {
		files, many = 200, 2000
	}
	name := fmt.Sprintf("ancre stamp -r, %s files of %s kB", count(uint64(files)), count(uint64(stampFileSize/1000)))
	if _, err := exec.LookPath("sha256sum"); err != nil {
		return []row{{name: name, unit: "s", target: atMost(ratio, stampTarget), absent: "there is no sha256sum on this system"}}, nil
	}
	dir = filepath.Join(dir, "stamp")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := harness.NewDaemon(bins, nil, filepath.Join(dir, "daemon"), false)
	if err != nil {
		return nil, err
	}
	if err := d.Start(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\nthe end of ancred's log:\n%s", err, d.Log(20))
		}
		err = errors.Join(err, d.Stop())
	}()

	t := &stampTree{dir: filepath.Join(dir, "files"), files: files, size: stampFileSize}
	if err := t.make(); err != nil {
		return nil, err
	}
	sums := func() (ranProgram, error) { return t.sum(ctx) }
	stamp := func() (ranProgram, error) { return t.stamp(ctx, bins, d) }
	var ours, floor []float64
	var mine, theirs ranProgram
	for round := range o.rounds {
		if err := t.renew(); err != nil {
			return nil, err
		}
		order := []func() (ranProgram, error){sums, stamp}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for i, measure := range order {
			r, err := measure()
			if err != nil {
				return nil, err
			}
			if (i == 0) == (round%2 == 0) {
				floor, theirs = append(floor, r.took.Seconds()), r
			} else {
				ours, mine = append(ours, r.took.Seconds()), r
			}
		}
	}
	timed := inTurns(name, "s", ours, floor, atMost(ratio, stampTarget))
	timed.detail = fmt.Sprintf("beside sha256sum, daemon included; CPU %.1f s, sha256sum's %.1f s", mine.cpu.Seconds(), theirs.cpu.Seconds())

	small := &stampTree{dir: filepath.Join(dir, "small"), files: many, size: stampSmallSize}
	if err := small.make(); err != nil {
		return nil, err
	}
	r, err := small.stamp(ctx, bins, d)
	if err != nil {
		return nil, err
	}
	held := row{name: fmt.Sprintf("ancre stamp -r, memory with %s files", count(uint64(many))), unit: "MB", ours: r.memory / 1e6}
	if held.detail = fmt.Sprintf("with %s files %.0f MB", count(uint64(files)), mine.memory/1e6); r.memory == 0 {
		held.absent = "what a process holds is not told on this system"
	}
	return []row{timed, held}, nil
}

// ranProgram is one run of a program.
type ranProgram struct {
	took, cpu time.Duration
	memory    float64 // the most that it held, in bytes; 0: not known
}

// stampTree is a directory of files of one size.
type stampTree struct {
	dir         string
	files, size int
	renewed     int
}

func (t *stampTree) path(i int) string {
	return filepath.Join(t.dir, fmt.Sprintf("%03d", i/stampDirectory), fmt.Sprintf("%06d", i))
}

// make writes the files, with random content.
func (t *stampTree) make() error {
	content := make([]byte, t.size)
	for i := range t.files {
		if i%stampDirectory == 0 {
			if err := os.MkdirAll(filepath.Dir(t.path(i)), 0o700); err != nil {
				return err
			}
		}
		_, _ = rand.Read(content)
		if err := os.WriteFile(t.path(i), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// renew changes each file a little, so that its digest is new to the daemon, and moves the proofs
// away. It does not delete them: on some file systems it is slow to make files where many were just
// deleted.
func (t *stampTree) renew() error {
	t.renewed++
	for i := range t.files {
		file, err := os.OpenFile(t.path(i), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(file, "round %8d", t.renewed)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		aside := filepath.Join(t.dir+".proofs", fmt.Sprint(t.renewed), fmt.Sprintf("%03d", i/stampDirectory))
		if i%stampDirectory == 0 {
			if err := os.MkdirAll(aside, 0o700); err != nil {
				return err
			}
		}
		err = os.Rename(t.path(i)+".ots", filepath.Join(aside, filepath.Base(t.path(i))))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sum runs sha256sum over all files, as people do.
func (t *stampTree) sum(ctx context.Context) (ranProgram, error) {
	return measureProgram(exec.CommandContext(ctx, "sh", "-c", `find "$1" -type f ! -name "*.ots" -print0 | xargs -0 sha256sum`, "sh", t.dir))
}

// stamp runs ancre stamp -r, and counts the proofs.
func (t *stampTree) stamp(ctx context.Context, bins harness.Binaries, d *harness.Daemon) (ranProgram, error) {
	r, err := measureProgram(exec.CommandContext(ctx, bins.Ancre, "--config", d.Config, "--datadir", d.DataDir, "stamp", "-r", t.dir))
	if err != nil {
		return r, err
	}
	proofs := 0
	err = filepath.WalkDir(t.dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".ots") {
			proofs++
		}
		return err
	})
	if err == nil && proofs != t.files {
		err = fmt.Errorf("ancre stamp -r wrote %d proofs for %d files", proofs, t.files)
	}
	return r, err
}

// measureProgram runs a program to its end. It shows the program's output only if that fails.
func measureProgram(cmd *exec.Cmd) (r ranProgram, err error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			// It only grows, and is gone with the process.
			if held, err := memoryOf(cmd.Process.Pid, "VmHWM"); err == nil && held > 0 {
				r.memory = float64(held)
			}
		case err := <-ended:
			if err != nil {
				return r, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.Bytes())
			}
			r.took, r.cpu = time.Since(begun), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
			return r, nil
		}
	}
}
