package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// program builds the programs for a platform ("linux/arm64"), once, exactly as `make` does, and
// returns their folder.
func (b *build) program(platform string) (string, error) {
	if dir := b.programs[platform]; dir != "" {
		return dir, nil
	}
	goos, goarch, _ := strings.Cut(platform, "/")
	dir := filepath.Join(b.work, goos+"-"+goarch)
	if err := b.compile(dir, []string{"GOOS=" + goos, "GOARCH=" + goarch}); err != nil {
		return "", err
	}
	b.programs[platform] = dir
	return dir, nil
}

// host returns the programs of this machine, which can be run.
func (b *build) host() (string, error) { return b.program(runtime.GOOS + "/" + runtime.GOARCH) }

func (b *build) compile(dir string, env []string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags=-s"}, flags...)
	args = append(args, "-o", dir+string(filepath.Separator), "./cmd/ancred", "./cmd/ancre", "./cmd/ancre-register")
	_, err := b.command(append(env, "CGO_ENABLED=0"), "go", args...)
	return err
}

// manual writes the manual pages and the completions, once, and returns their folder. Programs that
// are built for this alone (see cmd/ancre/manpages.go) write them.
func (b *build) manual() (string, error) {
	if b.manuals != "" {
		return b.manuals, nil
	}
	tools, dir := filepath.Join(b.work, "manpages"), filepath.Join(b.work, "manuals")
	if err := b.compile(tools, nil, "-tags=manpages"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	day := b.time.Format(time.DateOnly)
	if _, err := b.command(nil, filepath.Join(tools, "ancre"), "manpages", dir, day); err != nil {
		return "", err
	}
	if _, err := b.command(nil, filepath.Join(tools, "ancred"), "manpages", dir, day, "sample.conf"); err != nil {
		return "", err
	}
	if _, err := b.command(nil, filepath.Join(tools, "ancre-register"), "manpages", dir, day, "register.sample.conf"); err != nil {
		return "", err
	}
	b.manuals = dir
	return dir, nil
}
