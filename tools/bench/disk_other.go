//go:build !linux

package main

import (
	"math"
	"os"
)

func syncData(f *os.File) error { return f.Sync() }

// Elsewhere there is no portable way to reserve room, and none to see it or a process's peak: the
// run does without.
func reserve(*os.File, int64, int64) error { return nil }

func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }

func resetPeak(int) error { return nil }
