package rpc

import (
	"context"
	"encoding/hex"
	"time"
	"unicode/utf8"
)

// A function for each method of ancred. [Methods] and `help METHOD` say what each does and refuses.

// Submit submits one digest. When it returns nil, the digest is durable.
func (c *Client) Submit(ctx context.Context, digest [32]byte) (Entry, error) {
	var e Entry
	return e, c.Call(ctx, MethodSubmit, &e, hex.EncodeToString(digest[:]))
}

// SubmitBatch submits up to [MaxDigests] digests, all or none. The answer is in their order.
func (c *Client) SubmitBatch(ctx context.Context, digests [][32]byte) ([]Entry, error) {
	list := make([]string, len(digests))
	for i := range digests {
		list[i] = hex.EncodeToString(digests[i][:])
	}
	var e []Entry
	return e, c.Call(ctx, MethodSubmitBatch, &e, list)
}

// Status returns where a digest is. An error with [CodeNotFound] says that it was never submitted.
func (c *Client) Status(ctx context.Context, digest [32]byte) (Entry, error) {
	var e Entry
	return e, c.Call(ctx, MethodGetStatus, &e, hex.EncodeToString(digest[:]))
}

// Proof returns the proof of a digest in a format; "" is [FormatOTS].
func (c *Client) Proof(ctx context.Context, digest [32]byte, format string) (Proof, error) {
	if format == "" {
		format = FormatOTS
	}
	var p Proof
	return p, c.Call(ctx, MethodGetProof, &p, hex.EncodeToString(digest[:]), format)
}

// VerifyProof asks the server to verify a proof, the bytes of an .ots file, against its own
// headers.
func (c *Client) VerifyProof(ctx context.Context, digest, ots []byte) (Verification, error) {
	var v Verification
	return v, c.Call(ctx, MethodVerifyProof, &v, hex.EncodeToString(digest), ots) // encoding/json writes []byte as base64
}

// CloseBatch seals the open batch now. It returns nil if nothing was submitted since the last batch
// was sealed.
func (c *Client) CloseBatch(ctx context.Context) (*Batch, error) {
	var b *Batch
	return b, c.Call(ctx, MethodCloseBatch, &b)
}

// WaitChanges returns up to limit changes of the state of batches behind a cursor, "" for the
// beginning, and waits for some if there are none. Those that happened together come together, so
// there may be more. After the timeout, in whole seconds and at most four minutes, the answer has
// none.
func (c *Client) WaitChanges(ctx context.Context, cursor string, timeout time.Duration, limit int) (Changes, error) {
	var ch Changes
	return ch, c.Call(ctx, MethodWaitChanges, &ch, cursor, int64(timeout/time.Second), limit)
}

// Batches returns up to limit batches, newest first, with numbers below before (0: from the
// newest).
func (c *Client) Batches(ctx context.Context, before uint64, limit int) ([]Batch, error) {
	var b []Batch
	return b, c.Call(ctx, MethodListBatches, &b, before, limit)
}

// Batch returns one batch.
func (c *Client) Batch(ctx context.Context, id uint64) (Batch, error) {
	var b Batch
	return b, c.Call(ctx, MethodGetBatch, &b, id)
}

// Anchors returns up to limit anchors, newest first, with numbers below before (0: from the
// newest).
func (c *Client) Anchors(ctx context.Context, before uint64, limit int) ([]Anchor, error) {
	var a []Anchor
	return a, c.Call(ctx, MethodListAnchors, &a, before, limit)
}

// Anchor returns one anchor, its transactions included.
func (c *Client) Anchor(ctx context.Context, id uint64) (Anchor, error) {
	var a Anchor
	return a, c.Call(ctx, MethodGetAnchor, &a, id)
}

// Info returns what a person asks first: version, sync progress, batch, anchors, wallet, warnings.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	return i, c.Call(ctx, MethodGetInfo, &i)
}

// BackupDone reports a backup that is complete and checked.
func (c *Client) BackupDone(ctx context.Context, b LastBackup) error {
	p := Named{"taken": b.Taken.UTC().Format(time.RFC3339Nano), "digests": b.Digests, "rehearsed": b.Rehearsed, "copied": b.Copied}
	if b.File != "" {
		p["file"] = b.File
	}
	return c.Call(ctx, MethodBackupDone, nil, p)
}

// BackupFailed reports why an unattended backup failed.
func (c *Client) BackupFailed(ctx context.Context, reason string) error {
	return c.Call(ctx, MethodBackupFailed, nil, reason)
}

// EstimateFee returns what a transaction should pay to be mined soon.
func (c *Client) EstimateFee(ctx context.Context) (FeeEstimate, error) {
	var f FeeEstimate
	return f, c.Call(ctx, MethodEstimateFee, &f)
}

// CreateWallet makes the fee wallet. Without words it makes a new one. With words it restores one,
// and looks for its coins from birthday on (the zero time: from the first block that could hold
// one).
func (c *Client) CreateWallet(ctx context.Context, passphrase, words string, birthday time.Time) (CreatedWallet, error) {
	return c.createWallet(ctx, passphrase, words, birthday, false)
}

// ReplaceWallet is CreateWallet, and replaces a wallet that was never used. The old file is kept.
func (c *Client) ReplaceWallet(ctx context.Context, passphrase, words string, birthday time.Time) (CreatedWallet, error) {
	return c.createWallet(ctx, passphrase, words, birthday, true)
}

func (c *Client) createWallet(ctx context.Context, passphrase, words string, birthday time.Time, replace bool) (CreatedWallet, error) {
	p := passphraseParams(passphrase)
	if replace {
		p["replace"] = true
	}
	if words != "" {
		p["words"] = words
	}
	if !birthday.IsZero() {
		p["birthday"] = birthday.UTC().Format(time.RFC3339)
	}
	var w CreatedWallet
	return w, c.Call(ctx, MethodCreateWallet, &w, p)
}

