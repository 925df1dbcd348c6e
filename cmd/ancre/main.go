// Command ancre stamps files with the help of a running ancred, and verifies, completes and
// explains their proofs.
//
// The promise to scripts: exit statuses are 0 (done, or valid), 1 (failed, or invalid), 2 (wrong
// usage), 3 (not yet: the proof is pending) and 4 (cannot be checked here). Of several files the
// worst counts: 1 before 4 before 3 before 0. Standard output holds results only; everything else
// that is for people goes to standard error. With --json results are JSON, and so are errors. A
// proof that exists is never overwritten by one that says less, and no file is ever seen half
// written.
package main

import (
	"os"

	"ancre/internal/atomicfile"
	"ancre/internal/interrupt"
)

func main() {
	os.Exit(run(interrupt.Context(atomicfile.RemoveUnfinished), os.Args[1:], systemTerminal()))
}
