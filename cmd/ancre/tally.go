package main

import (
	"fmt"
	"io/fs"
	"strings"

	"ancre/internal/atomicfile"
	"ancre/internal/humanize"
)

// leftKind is a kind of things that a command with -r leaves out.
type leftKind string

const (
	leftProofs  leftKind = "proofs"  // proofs and receipts, which stamp does not stamp
	leftEarlier leftKind = "earlier" // proofs of earlier versions of files that are not there
	leftLinks   leftKind = "links"
	leftPipes   leftKind = "pipes"
	leftSockets leftKind = "sockets"
	leftDevices leftKind = "devices"
	leftUnfit   leftKind = "unfit"  // proofs that no receipt can be made of
	leftOthers  leftKind = "others" // files named .ots or as receipts that are neither
)

// leftKinds are all kinds, in the order in which a person reads them, with one and several of them
// in words.
var leftKinds = []struct {
	kind      leftKind
	one, many string
}{
	{leftProofs, "proof", "proofs"},
	{leftEarlier, "proof of an earlier version", "proofs of earlier versions"},
	{leftLinks, "symbolic link", "symbolic links"},
	{leftPipes, "named pipe", "named pipes"},
	{leftSockets, "socket", "sockets"},
	{leftDevices, "device", "devices"},
	{leftUnfit, "proof that fits into no receipt of this version", "proofs that fit into no receipt of this version"},
	{leftOthers, "other file named .ots", "other files named .ots"},
}

// kindOf returns the kind of what is no regular file.
func kindOf(mode fs.FileMode) leftKind {
	switch mode.Type() {
	case fs.ModeSymlink:
		return leftLinks
	case fs.ModeNamedPipe:
		return leftPipes
	case fs.ModeSocket:
		return leftSockets
	}
	return leftDevices
}

// leaveOut makes it the result of something that is left out.
func (r *fileResult) leaveOut(t target) {
	r.File, r.tree = t.path, t.tree
	mode := map[leftKind]fs.FileMode{leftLinks: fs.ModeSymlink, leftPipes: fs.ModeNamedPipe, leftSockets: fs.ModeSocket, leftDevices: fs.ModeDevice}[t.left]
	r.Result, r.Reason, r.left = skipped, (&atomicfile.KindError{Mode: mode}).Error(), t.left
}

// isDocument reports whether a file that was found in a tree and is no proof is another program's
// document: OpenDocument's templates are named .ots too, and are ZIP files.
func (t *tree) isDocument(path string) bool {
	const zip = "PK\x03\x04"
	return t != nil && string(t.head(path, len(zip))) == zip
}

// leaveOutDocument makes it the result of such a document.
func (r *fileResult) leaveOutDocument() {
	r.Result, r.Reason, r.left = skipped, "is a document of another program, not a proof", leftOthers
}

// tally counts the results of a command with -r: of a tree, a person reads no more.
type tally struct {
	results map[outcome]int
	left    map[leftKind]int
}

// Results that only a tally tells apart.
const (
	restamped outcome = "changed"   // stamped, and the earlier proof was kept
	unchanged outcome = "unchanged" // stamped already
	completed outcome = "completed" // just now, not before
	written   outcome = "written"   // a receipt
)

// add counts a result. as is what to count it as, if it is not what the result says itself.
func (c *tally) add(r *fileResult, as outcome) {
	if c.results == nil {
		c.results, c.left = make(map[outcome]int), make(map[leftKind]int)
	}
	switch {
	case r.left != "":
		c.left[r.left]++
	case as != "":
		c.results[as]++
	default:
		c.results[r.Result]++
	}
}

// document is the summary as JSON: the number of each of these results, and of what was left out.
// All members are always there.
func (c *tally) document(results []outcome) any {
	counts := make(map[string]any)
	for _, r := range results {
		counts[string(r)] = c.results[r]
	}
	left := make(map[leftKind]int)
	for _, k := range leftKinds {
		left[k.kind] = c.left[k.kind]
	}
	counts["left_out"] = left
	return map[string]any{"summary": counts}
}

// text is the summary in words: the results that there are, and what was left out.
func (c *tally) text(results []outcome, words map[outcome]string) string {
	var parts []string
	for _, r := range results {
		if n := c.results[r]; n > 0 {
			word := words[r]
			if word == "" {
				word = string(r)
			}
			parts = append(parts, humanize.Count(n)+" "+word)
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing to do"}
	}
	text := "In all: " + strings.Join(parts, ", ") + "."
	var left []string
	for _, k := range leftKinds {
		if n := c.left[k.kind]; n > 0 {
			left = append(left, humanize.Plural(n, k.one, k.many))
		}
	}
	if len(left) > 0 {
		text += fmt.Sprintf(" Left out: %s.", strings.Join(left, ", "))
	}
	return text
}

// summary prints what a command with -r did.
func (a *app) summary(c *tally, results []outcome, words map[outcome]string) {
	if a.json {
		a.printJSON(c.document(results), true)
		return
	}
	a.note("%s", c.text(results, words))
}
