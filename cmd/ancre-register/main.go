// Command ancre-register keeps the register of a council's documents: what the digests at an ancred
// are of, their proofs, and the public page on which a citizen finds and checks them. "serve" is
// the daemon; the other verbs call it through a socket.
//
// The promise to scripts: exit statuses are 0 (done), 1 (failed), 2 (wrong usage) and 3 (not yet: a
// proof is pending, or a meeting waits for documents). Of several files the worst counts: 1 before
// 3 before 0. Standard output holds results only; everything else that is for people goes to
// standard error. With --json results are JSON, and so are errors. What a verb reports as added is
// on disk.
package main

import (
	"os"

	"ancre/internal/atomicfile"
	"ancre/internal/interrupt"
)

func main() {
	// serve has signals of its own: see serve.go.
	os.Exit(run(interrupt.Context(atomicfile.RemoveUnfinished), os.Args[1:], systemTerminal()))
}
