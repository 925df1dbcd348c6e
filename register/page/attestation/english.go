package attestation

import (
	"fmt"

	"ancre/internal/humanize"
)

const englishTime = "2 January 2006 15:04:05"

var english = words{
	title: "Attestation of existence",
	qr:    "Public page of this document",
	verdict: func(f Facts) string {
		switch {
		case f.anchored() && f.test():
			return fmt.Sprintf("A trial on the network %s, which proves nothing: this file existed before block %s of that network.", f.Network, f.height(humanize.Count))
		case f.anchored():
			return fmt.Sprintf("This file existed, byte for byte, before block %s of the Bitcoin chain.", f.height(humanize.Count))
		case f.inBlock():
			return fmt.Sprintf("Proof pending: the digest of this file is in block %s, which is not final yet.", f.height(humanize.Count))
		}
		return "Proof pending: the digest of this file is not in a Bitcoin block yet."
	},
	document: func(f Facts) Section {
		s := Section{Heading: "The document", Rows: rows(
			Row{Name: "Title", Value: f.Title},
			Row{Name: "Kind", Value: f.Kind},
			Row{Name: "Number", Value: f.Number},
			Row{Name: "Meeting", Value: f.Meeting},
			Row{Name: "Authority", Value: f.Authority},
			Row{Name: "File name", Value: f.FileName, Exact: true},
			Row{Name: "Size", Value: sized(f, humanize.Count, "bytes")},
			Row{Name: "SHA-256 digest", Value: f.Digest.String(), Exact: true},
			Row{Name: "On line since", Value: local(f.OnlineSince, f, englishTime)},
		)}
		if isReplaced(f) {
			s.Paragraphs = []string{fmt.Sprintf("This document was replaced on %s by the one with the digest %s.", local(f.ReplacedAt, f, englishTime), f.ReplacedBy)}
		}
		return s
	},
	proof: func(f Facts, txid string) Section {
		s := Section{Heading: "The proof", Rows: rows(
			Row{Name: "Block", Value: f.height(humanize.Count)},
			Row{Name: "Block hash", Value: f.Proof.BlockHash, Exact: true},
			Row{Name: "Time of the block (UTC)", Value: utc(f.Proof.BlockTime)},
			Row{Name: "Time of the block (local)", Value: local(f.Proof.BlockTime, f, englishTime)},
			Row{Name: "Transaction", Value: txid, Exact: true},
			Row{Name: "Added to the register", Value: local(f.Proof.AddedAt, f, englishTime)},
		)}
		if f.inBlock() {
			s.Paragraphs = []string{"The block's height is certain. Its time is what the miner of the block claimed: it may differ from the true time, by at most two hours towards the future."}
		} else {
			s.Paragraphs = []string{"The proof will be complete when a transaction that contains the digest, mixed with others, is in a final block. That usually takes some hours. An attestation made after that names the block."}
		}
		return s
	},
	meaning: func(Facts) Section {
		return Section{Heading: "What this proves, and what not", Points: []string{
			"It proves that a file with exactly this digest existed before that block, and has not changed since. Changing a single byte changes the digest.",
			"It proves neither who wrote the document, nor that it was sent or received, nor that what it says is true.",
			"It rests on nobody’s word: the proof can be checked with Bitcoin’s chain alone, even if the authority, this site and its software are gone.",
			"It is not a qualified electronic time stamp in the sense of article 42 of Regulation (EU) No 910/2014 (eIDAS). Under its article 41(1) a time stamp must not be refused as evidence solely because it is not qualified.",
		}}
	},
	check: func(f Facts) Section {
		return Section{Heading: "How to check without us", Numbered: true, Points: []string{
			"Compute the digest of the file and compare it with the one on this page: sha256sum " + shellName(f.FileName),
			fmt.Sprintf("Save the proof as %s, beside the file. It is attached to the PDF version of this attestation, and offered on the document’s page.", proofName(f)),
			fmt.Sprintf("Verify it with a program of your choice: ancre verify %s, or ots verify %s (OpenTimestamps). Neither needs this site.", shellName(proofName(f)), shellName(proofName(f))),
			"Or open the check tool in a browser (" + f.Verifier + "). It computes everything on your computer, and can be saved for use without a network.",
		}}
	},
}
