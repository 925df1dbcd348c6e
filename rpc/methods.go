package rpc

import (
	"fmt"
	"math"
)

// The names of the methods.
const (
	MethodSubmit            = "submit"
	MethodSubmitBatch       = "submitbatch"
	MethodGetStatus         = "getstatus"
	MethodGetProof          = "getproof"
	MethodVerifyProof       = "verifyproof"
	MethodWaitChanges       = "waitchanges"
	MethodListBatches       = "listbatches"
	MethodGetBatch          = "getbatch"
	MethodCloseBatch        = "closebatch"
	MethodListAnchors       = "listanchors"
	MethodGetAnchor         = "getanchor"
	MethodCreateWallet      = "createwallet"
	MethodUnlockWallet      = "unlockwallet"
	MethodChangePassphrase  = "changepassphrase"
	MethodGetNewAddress     = "getnewaddress"
	MethodGetBalance        = "getbalance"
	MethodListTransactions  = "listtransactions"
	MethodSendToAddress     = "sendtoaddress"
	MethodEstimateFee       = "estimatefee"
	MethodGetBlockCount     = "getblockcount"
	MethodGetBestBlockHash  = "getbestblockhash"
	MethodGetBlockHash      = "getblockhash"
	MethodGetBlockHeader    = "getblockheader"
	MethodGetBlockchainInfo = "getblockchaininfo"
	MethodGetNetworkInfo    = "getnetworkinfo"
	MethodGetInfo           = "getinfo"
	MethodBackupDone        = "backupdone"
	MethodBackupFailed      = "backupfailed"
	MethodTestNotify        = "testnotify"
	MethodHelp              = "help"
	MethodStop              = "stop"
	MethodUptime            = "uptime"
)

// WordAll is the amount of sendtoaddress that sends everything, and All is its number for
// [Client.Pay].
const (
	WordAll = "all"
	All     = int64(-1)
)

// The headings under which help lists the methods.
const (
	GroupDigests = "Digests and proofs"
	GroupBatches = "Batches and anchors"
	GroupWallet  = "Fee wallet"
	GroupChain   = "Bitcoin's chain"
	GroupControl = "Control"
)

// Limits of lists.
const (
	maxListed          = 1_000
	defaultListed      = "20"
	defaultChanges     = "100"
	defaultTransaction = "10" // as bitcoind's listtransactions
)

// How long waitchanges waits, in seconds. The server ends each call after five minutes.
const (
	maxWait     = 240
	defaultWait = "60"
)

const (
	exampleDigest  = `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`
	exampleAddress = `"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"`
	exampleBlock   = `"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"`

	aboutDigest = "The SHA-256 of what is to be proven, 64 lower-case hexadecimal digits"
	aboutBefore = "List only those with a lower number; 0: begin with the newest"
	resultEntry = "An object: digest, state (open, sealed, broadcast, mined or final), batch, index; once known, txid, height, " +
		"blockhash, blocktime and confirmations"
	resultBatch = "id, state (open, sealed, broadcast, mined or final), digests (how many), opened; closes (of the open batch: when it is " +
		"sealed at the latest); once known, closed, root, anchor, txid, height, blockhash and confirmations"
	resultOutlook = "anchor_sats (what an anchor costs at today's price), anchors_per_day (as in the last 30 days or, while less than a week is known, as many as batch.interval " +
		"allows), anchors_left and days_left (what the confirmed balance is enough for), deposit_sats and deposit_days (a round amount to send, and how long it lasts)"
	resultAnchor = "id, state (broadcast, mined, final; spent: another transaction spent its coin; dead: that transaction is final), batches, created, txid and fee_sats " +
		"(of the mined version, otherwise of the newest), height, blockhash and confirmations once mined (or spent), and versions, oldest first: each with state " +
		"(newest, mined or replaced), txid, root, batches, fee_sats, vsize, sat_per_vbyte and created"
)

