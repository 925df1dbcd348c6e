// Command verifier builds the scripts of the public page: it bundles register/page/verifier/*.ts
// and the one npm package that they need into register/page/verifier/dist, which is committed, so
// that a machine with Go alone builds everything.
//
//	go run ./tools/verifier          builds
//	go run ./tools/verifier -check   builds into bin/, and compares with what is committed
//
// It installs exactly what package-lock.json names into bin/verifier, checks the types, and bundles
// with the esbuild of go.mod. Equal sources give equal bytes on every machine.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	sources = "register/page/verifier"      // the TypeScript
	dist    = "register/page/verifier/dist" // the bundles, committed
	work    = "bin/verifier"                // where npm installs and esbuild works

	// The lock file of what is installed. npm removes the folder before it installs anything.
	installed = work + "/node_modules/.installed.json"
)

// bundles are what is built: each script, and the file from which it begins.
var bundles = []struct {
	from, to string
	format   string // as esbuild names it
}{
	{"tool.ts", "ancre-verify.js", "iife"}, // the page's only script, which is also its worker
	{"verifier.ts", "verifier.js", "esm"},  // the core alone, for tests and for other programs
}

// banner is how each script begins. LICENSES.txt beside them has the whole licences.
const banner = "/*! Ancre, MIT License, (c) 2026 The Ancre authors. Contains @noble/hashes, MIT License, (c) 2022 Paul Miller (paulmillr.com). */"

// errSkipped is wrapped by the reason why nothing can be built on this machine.
var errSkipped = errors.New("skipped")

func main() {
	check := flag.Bool("check", false, "compare with what is committed, instead of replacing it")
	flag.Parse()
	err := run(*check)
	if *check && errors.Is(err, errSkipped) {
		fmt.Println(err)
		err = note(err)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifier:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	if _, err := os.Stat(sources); err != nil {
		return fmt.Errorf("run it where go.mod is: %w", err)
	}
	if err := install(); err != nil {
		return err
	}
	if err := command(work, "node_modules/.bin/tsc", "--project", "."); err != nil {
		return fmt.Errorf("the types are not right: %w", err)
	}
	built, err := build()
	if err != nil {
		return err
	}
	if check {
		return compare(built)
	}
	return replace(built)
}

// install copies the sources and has npm install what the lock file names, unless it is there.
func install() error {
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(work + "/*.ts")
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	locked, _ := os.ReadFile(installed)
	entries, err := os.ReadDir(sources)
	if err != nil {
		return err
	}
	var lock []byte
	for _, entry := range entries {
		switch name := entry.Name(); filepath.Ext(name) {
		case ".ts", ".json", ".npmrc", ".css":
			content, err := os.ReadFile(filepath.Join(sources, name))
			if err != nil {
				return err
			}
			if name == "package-lock.json" {
				lock = content
			}
			if err := os.WriteFile(filepath.Join(work, name), content, 0o644); err != nil {
				return err
			}
		}
	}
	if bytes.Equal(lock, locked) {
		return nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("%w: npm is not installed", errSkipped)
	}
	fmt.Println("npm installs what package-lock.json names, some 25 MB, into", work)
	cmd := exec.Command("npm", "ci", "--loglevel=error")
	cmd.Dir = work
	out, err := cmd.CombinedOutput()
	if err != nil && unreachable.Match(out) {
		return fmt.Errorf("%w: npm could not download the packages", errSkipped)
	}
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return os.WriteFile(installed, lock, 0o644)
}

// unreachable matches what npm says when there is no network. Other failures, such as a package
// that is not the one of the lock file, are findings.
var unreachable = regexp.MustCompile(`\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|FETCH_ERROR)\b`)

// build returns the content of each file of dist, by name.
func build() (map[string][]byte, error) {
	licenses, err := licenses()
	if err != nil {
		return nil, err
	}
	built := map[string][]byte{"LICENSES.txt": licenses}
	for _, b := range bundles {
		if _, err := os.Stat(filepath.Join(sources, b.from)); os.IsNotExist(err) {
			continue
		}
		args := []string{
			"tool", "esbuild", b.from, "--bundle", "--minify", "--target=es2022", "--format=" + b.format,
			"--loader:.css=text", "--charset=utf8", "--legal-comments=none", "--banner:js=" + banner, "--log-level=warning", "--outfile=out/" + b.to,
		}
		if err := command(work, "go", args...); err != nil {
			return nil, fmt.Errorf("esbuild %s: %w", b.from, err)
		}
		if built[b.to], err = os.ReadFile(filepath.Join(work, "out", b.to)); err != nil {
			return nil, err
		}
	}
	return built, nil
}

// licenses returns the licences of what is in the bundles.
func licenses() ([]byte, error) {
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return nil, err
	}
	noble, err := os.ReadFile(work + "/node_modules/@noble/hashes/LICENSE")
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "This script is part of Ancre:\n\n%s\n\nIt contains @noble/hashes:\n\n%s\n", bytes.TrimSpace(own), bytes.TrimSpace(noble))
	return bytes.ReplaceAll(text.Bytes(), []byte("\r\n"), []byte("\n")), nil
}

// compare returns an error if what was built is not what is committed.
func compare(built map[string][]byte) error {
	var wrong []string
	for name, content := range built {
		committed, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil || !bytes.Equal(committed, content) {
			wrong = append(wrong, name)
		}
	}
	entries, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if built[entry.Name()] == nil {
			wrong = append(wrong, entry.Name())
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s in %s is not what the sources give: run make verifier, and commit the result", strings.Join(wrong, ", "), dist)
	}
	fmt.Println("the bundles in", dist, "are what the sources give")
	return nil
}

// replace writes what was built.
func replace(built map[string][]byte) error {
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(built)) {
		content := built[name]
		if err := os.WriteFile(filepath.Join(dist, name), content, 0o644); err != nil {
			return err
		}
		fmt.Printf("%7d bytes  %s\n", len(content), filepath.Join(dist, name))
	}
	return nil
}

// note adds what was skipped to the list that tests and CI show at their end: see tools/gotest.
func note(skipped error) error {
	path := os.Getenv("ANCRE_SKIPPED")
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	reason := strings.TrimPrefix(skipped.Error(), errSkipped.Error()+": ")
	_, err = fmt.Fprintf(f, "%s\tthe comparison of the page's scripts with their sources\n", reason)
	return errors.Join(err, f.Close())
}

// command runs a program in a folder and shows its output if it fails.
func command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, bytes.TrimSpace(out))
	}
	return nil
}
