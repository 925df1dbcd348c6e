package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ancre/cmd/ancre/doctor"
	"ancre/headers"

	"github.com/spf13/cobra"
)

// fullDevice is a stream that takes room bytes and no more.
type fullDevice struct {
	room int
	err  error
}

func (d *fullDevice) Write(p []byte) (int, error) {
	n := min(d.room, len(p))
	d.room -= n
	if n < len(p) {
		return n, d.err
	}
	return n, nil
}

// lateDevice takes everything, and tells only when it is closed that it kept nothing, as a
// network's file system may.
type lateDevice struct{ io.Writer }

func (lateDevice) Close() error { return syscall.EDQUOT }

// printingCalls are calls of every verb that succeed. n is new each time, for the names of files.
func printingCalls(r *rig) map[string]func(n string) []string {
	pass := r.write("pass", "long enough")
	args := func(args ...string) func(string) []string { return func(string) []string { return args } }
	return map[string]func(n string) []string{
		"ancre":                args("--help"),
		"ancre help":           args("help", "wallet"),
		"ancre completion":     args("completion", "bash"),
		"ancre auth":           args("auth", "alice", "submit"),
		"ancre backup":         func(n string) []string { return []string{"backup", r.path("backup" + n)} },
		"ancre batches":        args("batches"),
		"ancre headers export": func(n string) []string { return []string{"headers", "export", r.path("headers" + n)} },
		"ancre headers window": func(n string) []string { return []string{"headers", "window", "1", r.path("window" + n)} },
		"ancre headers checkpoints": func(n string) []string {
			return []string{"headers", "checkpoints", r.path("checkpoints" + n)}
		},
		"ancre info":              args("info", r.path("file.ots")),
		"ancre prune":             args("prune", r.path("file.ots")),
		"ancre receipt":           args("receipt", r.path("file")),
		"ancre rpc":               args("rpc", "getblockcount"),
		"ancre stamp":             args("stamp", r.path("file")),
		"ancre status":            args("status"),
		"ancre upgrade":           args("upgrade", r.path("file.ots")),
		"ancre verify":            args("verify", r.path("file.ots")),
		"ancre version":           args("version"),
		"ancre wallet address":    args("wallet", "address"),
		"ancre doctor":            args("doctor"),
		"ancre wallet balance":    args("wallet", "balance"),
		"ancre wallet create":     args("wallet", "create", "--passphrase-file", pass),
		"ancre wallet fees":       args("wallet", "fees"),
		"ancre wallet history":    args("wallet", "history"),
		"ancre wallet send":       args("wallet", "send", testAddress, "25000", "--yes"),
		"ancre wallet passphrase": args("wallet", "passphrase", "--old-passphrase-file", r.write("right", "right"), "--new-passphrase-file", r.write("fresh", "new and long")),
		"ancre wallet unlock":     args("wallet", "unlock", "--passphrase-file", r.write("right", "right")),
	}
}

// callTo runs the program with the given streams.
func callTo(out, errs io.Writer, args []string) int {
	return run(context.Background(), args, &terminal{in: strings.NewReader(""), out: out, err: errs, width: func() int { return 80 }})
}

// Every verb ends with 1 when something that it had to say was not written, be it all or the last
// byte, whichever stream it is.
func TestEveryVerbFailsWhenItsOutputIsLost(t *testing.T) {
	r := newRig(t)
	r.stored()
	r.ancre("stamp", r.write("file", "content")).is(t, exitDone)
	r.daemon.mine()
	r.daemon.work(headers.MinBlocks)
	r.ancre("upgrade", r.path("file.ots")).is(t, exitDone)

	defer func(seen func(context.Context, doctor.Target, time.Duration) *doctor.Facts) { look = seen }(look)
	look = func(context.Context, doctor.Target, time.Duration) *doctor.Facts { return &doctor.Facts{Remote: true} }
	calls := printingCalls(r)
	n := 0
	for verb, args := range calls {
		next := func() []string {
			n++
			return append([]string{"--datadir", r.data}, args(strconv.Itoa(n))...)
		}
		var out, errs bytes.Buffer
		for range 2 { // the second time some say less: what they made is there
			out.Reset()
			errs.Reset()
			if status := callTo(&out, &errs, next()); status != exitDone {
				t.Fatalf("%s: exit status %d, want 0\n%s", verb, status, errs.String())
			}
		}
		if out.Len()+errs.Len() == 0 {
			t.Errorf("%s says nothing", verb)
		}
		full := errors.New("the device is full")
		for _, room := range []int{0, out.Len() / 2, out.Len() - 1} {
			if out.Len() == 0 {
				break
			}
			var said bytes.Buffer
			status := callTo(&fullDevice{room, full}, &said, next())
			if status != exitFailed || strings.Count(said.String(), full.Error()) != 1 {
				t.Errorf("%s, whose results are cut off after %d of %d bytes: exit status %d, want 1, and said once why: %s", verb, room, out.Len(), status, said.String())
			}
		}
		if out.Len() > 0 {
			var said bytes.Buffer
			if status := callTo(lateDevice{io.Discard}, &said, next()); status != exitFailed || !strings.Contains(said.String(), syscall.EDQUOT.Error()) {
				t.Errorf("%s, whose results are lost at the end: exit status %d, want 1, and said why: %s", verb, status, said.String())
			}
			said.Reset()
			if status := callTo(&fullDevice{0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}}, &said, next()); status != exitFailed {
				t.Errorf("%s, whose reader is gone: exit status %d, want 1", verb, status)
			}
		}
		if errs.Len() > 0 {
			if status := callTo(io.Discard, &fullDevice{0, full}, next()); status != exitFailed {
				t.Errorf("%s, whose notes are lost: exit status %d, want 1", verb, status)
			}
		}
	}
	root := (&app{terminal: systemTerminal()}).command()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	holdsVerbs(t, root, calls)
}

// holdsVerbs fails when a verb is missing in calls. A hidden one only says where it went.
func holdsVerbs(t *testing.T, cmd *cobra.Command, calls map[string]func(string) []string) {
	t.Helper()
	if cmd.Hidden && cmd.Name() == "restore" {
		return
	}
	if calls[cmd.CommandPath()] != nil {
		for _, sub := range cmd.Commands() {
			if cmd.HasParent() && sub.HasParent() {
				continue // a shell of completion
			}
			holdsVerbs(t, sub, calls)
		}
		return
	}
	if !cmd.HasSubCommands() {
		t.Errorf("%s is missing in this test", cmd.CommandPath())
	}
	for _, sub := range cmd.Commands() {
		holdsVerbs(t, sub, calls)
	}
}

// Wrong usage stays wrong usage.
func TestWrongUsageStaysStatus2WithoutOutput(t *testing.T) {
	full := &fullDevice{0, errors.New("the device is full")}
	if status := callTo(full, full, []string{"--bogus"}); status != exitUsage {
		t.Errorf("exit status %d, want %d", status, exitUsage)
	}
}
