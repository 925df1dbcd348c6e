package rpc

import (
	"fmt"
	"math"
	"strings"
)

// method is one row of the table of methods: what help tells of it, who may call it, and what runs.
type method struct {
	name    string
	group   string // the heading in the list of help
	roles   roles  // who may call it; admin always may
	early   bool   // works while the daemon starts: asks nothing of Services
	about   string
	params  []param
	result  string
	example string // parameters as a JSON array
	run     func(*call) (any, error)
	cost    func(args) int64 // what a call holds in memory, in bytes, until its answer is written; nil: little
	meter   *meter
}

// What one item of an answer holds in memory while that is made: its JSON, and what it is made
// from.
const (
	costEntry     = 512      // of submitbatch: a proof has some 150 bytes, and its calendar's address
	costListed    = 800      // of lists: the 20 of the default are small. An anchor of many versions counts for more once it is there
	costGetAnchor = 64 << 10 // versions with their transactions
)

// costOf makes the cost of a list from that of an item and the parameter that says how many.
func costOf(param string, item int64) func(args) int64 {
	return func(a args) int64 { return item * a.peek(param).number }
}

// roles is a set of them, without admin, who is in every set.
type roles uint8

const (
	adminOnly roles = 0
	forSubmit roles = 1 << iota
	forRead
)

// allow reports whether a role is in the set.
func (s roles) allow(r Role) bool {
	switch r {
	case RoleAdmin:
		return true
	case RoleSubmit:
		return s&forSubmit != 0
	case RoleRead:
		return s&forRead != 0
	}
	return false
}

// String names the roles in the set.
func (s roles) String() string {
	var who []string
	if s&forSubmit != 0 {
		who = append(who, string(RoleSubmit))
	}
	if s&forRead != 0 {
		who = append(who, string(RoleRead))
	}
	return strings.Join(append(who, string(RoleAdmin)), " or ")
}

func (m *method) countParams() string {
	if len(m.params) == 1 {
		return "1 parameter"
	}
	return fmt.Sprintf("%d parameters", len(m.params))
}

// misuse is the code for parameters that are missing or too many: JSON-RPC's own, but bitcoind's
// for what it has, too.
func (m *method) misuse() int {
	if m.group == groupChain {
		return CodeMisc
	}
	return CodeInvalidParams
}

// Headings of the list of help.
const (
	groupDigests = "Digests and proofs"
	groupBatches = "Batches and anchors"
	groupWallet  = "Fee wallet"
	groupChain   = "Bitcoin's chain"
	groupControl = "Control"
)

// The methods that have a fast way in.
const (
	methodSubmit      = "submit"
	methodSubmitBatch = "submitbatch"
	methodGetStatus   = "getstatus"
	methodGetProof    = "getproof"
)

// Limits of lists.
const (
	maxListed          = 1_000
	defaultListed      = "20"
	defaultTransaction = "10" // as bitcoind's listtransactions
)

const (
	exampleDigest  = `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`
	exampleAddress = `"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"`
	exampleBlock   = `"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"`

	aboutDigest = "The SHA-256 of what is to be proven, 64 lower-case hexadecimal digits"
	aboutBefore = "List only those with a lower number; 0 begins with the newest"
	resultEntry = "An object: digest, state (open, sealed, broadcast, mined or final), batch, index; once they exist txid, height, " +
		"blockhash, blocktime and confirmations"
	resultBatch = "id, state (open, sealed, broadcast, mined or final), digests (how many), opened; closes (the open one: when it is " +
		"sealed at the latest); once they exist closed, root, anchor, txid, height, blockhash and confirmations"
	resultAnchor = "id, state (broadcast, mined, final; spent when its coin went elsewhere, and dead when that is deep), batches, created, txid and fee_sats " +
		"(of the version that was mined, else of the newest), height, blockhash and confirmations once mined (or spent), and versions, oldest first: each with state " +
		"(newest, mined or replaced), txid, root, batches, fee_sats, vsize, sat_per_vbyte and created"
)

