// Package attestation says in words, for one document, what its proof proves, against what, and how
// anybody can check it: the same sentences for the web page ([Text]) and for the PDF ([Text.PDF]).
//
// An attestation adds nothing to the proof. It is there to be read, printed and filed. So it says
// itself what it does not prove, and that it is no qualified electronic time stamp.
package attestation

import (
	"fmt"
	"time"

	"ancre/proof"
	"ancre/register/store"
)

// Facts is what is known of a document and its proof.
type Facts struct {
	Authority string // the name of whoever keeps the register
	Network   string // "mainnet"
	Zone      *time.Location

	Title   string // "" if it has none: FileName stands for it
	Kind    string // in the language of the attestation
	Number  string // "" if it has none
	Meeting string // in the language of the attestation; "": of none

	FileName    string
	Size        int64 // bytes
	Digest      store.Digest
	OnlineSince time.Time // zero: it is not on line

	Proof     store.Proof
	OTS       []byte // the proof, which the PDF carries; nil: there is none yet
	Permalink string // the address of the document's page
	Verifier  string // the address of the page's check tool

	ReplacedBy store.Digest // of the document that replaces this one; zero: none
	ReplacedAt time.Time
}

// Text is an attestation in one language.
type Text struct {
	Lang     string // "fr", "en"
	Title    string
	Subject  string // the document's title
	Verdict  string // the one sentence that matters
	Sections []Section
	QRLabel  string // says where the QR code of the permalink leads

	facts Facts
}

// Section is a part of an attestation. Its paragraphs come first, then the rows, then the points.
type Section struct {
	Heading    string
	Paragraphs []string
	Rows       []Row
	Points     []string // a numbered list if Numbered
	Numbered   bool
}

// Row is a line of a table: a name and its value.
type Row struct {
	Name, Value string
	Exact       bool // the value is shown in a fixed-width font, and may break anywhere
}

// New writes an attestation in a language, "fr" or "en". It returns an error if the facts
// contradict the proof.
func New(f Facts, lang string) (*Text, error) {
	w, ok := languages[lang]
	if !ok {
		return nil, fmt.Errorf("there is no attestation in the language %q: there is fr and en", lang)
	}
	if f.Zone == nil {
		f.Zone = time.UTC
	}
	txid, err := f.look()
	if err != nil {
		return nil, err
	}
	t := &Text{Lang: lang, Title: w.title, Subject: f.Title, QRLabel: w.qr, facts: f}
	if t.Subject == "" {
		t.Subject = f.FileName
	}
	t.Verdict = w.verdict(f)
	t.Sections = []Section{w.document(f), w.proof(f, txid), w.meaning(f), w.check(f)}
	return t, nil
}

// anchored reports whether the proof leads to a block that is final.
func (f Facts) anchored() bool { return f.Proof.State == store.Complete }

// inBlock reports whether the proof leads to a block.
func (f Facts) inBlock() bool { return f.anchored() || f.Proof.State == store.Mined }

// look returns the id of the Bitcoin transaction that the proof goes through, "" if the proof shows
// none. It returns an error if the proof says something else than the facts: an attestation must
// not say more than its proof.
func (f Facts) look() (txid string, err error) {
	if len(f.OTS) == 0 {
		if f.inBlock() {
			return "", fmt.Errorf("an attestation for %s that names a block needs its proof", f.Digest)
		}
		return "", nil
	}
	file, err := proof.Parse(f.OTS)
	if err != nil {
		return "", fmt.Errorf("the proof of %s: %w", f.Digest, err)
	}
	e, err := proof.Explain(file)
	if err != nil {
		return "", fmt.Errorf("the proof of %s: %w", f.Digest, err)
	}
	if e.HashOp != "sha256" || e.Digest != f.Digest.String() {
		return "", fmt.Errorf("the proof is of the %s %s, and not of %s", e.HashOp, e.Digest, f.Digest)
	}
	if !f.inBlock() {
		return "", nil
	}
	reaches := false
	for _, l := range e.Lines {
		if l.TxID != "" && txid == "" {
			txid = l.TxID
		}
		reaches = reaches || l.Attestation == proof.KindBitcoin && l.Height == uint64(f.Proof.Height)
	}
	if !reaches {
		return "", fmt.Errorf("the proof of %s does not lead to block %d", f.Digest, f.Proof.Height)
	}
	return txid, nil
}
