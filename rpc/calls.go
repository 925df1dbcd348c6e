package rpc

import (
	"context"
	"encoding/hex"
	"time"
	"unicode/utf8"
)

// The methods of ancred, typed. What each does and refuses is told by the table in methods.go, and
// by `help METHOD`.

// Submit hands one digest in. When it returns nil the digest is durable.
func (c *Client) Submit(ctx context.Context, digest [32]byte) (Entry, error) {
	var e Entry
	return e, c.Call(ctx, MethodSubmit, &e, hex.EncodeToString(digest[:]))
}

// SubmitBatch hands many digests in, all or none, at most [MaxDigests] at once. The answer is in
// their order.
func (c *Client) SubmitBatch(ctx context.Context, digests [][32]byte) ([]Entry, error) {
	list := make([]string, len(digests))
	for i := range digests {
		list[i] = hex.EncodeToString(digests[i][:])
	}
	var e []Entry
	return e, c.Call(ctx, MethodSubmitBatch, &e, list)
}

// Status says where a digest is. An error with [CodeNotFound] means that it was never submitted.
func (c *Client) Status(ctx context.Context, digest [32]byte) (Entry, error) {
	var e Entry
	return e, c.Call(ctx, MethodGetStatus, &e, hex.EncodeToString(digest[:]))
}

// Proof returns a digest's proof in the given format; "" is "ots".
func (c *Client) Proof(ctx context.Context, digest [32]byte, format string) (Proof, error) {
	if format == "" {
		format = FormatOTS
	}
	var p Proof
	return p, c.Call(ctx, MethodGetProof, &p, hex.EncodeToString(digest[:]), format)
}

// VerifyProof lets the server verify a proof, the bytes of an .ots file, against its own headers.
func (c *Client) VerifyProof(ctx context.Context, digest, ots []byte) (Verification, error) {
	var v Verification
	return v, c.Call(ctx, MethodVerifyProof, &v, hex.EncodeToString(digest), ots) // encoding/json writes []byte as base64
}

// CloseBatch seals the open batch now. It returns nil when nothing was submitted since the last one
// was sealed.
func (c *Client) CloseBatch(ctx context.Context) (*Batch, error) {
	var b *Batch
	return b, c.Call(ctx, MethodCloseBatch, &b)
}

// Batches returns up to limit batches, newest first, of numbers below before (0: from the newest).
func (c *Client) Batches(ctx context.Context, before uint64, limit int) ([]Batch, error) {
	var b []Batch
	return b, c.Call(ctx, MethodListBatches, &b, before, limit)
}

// Batch returns one batch.
func (c *Client) Batch(ctx context.Context, id uint64) (Batch, error) {
	var b Batch
	return b, c.Call(ctx, MethodGetBatch, &b, id)
}

// Anchors returns up to limit anchors, newest first, of numbers below before (0: from the newest).
func (c *Client) Anchors(ctx context.Context, before uint64, limit int) ([]Anchor, error) {
	var a []Anchor
	return a, c.Call(ctx, MethodListAnchors, &a, before, limit)
}

// Anchor returns one anchor, its transactions included.
func (c *Client) Anchor(ctx context.Context, id uint64) (Anchor, error) {
	var a Anchor
	return a, c.Call(ctx, MethodGetAnchor, &a, id)
}

// Info returns everything a person asks first.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	return i, c.Call(ctx, MethodGetInfo, &i)
}

// EstimateFee returns what a transaction should pay to be mined soon.
func (c *Client) EstimateFee(ctx context.Context) (FeeEstimate, error) {
	var f FeeEstimate
	return f, c.Call(ctx, MethodEstimateFee, &f)
}

// CreateWallet makes the fee wallet. No words makes new ones; words restore a wallet, whose coins
// are looked for from birthday on (the zero time: from the first block that could hold one).
func (c *Client) CreateWallet(ctx context.Context, passphrase, words string, birthday time.Time) (CreatedWallet, error) {
	return c.createWallet(ctx, passphrase, words, birthday, false)
}

// ReplaceWallet is CreateWallet where there may be a wallet already that was never used. Its file
// is kept.
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

// NewAddress returns a fresh address to fund the wallet.
func (c *Client) NewAddress(ctx context.Context) (string, error) {
	var a string
	return a, c.Call(ctx, MethodGetNewAddress, &a)
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

// Send pays sats to an address and returns the transaction's ID. A fee rate of 0 lets the server
// estimate it.
func (c *Client) Send(ctx context.Context, address string, sats, satPerVByte int64) (txid string, err error) {
	p := Named{"address": address, "amount_sats": sats}
	if satPerVByte != 0 {
		p["fee_rate"] = satPerVByte
	}
	return txid, c.Call(ctx, MethodSendToAddress, &txid, p)
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

// BlockHeader returns what a server tells of a block's header.
func (c *Client) BlockHeader(ctx context.Context, hash string) (HeaderInfo, error) {
	var h HeaderInfo
	return h, c.Call(ctx, MethodGetBlockHeader, &h, hash, true)
}

// BlockchainInfo returns what bitcoind's users ask first.
func (c *Client) BlockchainInfo(ctx context.Context) (BlockchainInfo, error) {
	var i BlockchainInfo
	return i, c.Call(ctx, MethodGetBlockchainInfo, &i)
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

// passphraseParams puts a passphrase into parameters, so that its bytes arrive as they are.
func passphraseParams(passphrase string) Named {
	if utf8.ValidString(passphrase) {
		return Named{"passphrase": passphrase} // what every server knows
	}
	return Named{"passphrase": hex.EncodeToString([]byte(passphrase)), "passphrase_encoding": PassphraseHex}
}
