//go:build !linux

package main

import (
	"math"
	"os"
)

func syncData(f *os.File) error { return f.Sync() }

// On other systems there is no portable way to reserve space, or to see free space or a process's
// peak. The run does without.
func reserve(*os.File, int64, int64) error { return nil }

func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }

func resetPeak(int) error { return nil }
