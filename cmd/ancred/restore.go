package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"ancre/batcher/store/backup"
	"ancre/config"
	"ancre/daemon"
	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
	"ancre/internal/interrupt"
	"ancre/internal/printable"
	"ancre/internal/progress"
)

const restoreUsage = `ancred restore makes a new store from a file that "ancre backup" wrote.

Usage: ancred restore [--config FILE] [--datadir DIR] [--network NAME] [--check] [--json] FILE

  --config, --datadir, --network   as for the daemon: where the new store goes
  --check                          only rehearse: restore FILE into a temporary directory (in
                                   $TMPDIR; some 80 bytes a digest), read the new store, and
                                   remove it
  --json                           print the result, or the error, as JSON

FILE "-" is standard input. No ancred may run in the data directory. The whole backup is
verified: if anything in it is wrong, nothing is left of it. A store that holds anything
is never replaced.

Afterwards start ancred, and restore the wallet from its 24 words with
"ancre wallet create --restore". The daemon that was backed up must not run any more:
both would spend the same coins.
`

// restore is one call of the verb.
type restore struct {
	world
	flags       config.Flags
	check, json bool
	path        string // of the backup; "-": standard input
}

// runRestore does what args say, and returns the exit status. flags are those before the verb.
func runRestore(args []string, flags config.Flags, w world) int {
	r := &restore{flags: flags, world: w}
	switch err := r.parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return w.print(restoreUsage)
	case err != nil && r.json:
		return r.fail(exitUsage, err)
	case err != nil:
		return w.wrongUsage(restoreUsage, err)
	}
	keepPrivate()
	return r.run(w.begin())
}

// parse reads the arguments behind the verb. Flags may stand before and after FILE.
func (r *restore) parse(args []string) error {
	set := newFlagSet(&r.flags)
	set.BoolVar(&r.check, "check", false, "")
	set.BoolVar(&r.json, "json", false, "")
	var files []string
	for {
		if err := set.Parse(args); err != nil {
			return err
		}
		if set.NArg() == 0 {
			break
		}
		files, args = append(files, set.Arg(0)), set.Args()[1:]
	}
	if len(files) != 1 {
		return fmt.Errorf("restore takes one FILE, and got %d", len(files))
	}
	r.path = files[0]
	return nil
}

// run restores or checks the backup, and returns the exit status.
func (r *restore) run(ctx context.Context) int {
	var cfg config.Config
	var dir string
	var err error
	if !r.check { // a rehearsal needs no configuration
		if cfg, err = r.flags.Load(); err == nil {
			err = refuseMember(cfg, "restore "+r.path)
		}
		if err == nil {
			dir, err = cfg.NetworkDir()
		}
		if err != nil {
			return r.fail(exitUsage, err)
		}
	}
	b := daemon.Backup{Name: r.path, Content: interrupt.NewReader(ctx, r.in)}
	if r.path == "-" {
		b.Name = "standard input"
	} else {
		file, _, err := atomicfile.OpenInput(r.path)
		var kind *atomicfile.KindError
		if errors.As(err, &kind) {
			return r.fail(exitUsage, fmt.Errorf("%s %w: name a file that \"ancre backup\" wrote", r.path, kind))
		}
		if err != nil {
			return r.fail(exitFailed, err)
		}
		defer file.Close()
		b.Content = file
	}

	finish := r.showProgress(&b)
	var s backup.Summary
	if r.check {
		s, err = daemon.Rehearse(ctx, os.TempDir(), b)
	} else {
		s, err = daemon.Restore(ctx, cfg, b)
	}
	finish()
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled):
		return r.fail(exitFailed, errors.New("interrupted"))
	case err != nil:
		return r.fail(exitFailed, err)
	}
	return r.report(b.Name, dir, s, cfg.IsService())
}

// showProgress shows on a terminal how far the work is, until finish is called.
func (r *restore) showProgress(b *daemon.Backup) (finish func()) {
	label := "Restoring digests"
	if r.check {
		label = "Rehearsing the restore: digests"
	}
	show, finish := r.startProgress(label, r.json, false)
	if show != nil {
		b.Progress = func(done, total uint64) { show(int64(done), int64(total)) }
	}
	return finish
}

// startProgress returns what shows a terminal how far the work is, until finish is called. show is
// nil if nobody looks.
func (w world) startProgress(label string, inJSON, bytes bool) (show func(done, total int64), finish func()) {
	if !w.errTerm || inJSON {
		return nil, func() {}
	}
	bar := progress.Start(w.err, w.width, label, 0, bytes)
	return func(done, total int64) {
		bar.SetTotal(total)
		bar.SetDone(uint64(done))
	}, bar.Finish
}

// report says what was restored or verified, and what to do next.
func (r *restore) report(name, dir string, s backup.Summary, service bool) int {
	if r.json {
		report := backup.NewReport(r.path, s)
		if !r.check {
			report.DataDir = dir
		}
		return r.print(asJSON(report, "  "))
	}
	name, dir, contents, taken := printable.Line(name), printable.Line(dir), s.Contents(), humanize.Time(s.Taken)
	if r.check {
		return r.print(fmt.Sprintf("%s is a whole backup of %s, taken %s: %s.\nIt was restored for trial: the new store opens, and its proofs lead to the roots of their batches.\n",
			name, printable.Line(s.Network), taken, contents))
	}
	status := r.print(fmt.Sprintf("Restored to %s: %s.\nThe backup was taken %s. What was stamped after that is not in it: stamp it again.\n", dir, contents, taken))
	start := r.flags.Command("ancred")
	if service {
		start = "systemctl start ancred"
	}
	_, err := fmt.Fprintf(r.err, "\nNow start the daemon with `%s`, and give it the wallet with\n`%s`, which asks for the 24 words.\n"+
		"The daemon that was backed up must not run any more: both would spend the same coins.\n",
		printable.Line(start), printable.Line(r.flags.Command("ancre")+" wallet create --restore"))
	if err != nil {
		return exitFailed // there is no place left to say why
	}
	return status
}

// fail says what ended the call, and returns its exit status.
func (r *restore) fail(status int, err error) int { return r.world.fail(r.json, status, err) }

// fail says what ended a verb, and returns its exit status.
func (w world) fail(inJSON bool, status int, err error) int {
	if inJSON {
		type failure struct {
			Error string `json:"error"`
			Exit  int    `json:"exit"`
		}
		io.WriteString(w.err, asJSON(failure{printable.Name(err.Error()), status}, ""))
		return status
	}
	fmt.Fprintf(w.err, "ancred: %v\n", printable.Args([]any{err})...)
	return status
}

// asJSON returns one JSON document that is harmless on a terminal.
func asJSON(v any, indent string) string {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		panic(err) // a struct of strings, numbers and times
	}
	return printable.JSON(text.String())
}