// methods returns the table, in the order of the list of help.
func methods() []method {
	digest := param{name: "digest", kind: kindDigest, about: aboutDigest}
	before := param{name: "before", kind: kindInteger, optional: true, def: "0", max: math.MaxInt64, about: aboutBefore}
	limit := param{name: "limit", kind: kindInteger, optional: true, def: defaultListed, min: 1, max: maxListed, about: "How many at most"}
	id := param{name: "id", kind: kindInteger, min: 1, max: math.MaxInt64}
	batchID, anchorID := id, id
	batchID.about, anchorID.about = "The batch's number", "The anchor's number"
	passphrase := param{name: "passphrase", kind: kindString, secret: true}
	encoding := param{name: "passphrase_encoding", kind: kindString, optional: true, def: encodingText, choices: []string{encodingText, encodingHex},
		about: "How the passphrase is written: text, or hex, two digits for each byte of one that is not UTF-8"}
	newPassphrase, oldPassphrase := passphrase, passphrase
	newPassphrase.about = "What the keys on disk are encrypted with; it is needed at each start"
	oldPassphrase.about = "The one that the wallet was made with"

	return []method{{
		name: methodSubmit, group: groupDigests, roles: forSubmit, run: submit,
		about:   "Accepts one digest, to be anchored with the next batch. Once answered it is on disk and no crash loses it. A digest that was submitted before keeps its place.",
		params:  []param{digest},
		result:  resultEntry + "; and proof, its pending proof (base64 of an .ots file).",
		example: "[" + exampleDigest + "]",
	}, {
		name: methodSubmitBatch, group: groupDigests, roles: forSubmit, run: submit,
		cost:    func(a args) int64 { return costEntry * int64(len(a.peek("digests").digests)) },
		about:   "Accepts many digests, all or none. Much quicker than one call each.",
		params:  []param{{name: "digests", kind: kindDigests, about: fmt.Sprintf("The digests as an array, up to %d. %s each", MaxDigests, aboutDigest)}},
		result:  "An array of objects as submit answers, in the order of the digests.",
		example: "[[" + exampleDigest + "]]",
	}, {
		name: methodGetStatus, group: groupDigests, roles: forSubmit | forRead, run: getStatus,
		about:   "Tells where a submitted digest is. A commitment that a pending proof of this node's calendar ends with is taken as well.",
		params:  []param{digest},
		result:  resultEntry + ".",
		example: "[" + exampleDigest + "]",
	}, {
		name: methodGetProof, group: groupDigests, roles: forSubmit | forRead, run: getProof,
		about: "Returns the proof of a submitted digest. It is pending until its anchor is final; ask again later. " +
			"A commitment that a pending proof of this node's calendar ends with is taken as well (format ots): the proof is about the commitment then, and absent as long as complete is false.",
		params: []param{digest, {name: "format", kind: kindString, optional: true, def: FormatOTS, choices: []string{FormatOTS, FormatChainpoint, FormatChainpoint4},
			about: "ots: an OpenTimestamps proof, as `ots verify` and `ancre verify` read it; chainpoint: a Chainpoint receipt of version 2, as Woleet's tools read it; " +
				"chainpoint4: one of version 4"}},
		result: "What getstatus answers, format, complete (true or false), and proof (ots: base64) or receipt (chainpoint and chainpoint4: an object, absent as long " +
			"as complete is false).",
		example: "[" + exampleDigest + `,"ots"]`,
	}, {
		name: "verifyproof", group: groupDigests, roles: forRead, run: verifyProof,
		about: "Verifies a proof, of whatever origin, against this node's own block headers.",
		params: []param{
			{name: "digest", kind: kindHex, about: "The file's hash, of the kind that the proof names: 64 lower-case hexadecimal digits for SHA-256, 40 for SHA-1"},
			{name: "proof", kind: kindBase64, about: "The bytes of the .ots file in base64"},
		},
		result: "An object: result (valid, pending, invalid, or unverifiable: nothing is wrong with the proof as far as this node can tell, and needed says what verifies it); " +
			"when valid height, blockhash and blocktime of the block before which the digest existed; otherwise reason. warnings, when there are any, " +
			"say what a valid or pending proof does not show: a SHA-1, of which two files may have the same; an attestation that is false or was not checked.",
		example: "[" + exampleDigest + `,"AE9wZW5UaW1lc3RhbXBzAABQcm9vZgC/ieLohOiSlAE="]`,
	}, {
		name: "listbatches", group: groupBatches, roles: forRead, run: listBatches, cost: costOf("limit", costListed),
		about:   "Lists batches, newest first.",
		params:  []param{before, limit},
		result:  "An array of objects: " + resultBatch + ".",
		example: "[0,5]",
	}, {
		name: "getbatch", group: groupBatches, roles: forRead, run: getBatch,
		about:   "Tells about one batch.",
		params:  []param{batchID},
		result:  "An object: " + resultBatch + ".",
		example: "[1]",
	}, {
		name: "closebatch", group: groupBatches, roles: adminOnly, run: closeBatch,
		about:   "Seals the open batch now, without waiting for its time, so that it is anchored at once.",
		result:  "The sealed batch as getbatch answers, or null when nothing was submitted since the last one was sealed.",
		example: "[]",
	}, {
		name: "listanchors", group: groupBatches, roles: forRead, run: listAnchors, cost: costOf("limit", costListed),
		about:   "Lists anchors, newest first: the payments that put batches into Bitcoin.",
		params:  []param{before, limit},
		result:  "An array of objects: " + resultAnchor + ".",
		example: "[0,5]",
	}, {
		name: "getanchor", group: groupBatches, roles: forRead, run: getAnchor, cost: func(args) int64 { return costGetAnchor },
		about:   "Tells about one anchor, its transactions included.",
		params:  []param{anchorID},
		result:  "An object: " + resultAnchor + ", and hex, the signed transaction.",
		example: "[1]",
	}, {
		name: "createwallet", group: groupWallet, roles: adminOnly, run: createWallet,
		about: "Makes the fee wallet, or restores one from its words.",
		params: []param{newPassphrase,
			{name: "words", kind: kindString, optional: true, secret: true, about: "The 24 words of the wallet to restore, with spaces between; new ones are made without"},
			{name: "birthday", kind: kindTime, optional: true, about: "When the wallet to restore was first used, 2026-01-31 or 2026-01-31T12:00:00Z: coins are looked for from then on; " +
				"from the first block that could hold one without"},
			encoding,
			{name: "replace", kind: kindBoolean, optional: true, def: "false", about: "true: take the place of a wallet that was never used, whose words nobody has. One that any " +
				"transaction touched is not replaced. The old file is kept beside the new one"},
		},
		result:  "An object: words (only of a new wallet, and only this once: write them down), restored, address (the first one, to be funded).",
		example: `["a long passphrase"]`,
	}, {
		name: "unlockwallet", group: groupWallet, roles: adminOnly, run: unlockWallet,
		about:   "Opens the wallet until the daemon stops.",
		params:  []param{oldPassphrase, encoding},
		result:  "null.",
		example: `["a long passphrase"]`,
	}, {
		name: "getnewaddress", group: groupWallet, roles: adminOnly, run: getNewAddress,
		about:   "Returns a fresh address, to fund the wallet.",
		result:  "A string.",
		example: "[]",
	}, {
		name: "getbalance", group: groupWallet, roles: forRead, run: getBalance,
		about:   "Tells what the wallet holds, in satoshi.",
		result:  "An object: confirmed_sats, pending_sats (in transactions that are not mined yet), spendable_sats (confirmed and free to be spent now).",
		example: "[]",
	}, {
		name: "listtransactions", group: groupWallet, roles: forRead, run: listTransactions, cost: costOf("count", costListed),
		about: "Lists the wallet's transactions, newest first.",
		params: []param{
			{name: "count", kind: kindInteger, optional: true, def: defaultTransaction, min: 1, max: maxListed, about: "How many at most"},
			{name: "skip", kind: kindInteger, optional: true, def: "0", max: math.MaxInt32, about: "How many of the newest to leave out"},
		},
		result: "An array of objects: txid, time, amount_sats (what it changed the balance by, fee included), fee_sats (of those we paid), " +
			"kind (received, sent or anchor), confirmations; height, blocktime and label where they exist.",
		example: "[10,0]",
	}, {
		name: "sendtoaddress", group: groupWallet, roles: adminOnly, run: sendToAddress,
		about: "Pays to an address. Amounts are in satoshi, unlike bitcoind's.",
		params: []param{
			{name: "address", kind: kindString, about: "Where to"},
			{name: "amount_sats", kind: kindInteger, min: 1, max: maxSats, about: "How much, in satoshi, an integer"},
			{name: "fee_rate", kind: kindInteger, optional: true, min: 1, max: maxFeeRate, about: "In satoshi for each virtual byte; estimated without"},
		},
		result:  "A string: the transaction's ID.",
		example: "[" + exampleAddress + ",50000]",
	}, {
		name: "estimatefee", group: groupWallet, roles: forRead, run: estimateFee,
		about: "Estimates, from recent blocks and the peers alone, what a transaction should pay to be mined soon, and shows how that was found.",
		result: "An object: sat_per_vbyte (the estimate), anchor_sats (what an anchor of the usual 153 vB costs at that rate), floor_sat_per_vbyte and floor_peers (what the " +
			"peers ask for, and how many said so), as_of (the newest block's time), problem (why newer blocks could not be had), blocks (that were looked at, each with height, blockhash, " +
			"blocktime, transactions, fullness, average_sat_per_vbyte and counts_sat_per_vbyte), next_anchor (what one would pay that begins now: after_seconds, sat_per_vbyte, anchor_sats).",
		example: "[]",
	}, {
		name: "getblockcount", group: groupChain, roles: forRead, run: getBlockCount,
		about:   "Returns the height of the newest block.",
		result:  "A number.",
		example: "[]",
	}, {
		name: "getbestblockhash", group: groupChain, roles: forRead, run: getBestBlockHash,
		about:   "Returns the hash of the newest block.",
		result:  "A string.",
		example: "[]",
	}, {
		name: "getblockhash", group: groupChain, roles: forRead, run: getBlockHash,
		about:   "Returns the hash of the block at a height.",
		params:  []param{{name: "height", kind: kindInteger, max: math.MaxInt32, about: "From 0 to what getblockcount returns"}},
		result:  "A string.",
		example: "[1000]",
	}, {
		name: "getblockheader", group: groupChain, roles: forRead, run: getBlockHeader,
		about: "Returns a block's header.",
		params: []param{
			{name: "blockhash", kind: kindHash, about: "The block's hash, 64 hexadecimal digits"},
			{name: "verbose", kind: kindBoolean, optional: true, def: "true", about: "true for an object, false for the header's 80 bytes in hexadecimal"},
		},
		result: "A string, or an object: hash, confirmations (-1 when the block is not in the active chain), height, version, versionHex, merkleroot, time, " +
			"mediantime, nonce, bits, difficulty, previousblockhash, nextblockhash.",
		example: "[" + exampleBlock + ",false]",
	}, {
		name: "getblockchaininfo", group: groupChain, roles: forRead, run: getBlockchainInfo,
		about:   "Tells how far the chain is followed, in bitcoind's words. getinfo tells more.",
		result:  "An object: chain, blocks, headers, bestblockhash, bits, difficulty, time, mediantime, verificationprogress, initialblockdownload, pruned (always true), warnings.",
		example: "[]",
	}, {
		name: "getinfo", group: groupControl, roles: forRead, run: getInfo,
		about: "Tells everything that a person asks first.",
		result: "An object: version, network, datadir, uptime_seconds, ready; chain (progress and peers), batch (the open one), digests, waiting_batches, " +
			"anchors (how many in each state), spending (paid_sats in the last blocks, 4320, and budget_sats, 0 for none), wallet (state and balance), warnings (what is wrong, and what to do).",
		example: "[]",
	}, {
		name: "help", group: groupControl, early: true, roles: forSubmit | forRead, run: help,
		about:   "Lists the methods, or explains one.",
		params:  []param{{name: "method", kind: kindString, optional: true, about: "The one to explain"}},
		result:  "A string, for a person.",
		example: `["submit"]`,
	}, {
		name: "stop", group: groupControl, early: true, roles: adminOnly, run: stop,
		about:   "Stops the daemon. What was acknowledged is on disk already.",
		result:  "A string.",
		example: "[]",
	}, {
		name: "uptime", group: groupControl, early: true, roles: forRead, run: uptime,
		about:   "Returns for how many seconds the daemon has been running.",
		result:  "A number.",
		example: "[]",
	}}
}

const (
	maxSats    = 21_000_000 * 100_000_000 // all there will ever be
	maxFeeRate = 100_000                  // sat/vB: far above any rate ever paid; a typo is stopped here
)
