//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// The bug that it catches: a receipt waits for ever for what nobody writes into a pipe of its name.
func TestAPipeInPlaceOfAReceiptIsNotRead(t *testing.T) {
	r := newRig(t)
	file := r.write("report.pdf", "content")
	r.ancre("stamp", file).is(t, exitDone)
	r.daemon.mine()
	pipe := file + v2Suffix
	r.must(syscall.Mkfifo(pipe, 0o600))
	release := time.AfterFunc(5*time.Second, func() { // whoever reads it all the same gets nothing, and goes on
		if w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			w.Close()
		}
	})
	r.ancre("receipt", file).is(t, exitFailed, "what has this name is not a regular file: name another file with -o")
	if !release.Stop() {
		t.Error("the pipe was waited for")
	}
}
