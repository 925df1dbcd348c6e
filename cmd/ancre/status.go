package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"ancre/internal/command"
	"ancre/internal/humanize"
	"ancre/internal/money"
	"ancre/internal/printable"
	"ancre/internal/progress"
	"ancre/proof"
	"ancre/rpc"
	"ancre/verify"

	"github.com/spf13/cobra"
)

// watchEvery is how often --watch looks.
const watchEvery = 2 * time.Second

func (a *app) statusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [DIGEST | FILE]",
		Short: "Show the state of the daemon, or of a digest",
		Long: `Show the state of the daemon: how far it has synced, the open batch, anchors, the wallet, and warnings.

With a SHA-256 in hex, a file or a proof: show the state of that digest. This also finds a proof (FILE.ots) that another client
got from the daemon's calendar.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if watch && (a.json || !a.outTerm) {
				return command.Usagef("--watch is for a person at a terminal: in scripts, call status again")
			}
			show := func(ctx context.Context) (string, error) { return a.overview(ctx) }
			if len(args) == 1 {
				digests, err := a.digestsOf(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				show = func(ctx context.Context) (string, error) { return a.whereIs(ctx, args[0], digests) }
			}
			return a.show(cmd.Context(), watch, show)
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "repeat it every two seconds, until interrupted")
	return cmd
}

// show prints a text once, or again and again. With --json, what makes the text prints by itself.
func (a *app) show(ctx context.Context, watch bool, text func(context.Context) (string, error)) error {
	for {
		s, err := text(ctx)
		if watch {
			if ctx.Err() != nil {
				return nil // an interrupt is how watching ends
			}
			if err != nil {
				s = "ancre: " + err.Error() + "\n"
			}
			fmt.Fprint(printable.Raw(a.out), "\x1b[H\x1b[2J") // top left, and clear
		} else if err != nil {
			return err
		}
		fmt.Fprint(a.out, s)
		if !watch {
			return nil
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// digestsOf finds the digests by which the daemon may know what an argument means: a digest itself,
// that of a proof and what calendars promised in it, or that of a file's content.
func (a *app) digestsOf(ctx context.Context, arg string) ([][32]byte, error) {
	if d, err := parseDigest(arg); err == nil && !exists(arg) {
		return [][32]byte{d}, nil
	}
	if (*tree)(nil).isProof(arg) {
		f, _, err := readProof(arg)
		if err != nil {
			err = fmt.Errorf("%s: %w", shown(arg), plainError(err))
			if errors.Is(err, proof.ErrUnsupported) {
				err = command.Exit(exitUnverifiable, err)
			}
			return nil, err
		}
		digests := verify.Commitments(f)
		if f.HashOp == proof.SHA256 {
			digests = slices.Insert(digests, 0, [32]byte(f.Digest))
		}
		if len(digests) == 0 {
			return nil, fmt.Errorf("%s: is about %s, and the daemon knows only SHA-256", shown(arg), f.HashOp)
		}
		return digests, nil
	}
	sum, err := hashFile(ctx, arg, proof.SHA256.Hash, func(int64) {})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, command.Usagef("%q: neither a file nor a digest of 64 hexadecimal digits", humanize.Clip(arg))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(arg), notToStamp(err, "give its SHA-256 instead"))
	}
	digests := [][32]byte{[32]byte(sum)}
	if f, _, err := readProof(proofPath(arg)); err == nil && bytes.Equal(f.Digest, sum) {
		digests = append(digests, verify.Commitments(f)...) // another client may have stamped it
	}
	return digests, nil
}

// whereIs returns the state of what name means, a file or a digest. It takes the first of the
// digests that the daemon knows.
func (a *app) whereIs(ctx context.Context, name string, digests [][32]byte) (string, error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return "", err
	}
	var e rpc.Entry
	for _, digest := range digests {
		if e, err = client.Status(ctx, digest); !rpc.HasCode(err, rpc.CodeNotFound) {
			break
		}
	}
	if rpc.HasCode(err, rpc.CodeNotFound) {
		return "", fmt.Errorf("%s was never submitted to this daemon%s", shown(name), changedSince(name, digests[0]))
	}
	if err != nil {
		return "", err
	}
	if a.json {
		return "", a.printJSON(e, false)
	}
	s := fmt.Sprintf("%s: %s\n", shown(name), printable.Line(verify.StatusText(e)))
	if e.State == verify.StateFinal {
		return s + "The proof is complete: \"ancre upgrade\" fetches it.\n", nil
	}
	return s + fmt.Sprintf("State: %s\n", printable.Line(withWords(e.State))) + a.whenComplete(ctx, client, e), nil
}

// whenComplete says when a proof will probably be complete; nothing if that is not known, or if
// this user may not ask.
func (a *app) whenComplete(ctx context.Context, client *rpc.Client, e rpc.Entry) string {
	info, err := client.Info(ctx)
	if err != nil {
		return ""
	}
	if e.State != "mined" && !mayPay(info.Wallet) {
		return "It is not paid for before the wallet can pay: \"ancre status\" says what to do.\n"
	}
	batch, err := client.Batch(ctx, e.Batch)
	if err != nil {
		return ""
	}
	now := time.Now()
	x, ok := expect(e, batch, info.Network, info.Anchoring, now)
	if !ok {
		return ""
	}
	return "The proof should be complete at " + x.text(now) + ".\n"
}

// changedSince says that a file has changed since its proof was made, if that is so.
func changedSince(name string, digest [32]byte) string {
	ots := proofPath(name)
	if ots == name {
		return ""
	}
	if f, _, err := readProof(ots); err != nil || f.HashOp != proof.SHA256 || bytes.Equal(f.Digest, digest[:]) {
		return ""
	}
	return ", and " + shown(ots) + " is about another content: the file has changed since it was stamped"
}

func (a *app) overview(ctx context.Context) (string, error) {
	client, err := a.daemon(ctx)
	if err != nil {
		return "", err
	}
	i, err := client.Info(ctx)
	if err != nil {
		return "", err
	}
	if a.json {
		return "", a.printJSON(i, false)
	}
	width := 0
	if a.outTerm {
		width = a.width()
	}
	return overviewText(i, time.Now(), a.price(), width), nil
}

// overviewText puts into words what a person asks first. width is that of the person's terminal; 0:
// there is none, and no line is broken.
func overviewText(i rpc.Info, now time.Time, price money.Price, width int) string {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		label = fmt.Sprintf("%-9s ", label)
		b.WriteString(label + wrapped(fmt.Sprintf(format, printable.Args(args)...), width, len(label)) + "\n")
	}
	line("ancred", "%s on %s, up for %s, data in %s", i.Version, i.Network, humanize.Duration(time.Duration(i.UptimeSeconds)*time.Second), i.DataDir)

	c := i.Chain
	peers := humanize.Plural(len(c.Peers), "peer", "peers")
	if c.Synced {
		at := ""
		if c.BlockTime != nil {
			at = " of " + humanize.Local(*c.BlockTime)
		}
		line("chain", "synced to block %s%s, %s", humanize.Count(c.Height), at, peers)
	} else {
		left := ""
		if c.RemainingSeconds > 0 {
			left = ", " + humanize.Duration(time.Duration(c.RemainingSeconds)*time.Second) + " left"
		}
		line("chain", "syncing %s %.1f%%%s, %s", progress.Fraction(c.Progress, 30), 100*c.Progress, left, peers)
		line("", "headers %s and filters %s of %s, %s blocks/s", humanize.Count(c.HeadersHeight), humanize.Count(c.FiltersHeight), humanize.Count(c.TargetHeight), humanize.Count(int64(c.BlocksPerSecond)))
	}

	if i.Batch == nil {
		line("batch", "none is open: the next digest opens one")
	} else {
		closes := ""
		if i.Batch.Closes != nil {
			closes = ", sealed at " + humanize.Local(*i.Batch.Closes)
			if d := i.Batch.Closes.Sub(now); d > 0 {
				closes += ", in " + humanize.Duration(d)
			}
		}
		line("batch", "%s is open with %s%s", humanize.Count(i.Batch.ID), humanize.Plural(i.Batch.Digests, "digest", "digests"), closes)
	}
	line("digests", "%s so far", humanize.Count(i.Digests))
	line("backup", "%s", backupText(i, now))

	n := i.Anchors
	line("anchors", "%d waiting to be mined, %d mined and not yet final, %s ever; %s without one",
		n.Broadcast, n.Mined, humanize.Count(n.Total), humanize.Plural(i.Waiting, "sealed batch", "sealed batches"))

	if s := i.Spending; n.Total > 0 || s.BudgetSats > 0 {
		line("fees", "%s", spendingText(s, price))
	}

	w := i.Wallet
	switch w.State {
	case "none":
		line("wallet", "none: \"ancre wallet create\" makes one")
	case "unusable":
		line("wallet", "cannot be opened: the warning below says why")
	case "locked":
		line("wallet", "locked: \"ancre wallet unlock\" opens it")
	default:
		line("wallet", "%s, %s", w.State, balanceText(w.Balance, price))
	}
	line("calendar", "%s", calendarText(i.Calendar))
	for _, warning := range i.Warnings {
		fmt.Fprintf(&b, "\nWARNING: %s\n", wrapped(printable.Line(warning), width, len("WARNING: ")))
	}
	return b.String()
}

// wrapped breaks a text between words if width is not 0. Lines after the first are indented by what
// stands before the text.
func wrapped(text string, width, before int) string {
	if width == 0 {
		return text
	}
	return humanize.Wrap(text, max(width, 2*before), before, before)
}

// backupText says how old the last backup is, and what it lacks.
func backupText(i rpc.Info, now time.Time) string {
	b := i.LastBackup
	if b == nil {
		return "none yet: \"ancre backup FILE\" takes one"
	}
	held := "holds all digests"
	if b.Digests < i.Digests {
		held = fmt.Sprintf("%s came later", humanize.Plural(i.Digests-b.Digests, "digest", "digests"))
	}
	ago := ""
	if d := now.Sub(b.Taken); d >= time.Minute {
		ago = ", " + humanize.Duration(d) + " ago"
	}
	return fmt.Sprintf("%s%s, %s", humanize.Local(b.Taken), ago, held)
}

// calendarText says where the calendar is, and where proofs send those who ask for it.
func calendarText(c rpc.CalendarInfo) string {
	if c.Listen == "" {
		return "off: proofs are completed with \"ancre upgrade\" alone"
	}
	return fmt.Sprintf("listens on %s, proofs point to %s", c.Listen, c.URI)
}

// balanceText puts a balance into words.
func balanceText(w rpc.Balance, price money.Price) string {
	s := price.Sats(w.SpendableSats) + " to spend"
	if w.ConfirmedSats != w.SpendableSats {
		s += fmt.Sprintf(" (of %s confirmed)", humanize.Sats(w.ConfirmedSats))
	}
	if w.PendingSats != 0 {
		s += fmt.Sprintf(", %s unconfirmed", humanize.Sats(w.PendingSats))
	}
	if w.AnchorSats > 0 {
		s += ", " + w.Lasts()
	}
	return s
}