// Methods returns a description of each method, in the order in which help lists them.
func Methods() []Method {
	digest := Param{Name: "digest", Kind: KindDigest, About: aboutDigest}
	before := Param{Name: "before", Kind: KindInteger, Optional: true, Default: "0", Max: math.MaxInt64, About: aboutBefore}
	limit := Param{Name: "limit", Kind: KindInteger, Optional: true, Default: defaultListed, Min: 1, Max: maxListed, About: "How many at most"}
	id := Param{Name: "id", Kind: KindInteger, Min: 1, Max: math.MaxInt64}
	batchID, anchorID := id, id
	batchID.About, anchorID.About = "The batch's number", "The anchor's number"
	passphrase := Param{Name: "passphrase", Kind: KindString, Secret: true}
	encoding := Param{Name: "passphrase_encoding", Kind: KindString, Optional: true, Default: PassphraseText, Choices: []string{PassphraseText, PassphraseHex},
		About: "How passphrases are written: text, or hex (two digits for each byte) if it is not UTF-8"}
	newPassphrase, oldPassphrase := passphrase, passphrase
	changeFrom := Param{Name: "old_passphrase", Kind: KindString, Secret: true, About: "The passphrase that opens the wallet now"}
	changeTo := Param{Name: "new_passphrase", Kind: KindString, Secret: true, About: "The passphrase that opens it from now on, of 8 characters or more"}
	newPassphrase.About = "It encrypts the keys on disk, and is needed at each start of the daemon"
	oldPassphrase.About = "The passphrase that the wallet was made with"

	return []Method{{
		Name: MethodSubmit, Group: GroupDigests, Roles: Roles{RoleSubmit},
		About:   "Accepts one digest and anchors it with the next batch. Once this method has answered, the digest is on disk and no crash loses it. A digest that was submitted before keeps its place.",
		Params:  []Param{digest},
		Result:  resultEntry + "; and proof, its pending proof (base64 of an .ots file).",
		Example: "[" + exampleDigest + "]",
	}, {
		Name: MethodSubmitBatch, Group: GroupDigests, Roles: Roles{RoleSubmit},
		About:   "Accepts many digests, all or none. This is much faster than one call each.",
		Params:  []Param{{Name: "digests", Kind: KindDigests, About: fmt.Sprintf("The digests as an array, up to %d. %s each", MaxDigests, aboutDigest)}},
		Result:  "An array of objects as in the answer of submit, in the order of the digests.",
		Example: "[[" + exampleDigest + "]]",
	}, {
		Name: MethodGetStatus, Group: GroupDigests, Roles: Roles{RoleSubmit, RoleRead},
		About:   "Returns where a submitted digest is. It also accepts the commitment of a pending proof from this node's calendar.",
		Params:  []Param{digest},
		Result:  resultEntry + ".",
		Example: "[" + exampleDigest + "]",
	}, {
		Name: MethodGetProof, Group: GroupDigests, Roles: Roles{RoleSubmit, RoleRead},
		About: "Returns the proof of a submitted digest. It is pending until its anchor is final; ask again later. " +
			"It also accepts the commitment of a pending proof from this node's calendar (format ots). The proof is then about the commitment, and absent while complete is false.",
		Params: []Param{digest, {Name: "format", Kind: KindString, Optional: true, Default: FormatOTS, Choices: []string{FormatOTS, FormatChainpoint, FormatChainpoint4},
			About: "ots: an OpenTimestamps proof, for `ots verify` and `ancre verify`; chainpoint: a Chainpoint receipt of version 2, for Woleet's tools; " +
				"chainpoint4: a Chainpoint receipt of version 4"}},
		Result: "The answer of getstatus, with format, complete (true or false), and proof (ots: base64) or receipt (chainpoint and chainpoint4: an object, absent " +
			"while complete is false).",
		Example: "[" + exampleDigest + `,"ots"]`,
	}, {
		Name: MethodVerifyProof, Group: GroupDigests, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About: "Verifies a proof from any server against this node's own block headers.",
		Params: []Param{
			{Name: "digest", Kind: KindHex, About: "The file's hash, by the algorithm that the proof names: 64 lower-case hexadecimal digits for SHA-256, 40 for SHA-1"},
			{Name: "proof", Kind: KindBase64, About: "The bytes of the .ots file in base64"},
		},
		Result: "An object: result (valid, pending, invalid or unverifiable); if valid, height, blockhash and blocktime of the block before which the digest existed; otherwise reason. " +
			"If unverifiable, this node finds nothing wrong with the proof and cannot verify it; needed says what can. warnings, if there are any, say what a valid or pending " +
			"proof does not show: that its hash is a SHA-1, which two files can share, or that another attestation is false or was not checked.",
		Example: "[" + exampleDigest + `,"AE9wZW5UaW1lc3RhbXBzAABQcm9vZgC/ieLohOiSlAE="]`,
	}, {
		Name: MethodWaitChanges, Group: GroupBatches, Roles: Roles{RoleSubmit, RoleRead},
		About: "Returns the changes of the state of batches that came after a cursor, in their order. If there are none, it waits until there are, or until the timeout is over. " +
			"The changes are kept for ever: who stores the cursor together with what he made of the changes misses none, however often he and the daemon are stopped. " +
			"He may hear some of them twice.",
		Params: []Param{
			{Name: "cursor", Kind: KindString, Optional: true, About: "The cursor of the answer before; \"\" or absent: begin with the first change of all"},
			{Name: "timeout", Kind: KindInteger, Optional: true, Default: defaultWait, Max: maxWait, About: "How many seconds to wait at most; 0: do not wait"},
			{Name: "limit", Kind: KindInteger, Optional: true, Default: defaultChanges, Min: 1, Max: maxListed, About: "How many changes at most, except that those which happened together come together"},
		},
		Result: "An object: changes, an array of objects, the oldest first; cursor, for the next call; and reset, which is true if this node does not know the cursor, because it was restored " +
			"from a backup or is another one: the changes then begin with the first of all. Each change has batch and state (open, sealed, broadcast, mined or final); with broadcast, mined and " +
			"final, anchor; with mined and final, height and blockhash. A reorganisation shows as mined or final followed by broadcast.",
		Example: `["",0]`,
	}, {
		Name: MethodListBatches, Group: GroupBatches, Roles: Roles{RoleRead},
		About:   "Lists batches, newest first.",
		Params:  []Param{before, limit},
		Result:  "An array of objects: " + resultBatch + ".",
		Example: "[0,5]",
	}, {
		Name: MethodGetBatch, Group: GroupBatches, Roles: Roles{RoleRead},
		About:   "Returns one batch.",
		Params:  []Param{batchID},
		Result:  "An object: " + resultBatch + ".",
		Example: "[1]",
	}, {
		Name: MethodCloseBatch, Group: GroupBatches,
		About:   "Seals the open batch now, before its time, so that it is anchored at once.",
		Result:  "The sealed batch as in the answer of getbatch, or null if nothing was submitted since the last batch was sealed.",
		Example: "[]",
	}, {
		Name: MethodListAnchors, Group: GroupBatches, Roles: Roles{RoleRead},
		About:   "Lists anchors, newest first. An anchor is a payment that commits batches to Bitcoin.",
		Params:  []Param{before, limit},
		Result:  "An array of objects: " + resultAnchor + ".",
		Example: "[0,5]",
	}, {
		Name: MethodGetAnchor, Group: GroupBatches, Roles: Roles{RoleRead},
		About:   "Returns one anchor with its transactions.",
		Params:  []Param{anchorID},
		Result:  "An object: " + resultAnchor + ", and hex, the signed transaction.",
		Example: "[1]",
	}, {
		Name: MethodCreateWallet, Group: GroupWallet,
		About: "Makes the fee wallet, or restores it from its words.",
		Params: []Param{newPassphrase,
			{Name: "words", Kind: KindString, Optional: true, Secret: true, About: "The 24 words of the wallet to restore, separated by spaces; if absent, a new wallet is made"},
			{Name: "birthday", Kind: KindTime, Optional: true, About: "When the wallet to restore was first used, 2026-01-31 or 2026-01-31T12:00:00Z: its coins are looked for from then on; " +
				"if absent, from the first block that could hold one"},
			encoding,
			{Name: "replace", Kind: KindBoolean, Optional: true, Default: "false", About: "true: replace a wallet that was never used, for example because its words are lost. A wallet with any transaction " +
				"is not replaced. The old file is kept beside the new one"},
		},
		Result:  "An object: words (of a new wallet, and never shown again: write them down), restored, address (the first one, to be funded).",
		Example: `["a long passphrase"]`,
	}, {
		Name: MethodUnlockWallet, Group: GroupWallet,
		About:   "Opens the wallet until the daemon stops.",
		Params:  []Param{oldPassphrase, encoding},
		Result:  "null.",
		Example: `["a long passphrase"]`,
	}, {
		Name: MethodChangePassphrase, Group: GroupWallet,
		About: "Changes the passphrase of the wallet. The keys on disk are encrypted again in one step: over any crash, the wallet opens with the old passphrase or with the new one. " +
			"A wallet that is open stays open. The 24 words stay the same.",
		Params: []Param{changeFrom, changeTo, encoding},
		Result: "An object: unlock_file (with which the daemon unlocks the wallet at each start, if there is one), credential (true if that is a systemd credential), " +
			"update_file (true if it does not hold the new passphrase: write it there, or the daemon cannot unlock the wallet after its next start).",
		Example: `["a long passphrase","a longer passphrase"]`,
	}, {
		Name: MethodGetNewAddress, Group: GroupWallet,
		About:   "Returns a new address, to fund the wallet.",
		Params:  []Param{{Name: "verbose", Kind: KindBoolean, Optional: true, Default: "false", About: "true for an object that also says how much to send"}},
		Result:  "A string, or an object: address, " + resultOutlook + ".",
		Example: "[true]",
	}, {
		Name: MethodGetBalance, Group: GroupWallet, Roles: Roles{RoleRead},
		About: "Returns what the wallet holds, in satoshi.",
		Result: "An object: confirmed_sats, pending_sats (change of the wallet's own payments that are in no block yet: a light client sees no other payment before a block has it), " +
			"spendable_sats (what can be spent now), " + resultOutlook + ".",
		Example: "[]",
	}, {
		Name: MethodListTransactions, Group: GroupWallet, Roles: Roles{RoleRead},
		About: "Lists the wallet's transactions, newest first.",
		Params: []Param{
			{Name: "count", Kind: KindInteger, Optional: true, Default: defaultTransaction, Min: 1, Max: maxListed, About: "How many at most"},
			{Name: "skip", Kind: KindInteger, Optional: true, Default: "0", Max: math.MaxInt32, About: "How many of the newest to leave out"},
		},
		Result: "An array of objects: txid, time, amount_sats (the change of the balance, fee included), fee_sats (if the wallet paid it), " +
			"kind (received, sent or anchor), confirmations; if known, height, blocktime and label.",
		Example: "[10,0]",
	}, {
		Name: MethodSendToAddress, Group: GroupWallet,
		About: "Pays to an address. The amount is in satoshi, unlike in bitcoind. Coins of an anchor in flight are never spent.",
		Params: []Param{
			{Name: "address", Kind: KindString, About: "The address to pay to"},
			{Name: "amount_sats", Kind: KindInteger, Min: 1, Max: maxSats, Word: WordAll, About: "How much, in satoshi, an integer; or \"all\": everything that can be spent, the fee taken from it"},
			{Name: "fee_rate", Kind: KindInteger, Optional: true, Min: 1, Max: maxFeeRate, About: "In satoshi per virtual byte; if absent, it is estimated"},
			{Name: "verbose", Kind: KindBoolean, Optional: true, Default: "false", About: "true for an object that says what was paid and what stays"},
			{Name: "dry_run", Kind: KindBoolean, Optional: true, Default: "false", About: "true: send nothing, and return the object that would be the answer, without txid"},
		},
		Result: "A string: the transaction's ID. Or an object: txid, amount_sats (what the address receives), fee_sats, sat_per_vbyte, rest_sats (what stays in the wallet), " +
			"and what of the rest cannot be sent now: held_sats (for anchors in flight), unconfirmed_sats and small_sats (coins that cost more to spend than they are worth); " +
			"anchors_left and days_left (what the rest is enough for).",
		Example: "[" + exampleAddress + ",50000]",
	}, {
		Name: MethodEstimateFee, Group: GroupWallet, Roles: Roles{RoleRead},
		About: "Estimates what a transaction should pay to be mined soon, and shows what the estimate is made from: recent blocks and the peers alone.",
		Result: "An object: sat_per_vbyte (the estimate), anchor_sats (what an anchor of the usual 153 vB costs at that rate), floor_sat_per_vbyte and floor_peers (what " +
			"peers demand, and how many said so), as_of (the newest block's time), problem (why newer blocks could not be fetched), blocks (each with height, blockhash, " +
			"blocktime, transactions, fullness, average_sat_per_vbyte and counts_sat_per_vbyte), next_anchor (what an anchor that begins now would pay: after_seconds, sat_per_vbyte, anchor_sats).",
		Example: "[]",
	}, {
		Name: MethodGetBlockCount, Group: GroupChain, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About:   "Returns the height of the newest block.",
		Result:  "A number.",
		Example: "[]",
	}, {
		Name: MethodGetBestBlockHash, Group: GroupChain, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About:   "Returns the hash of the newest block.",
		Result:  "A string.",
		Example: "[]",
	}, {
		Name: MethodGetBlockHash, Group: GroupChain, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About:   "Returns the hash of the block at a height.",
		Params:  []Param{{Name: "height", Kind: KindInteger, Max: math.MaxInt32, About: "From 0 to what getblockcount returns"}},
		Result:  "A string.",
		Example: "[1000]",
	}, {
		Name: MethodGetBlockHeader, Group: GroupChain, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About: "Returns a block's header.",
		Params: []Param{
			{Name: "blockhash", Kind: KindHash, About: "The block's hash, 64 hexadecimal digits"},
			{Name: "verbose", Kind: KindBoolean, Optional: true, Default: "true", About: "true for an object, false for the header's 80 bytes in hexadecimal"},
		},
		Result: "A string, or an object: hash, confirmations (-1 if the block is not in the active chain), height, version, versionHex, merkleroot, time, " +
			"mediantime, nonce, bits, difficulty, previousblockhash, nextblockhash.",
		Example: "[" + exampleBlock + ",false]",
	}, {
		Name: MethodGetBlockchainInfo, Group: GroupChain, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About:   "Returns the state of the chain in bitcoind's words. getinfo returns more.",
		Result:  "An object: chain, blocks, headers, bestblockhash, bits, difficulty, time, mediantime, verificationprogress, initialblockdownload, pruned (always true), warnings.",
		Example: "[]",
	}, {
		Name: MethodGetNetworkInfo, Group: GroupChain, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About: "Returns the state of the connections in bitcoind's words, so that `bitcoin-cli -getinfo` works. getinfo returns more.",
		Result: "An object: version (200 is 0.2.0), subversion, protocolversion, timeoffset (always 0), networkactive, connections, connections_in (always 0), connections_out, " +
			"networks (always empty), relayfee and incrementalfee (in BTC per 1,000 vB: the least that this node pays), warnings.",
		Example: "[]",
	}, {
		Name: MethodGetInfo, Group: GroupControl, Roles: Roles{RoleRead},
		About: "Returns what a person asks first: sync progress, batch, anchors, wallet, warnings.",
		Result: "An object: version, network, datadir, uptime_seconds, ready; chain (progress and peers), batch (the open one), digests, waiting_batches, " +
			"anchors (how many in each state), spending (paid_sats in the last 4320 blocks, and budget_sats, 0: no limit), anchoring (batch.interval and anchor.target in seconds, anchor.confirmations), wallet (state, and the members of getbalance), " +
			"last_backup and backup_failure (if there are any, as backupdone and backupfailed reported them), warning_details (kind, severity and text of each), warnings (the texts: what is wrong, and what to do).",
		Example: "[]",
	}, {
		Name: MethodBackupDone, Group: GroupControl,
		About: "Reports a backup that is complete and checked. getinfo then shows it, and the warnings about backups end. `ancre backup` calls this by itself; " +
			"call it for a backup that you fetched without ancre.",
		Params: []Param{
			{Name: "taken", Kind: KindTime, About: "When the backup was taken, as its header says"},
			{Name: "digests", Kind: KindInteger, Max: math.MaxInt64, About: "How many digests it holds"},
			{Name: "file", Kind: KindString, Optional: true, About: "Where it is, for a person"},
			{Name: "rehearsed", Kind: KindBoolean, Optional: true, Default: "false", About: "true: a store was rebuilt from it, and read"},
			{Name: "copied", Kind: KindBoolean, Optional: true, Default: "false", About: "true: it was copied elsewhere"},
		},
		Result:  "null.",
		Example: `["2026-11-30T02:17:00Z",302,"/var/backups/ancre/ancre-mainnet-2026-11-30T021700Z.backup",true,true]`,
	}, {
		Name: MethodBackupFailed, Group: GroupControl,
		About:   "Reports that a backup that runs unattended failed. The daemon warns until the next backupdone. `ancre backup --rotate` calls this by itself.",
		Params:  []Param{{Name: "reason", Kind: KindString, About: "What failed, for a person"}},
		Result:  "null.",
		Example: `["the copy command ended with exit status 23"]`,
	}, {
		Name: MethodTestNotify, Group: GroupControl,
		About: "Runs notify.command now, with a test event, and returns what came of it. It waits for the command, a minute at most.",
		Result: "An object: ok (true if the command exited with 0), program (that was run), seconds (how long it took), output (the beginning of what it printed, on one line), " +
			"and error if it failed.",
		Example: "[]",
	}, {
		Name: MethodHelp, Group: GroupControl, Roles: Roles{RoleSubmit, RoleVerify, RoleRead},
		About:   "Lists the methods, or explains one.",
		Params:  []Param{{Name: "method", Kind: KindString, Optional: true, About: "The method to explain"}},
		Result:  "A string, for a person.",
		Example: `["submit"]`,
	}, {
		Name: MethodStop, Group: GroupControl,
		About:   "Stops the daemon. Everything that was acknowledged is already on disk.",
		Result:  "A string.",
		Example: "[]",
	}, {
		Name: MethodUptime, Group: GroupControl, Roles: Roles{RoleRead},
		About:   "Returns how many seconds the daemon has been running.",
		Result:  "A number.",
		Example: "[]",
	}}
}

const (
	maxSats    = 21_000_000 * 100_000_000 // all that will ever exist
	maxFeeRate = 100_000                  // sat/vB: far above any rate ever paid; it catches typing errors
)
