// Package itest drives the real programs against real Bitcoin nodes. It tests what a user sees, and
// what must hold whatever breaks.
package itest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"ancre/itest/harness"
)

// bin are the programs under test, built once from this source.
var bin harness.Binaries

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ancre-itest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if bin, err = harness.Build(ctx, ".", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
