package attestation

import (
	"fmt"
	"strings"
	"time"

	"ancre/internal/humanize"
	"ancre/register/store"
)

// words writes the parts of an attestation in one language. The first block of the file's proof is
// named before any date: the height is exact, and the date is what a miner claimed.
type words struct {
	title, qr string
	verdict   func(Facts) string
	document  func(Facts) Section
	proof     func(f Facts, txid string) Section
	meaning   func(Facts) Section
	check     func(Facts) Section
}

var languages = map[string]words{"fr": french, "en": english}

// Names that command lines are shown with.
func proofName(f Facts) string { return f.FileName + ".ots" }

// shellName writes a file name so that a shell reads it as one word.
func shellName(name string) string {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+,@%/"
	if name != "" && strings.Trim(name, harmless) == "" && !strings.HasPrefix(name, "-") {
		return name
	}
	quoted := "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	if strings.HasPrefix(name, "-") {
		return "./" + quoted
	}
	return quoted
}

// rows leaves out those without a value.
func rows(all ...Row) (list []Row) {
	for _, r := range all {
		if r.Value != "" {
			list = append(list, r)
		}
	}
	return list
}

// utc writes an exact time. It returns "" for no time.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// local writes a time in the authority's own zone, as people of the language do.
func local(t time.Time, f Facts, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.In(f.Zone).Format(layout) + " (" + f.Zone.String() + ")"
}

// test reports whether the network is one on which blocks cost nothing.
func (f Facts) test() bool { return f.Network != "mainnet" }

// nbsp is what French puts before double punctuation and within numbers.
const nbsp = "\u00a0"

func frenchCount[N humanize.Integer](n N) string {
	return strings.ReplaceAll(humanize.Count(n), ",", nbsp)
}

func isReplaced(f Facts) bool { return f.ReplacedBy != store.Digest{} }

// height writes the height of the proof's block.
func (f Facts) height(count func(int32) string) string {
	if !f.inBlock() {
		return ""
	}
	return count(f.Proof.Height)
}

// sized writes a size in the words of a language.
func sized(f Facts, count func(int64) string, unit string) string {
	return fmt.Sprintf("%s %s", count(f.Size), unit)
}