// UnlockWallet opens the wallet until the server stops.
func (c *Client) UnlockWallet(ctx context.Context, passphrase string) error {
	return c.Call(ctx, MethodUnlockWallet, nil, passphraseParams(passphrase))
}

// ChangePassphrase changes the passphrase of the wallet.
func (c *Client) ChangePassphrase(ctx context.Context, old, new string) (ChangedPassphrase, error) {
	p := Named{"old_passphrase": old, "new_passphrase": new}
	if !utf8.ValidString(old) || !utf8.ValidString(new) {
		p = Named{"old_passphrase": hex.EncodeToString([]byte(old)), "new_passphrase": hex.EncodeToString([]byte(new)), "passphrase_encoding": PassphraseHex}
	}
	var changed ChangedPassphrase
	return changed, c.Call(ctx, MethodChangePassphrase, &changed, p)
}

// NewAddress returns a fresh address to fund the wallet.
func (c *Client) NewAddress(ctx context.Context) (string, error) {
	var a string
	return a, c.Call(ctx, MethodGetNewAddress, &a)
}

// Deposit returns a fresh address to fund the wallet, and how much to send there.
func (c *Client) Deposit(ctx context.Context) (Address, error) {
	var a Address
	return a, c.Call(ctx, MethodGetNewAddress, &a, true)
}

// Balance returns what the wallet holds.
func (c *Client) Balance(ctx context.Context) (Balance, error) {
	var b Balance
	return b, c.Call(ctx, MethodGetBalance, &b)
}

// Transactions returns count of the wallet's transactions, newest first, after leaving out skip.
func (c *Client) Transactions(ctx context.Context, count, skip int) ([]Transaction, error) {
	var t []Transaction
	return t, c.Call(ctx, MethodListTransactions, &t, count, skip)
}

// Send pays sats to an address and returns the transaction's ID. If the fee rate is 0, the server
// estimates it.
func (c *Client) Send(ctx context.Context, address string, sats, satPerVByte int64) (txid string, err error) {
	p := Named{"address": address, "amount_sats": sats}
	if satPerVByte != 0 {
		p["fee_rate"] = satPerVByte
	}
	return txid, c.Call(ctx, MethodSendToAddress, &txid, p)
}

// Pay pays sats to an address, or everything that can be spent ([All]), and says what it paid and
// what stays. If dry is true, it sends nothing, and says what it would pay.
func (c *Client) Pay(ctx context.Context, address string, sats, satPerVByte int64, dry bool) (Payment, error) {
	p := Named{"address": address, "amount_sats": sats, "verbose": true, "dry_run": dry}
	if sats == All {
		p["amount_sats"] = WordAll
	}
	if satPerVByte != 0 {
		p["fee_rate"] = satPerVByte
	}
	var paid Payment
	return paid, c.Call(ctx, MethodSendToAddress, &paid, p)
}

// BlockCount returns the height of the newest block.
func (c *Client) BlockCount(ctx context.Context) (int32, error) {
	var h int32
	return h, c.Call(ctx, MethodGetBlockCount, &h)
}

// BlockHash returns the hash of the block at a height.
func (c *Client) BlockHash(ctx context.Context, height int32) (string, error) {
	var h string
	return h, c.Call(ctx, MethodGetBlockHash, &h, height)
}

// BestBlockHash returns the hash of the newest block.
func (c *Client) BestBlockHash(ctx context.Context) (string, error) {
	var h string
	return h, c.Call(ctx, MethodGetBestBlockHash, &h)
}

// BlockHeader returns the header of a block, with its place in the chain.
func (c *Client) BlockHeader(ctx context.Context, hash string) (HeaderInfo, error) {
	var h HeaderInfo
	return h, c.Call(ctx, MethodGetBlockHeader, &h, hash, true)
}

// BlockchainInfo returns the state of the chain in bitcoind's words.
func (c *Client) BlockchainInfo(ctx context.Context) (BlockchainInfo, error) {
	var i BlockchainInfo
	return i, c.Call(ctx, MethodGetBlockchainInfo, &i)
}

// NetworkInfo returns the state of the connections in bitcoind's words.
func (c *Client) NetworkInfo(ctx context.Context) (NetworkInfo, error) {
	var i NetworkInfo
	return i, c.Call(ctx, MethodGetNetworkInfo, &i)
}

// TestNotify runs the command that tells of warnings, and returns what came of it.
func (c *Client) TestNotify(ctx context.Context) (NotifyTest, error) {
	var t NotifyTest
	return t, c.Call(ctx, MethodTestNotify, &t)
}

// Uptime returns how long the server has been running.
func (c *Client) Uptime(ctx context.Context) (time.Duration, error) {
	var s int64
	err := c.Call(ctx, MethodUptime, &s)
	return time.Duration(s) * time.Second, err
}

// Help returns the list of methods, or what one of them does.
func (c *Client) Help(ctx context.Context, method string) (string, error) {
	var text string
	if method == "" {
		return text, c.Call(ctx, MethodHelp, &text)
	}
	return text, c.Call(ctx, MethodHelp, &text, method)
}

// Stop asks the server to stop.
func (c *Client) Stop(ctx context.Context) error { return c.Call(ctx, MethodStop, nil) }

// passphraseParams puts a passphrase into parameters so that its bytes arrive unchanged.
func passphraseParams(passphrase string) Named {
	if utf8.ValidString(passphrase) {
		return Named{"passphrase": passphrase} // what every server knows
	}
	return Named{"passphrase": hex.EncodeToString([]byte(passphrase)), "passphrase_encoding": PassphraseHex}
}
