// Command gotest runs go test and reports, after it, which tests were skipped and why: go test
// itself says so only with -v, among everything else.
//
//	go run ./tools/gotest ARG...         go test ARG..., and then the tests that it skipped
//	go run ./tools/gotest -skipped FILE  the tests that several runs skipped
//
// With ANCRE_SKIPPED=FILE in the environment, the skipped tests are added to that file instead of
// being reported, for a report at the end of several runs. A script may add lines of its own: the
// reason, a tab, and what was not done.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-skipped" {
		err := reportFile(os.Stdout, os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, "gotest:", err)
			os.Exit(1)
		}
		return
	}
	passed, err := run(os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

// run runs go test with args, prints what it would print, and then reports or adds to the file what
// it skipped.
func run(w io.Writer, args []string) (passed bool, err error) {
	cmd := exec.Command(cmp.Or(os.Getenv("GO"), "go"), append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	skipped, readErr := follow(w, events)
	err = cmd.Wait()
	var exit *exec.ExitError
	if passed = err == nil; errors.As(err, &exit) {
		err = nil // go test has said what failed
	}
	if err := errors.Join(err, readErr); err != nil {
		return false, err
	}
	if file := os.Getenv("ANCRE_SKIPPED"); file != "" {
		return passed, addTo(file, skipped)
	}
	if passed { // else the failure is the last that one reads
		report(w, skipped)
	}
	return passed, nil
}
