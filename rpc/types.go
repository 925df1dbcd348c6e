package rpc

import (
	"encoding/json"
	"time"
)

// The formats of getproof.
const (
	FormatOTS         = "ots"         // an OpenTimestamps file
	FormatChainpoint  = "chainpoint"  // a Chainpoint receipt of version 2, as Woleet's tools read it
	FormatChainpoint4 = "chainpoint4" // one of version 4
)

// MaxDigests is how many digests one submitbatch may hold: what one group commit of the store takes
// well.
const MaxDigests = 10_000

// The types below are the answers of the methods, as the server writes and the client reads them.
// Amounts are satoshi, times RFC 3339 in UTC, hashes lower-case hex; transaction and block hashes
// in the displayed (reversed) order.

// Entry is where a digest is. submit, submitbatch and getstatus answer with it.
type Entry struct {
	Digest        string     `json:"digest"`
	State         string     `json:"state"` // open, sealed, broadcast, mined, final
	Batch         uint64     `json:"batch"`
	Index         uint64     `json:"index"`
	TxID          string     `json:"txid,omitempty"`
	Height        int32      `json:"height,omitempty"`
	BlockHash     string     `json:"blockhash,omitempty"`
	BlockTime     *time.Time `json:"blocktime,omitempty"`
	Confirmations int32      `json:"confirmations,omitempty"`
	Proof         string     `json:"proof,omitempty"` // base64 of the .ots file; submit and submitbatch only
}

// Proof is the answer of getproof.
type Proof struct {
	Entry
	Format   string          `json:"format"`            // ots, chainpoint or chainpoint4
	Complete bool            `json:"complete"`          // false: pending, ask again later
	Receipt  json.RawMessage `json:"receipt,omitempty"` // of the two last: the receipt, once complete. There is no pending one, as there is an .ots
}

// Batch is one batch. listbatches, getbatch and closebatch answer with it.
type Batch struct {
	ID            uint64     `json:"id"`
	State         string     `json:"state"` // open, sealed, broadcast, mined, final
	Digests       uint64     `json:"digests"`
	Opened        time.Time  `json:"opened"`
	Closes        *time.Time `json:"closes,omitempty"` // of the open one: when it is sealed at the latest
	Closed        *time.Time `json:"closed,omitempty"`
	Root          string     `json:"root,omitempty"`
	Anchor        uint64     `json:"anchor,omitempty"`
	TxID          string     `json:"txid,omitempty"`
	Height        int32      `json:"height,omitempty"`
	BlockHash     string     `json:"blockhash,omitempty"`
	Confirmations int32      `json:"confirmations,omitempty"`
}

// Anchor is one payment and its versions. listanchors and getanchor answer with it.
type Anchor struct {
	ID            uint64    `json:"id"`
	State         string    `json:"state"` // broadcast, mined, final, spent, dead
	Batches       []uint64  `json:"batches"`
	Created       time.Time `json:"created"`
	TxID          string    `json:"txid"`             // the mined version's, else the newest's
	FeeSats       int64     `json:"fee_sats"`         // of that version: paid once it is mined, offered before
	Height        int32     `json:"height,omitempty"` // of the block that it is in, or, when spent or dead, that its coin was spent in
	BlockHash     string    `json:"blockhash,omitempty"`
	Confirmations int32     `json:"confirmations,omitempty"`
	Versions      []Version `json:"versions"`
}

// What a version of an anchor is.
const (
	VersionNewest   = "newest"   // the one that is offered to the network, or was to the end
	VersionMined    = "mined"    // the one that is in a block
	VersionReplaced = "replaced" // another took its place
)

// Version is one transaction of an anchor.
type Version struct {
	State       string    `json:"state"` // newest, mined, replaced
	TxID        string    `json:"txid"`
	Root        string    `json:"root"`
	Batches     []uint64  `json:"batches"`
	FeeSats     int64     `json:"fee_sats"`
	VSize       int64     `json:"vsize"`
	SatPerVByte float64   `json:"sat_per_vbyte"`
	Created     time.Time `json:"created"`
	Hex         string    `json:"hex,omitempty"` // getanchor only
}

// Info is the answer of getinfo: everything a person asks first.
type Info struct {
	Version       string       `json:"version"`
	Network       string       `json:"network"`
	DataDir       string       `json:"datadir"`
	UptimeSeconds int64        `json:"uptime_seconds"`
	Ready         bool         `json:"ready"` // synced, and the wallet can pay
	Chain         ChainInfo    `json:"chain"`
	Batch         *Batch       `json:"batch,omitempty"` // the open one
	Digests       uint64       `json:"digests"`         // accepted since the store was made
	Waiting       int          `json:"waiting_batches"` // sealed, and without an anchor
	Anchors       AnchorCounts `json:"anchors"`
	Spending      Spending     `json:"spending"`
	Wallet        WalletInfo   `json:"wallet"`
	Calendar      CalendarInfo `json:"calendar"`
	Metrics       MetricsInfo  `json:"metrics"`
	Warnings      []string     `json:"warnings"` // sentences for a person: what is wrong, and what to do
	Cautions      int          `json:"-"`        // how many of them keep no anchor from being paid
}

// ChainInfo is how the light client stands.
type ChainInfo struct {
	Synced           bool       `json:"synced"`
	Height           int32      `json:"height"` // newest block whose header and filter header are here
	BlockHash        string     `json:"blockhash"`
	BlockTime        *time.Time `json:"blocktime,omitempty"`
	HeadersHeight    int32      `json:"headers_height"`
	FiltersHeight    int32      `json:"filters_height"`
	TargetHeight     int32      `json:"target_height"`     // the newest that a peer claims, or an estimate from the clock
	Progress         float64    `json:"progress"`          // 0 to 1, headers and filters together
	BlocksPerSecond  float64    `json:"blocks_per_second"` // of what is being synced
	RemainingSeconds int64      `json:"remaining_seconds"` // estimate; 0 when synced, -1 when unknown
	Peers            []Peer     `json:"peers"`
}

// Peer is one connected Bitcoin node.
type Peer struct {
	Address string `json:"address"`
	Agent   string `json:"agent"`
	Height  int32  `json:"height"`
	Inbound bool   `json:"inbound,omitempty"`
}

// AnchorCounts counts the anchors that are still being followed, and the finished ones.
type AnchorCounts struct {
	Broadcast int    `json:"broadcast"`
	Mined     int    `json:"mined"`
	Final     int    `json:"final"` // final, and still watched for deep reorganisations
	Total     uint64 `json:"total"` // ever made
}

// CalendarInfo is where the calendar, the public interface, is.
type CalendarInfo struct {
	Listen string `json:"listen,omitempty"` // HOST:PORT; none: it is off
	URI    string `json:"uri"`              // what pending proofs point to
}

// MetricsInfo is where the daemon tells Prometheus how it stands.
type MetricsInfo struct {
	Listen string `json:"listen,omitempty"` // HOST:PORT; none: it is off
}

// Spending is what anchors cost, and what they may. Blocks are counted, as no clock that is wrong
// can hurry them.
type Spending struct {
	PaidSats   int64 `json:"paid_sats"`   // fees of the anchors that were mined in the last Blocks blocks
	BudgetSats int64 `json:"budget_sats"` // anchor.monthly_budget: what they, and those in flight, may cost; 0: no such bound
	Blocks     int32 `json:"blocks"`      // 4,320: those of 30 days
}

// WalletInfo is how the fee wallet stands.
type WalletInfo struct {
	State string `json:"state"` // none, unusable (it cannot be opened: a warning says why), locked, syncing, ready
	Balance
	Revivals int `json:"rescan_revivals"` // how often the watchdog restarted a dead rescan since the start
}

// Balance is the answer of getbalance.
type Balance struct {
	ConfirmedSats int64 `json:"confirmed_sats"`
	PendingSats   int64 `json:"pending_sats"`   // in transactions that are not mined yet
	SpendableSats int64 `json:"spendable_sats"` // confirmed, not leased to an anchor in flight, and not dust: what can be spent now
}

// Transaction is one line of listtransactions.
type Transaction struct {
	TxID          string     `json:"txid"`
	Time          time.Time  `json:"time"`
	AmountSats    int64      `json:"amount_sats"`        // what it changed the balance by, fee included
	FeeSats       *int64     `json:"fee_sats,omitempty"` // of those we paid
	Kind          string     `json:"kind"`               // received, sent, anchor
	Height        int32      `json:"height,omitempty"`
	BlockTime     *time.Time `json:"blocktime,omitempty"`
	Confirmations int32      `json:"confirmations"`
	Label         string     `json:"label,omitempty"`
}

// CreatedWallet is the answer of createwallet. Words are there only when it made new ones, and are
// shown this once.
type CreatedWallet struct {
	Words    []string `json:"words,omitempty"`
	Restored bool     `json:"restored"`
	Address  string   `json:"address"` // the first one, to be funded
}

// FeeEstimate is the answer of estimatefee: what is known of the market for block space, how it was
// found, and what an anchor would pay. No web service is asked.
type FeeEstimate struct {
	SatPerVByte      int64      `json:"sat_per_vbyte"`       // the estimate, what recent blocks took: the median of what Blocks count
	AnchorSats       int64      `json:"anchor_sats"`         // what an anchor of the usual size costs at that rate
	FloorSatPerVByte int64      `json:"floor_sat_per_vbyte"` // below which peers pass nothing on: the median of what they say
	FloorPeers       int        `json:"floor_peers"`         // how many peers said it; 0: none, and 1 sat/vB is assumed
	AsOf             *time.Time `json:"as_of,omitempty"`     // the time of the newest of Blocks
	Problem          string     `json:"problem,omitempty"`   // why newer blocks than these could not be looked at
	Blocks           []FeeBlock `json:"blocks"`              // that the estimate was made from, newest first
	NextAnchor       []FeeStep  `json:"next_anchor"`         // what an anchor would pay that begins now, should the market stay as it is
}

// FeeBlock is what a block shows of the market for its space.
type FeeBlock struct {
	Height             int32      `json:"height"`
	BlockHash          string     `json:"blockhash"`
	BlockTime          *time.Time `json:"blocktime,omitempty"`
	Transactions       int        `json:"transactions"` // without the coinbase
	Fullness           float64    `json:"fullness"`     // 0 to 1
	AverageSatPerVByte int64      `json:"average_sat_per_vbyte"`
	CountsSatPerVByte  int64      `json:"counts_sat_per_vbyte"` // what it adds to the estimate: 1 when it has room to spare
}

// FeeStep is what an anchor pays that has not been mined for a time, within the caps.
type FeeStep struct {
	AfterSeconds int64 `json:"after_seconds"` // since its oldest batch was sealed
	SatPerVByte  int64 `json:"sat_per_vbyte"`
	AnchorSats   int64 `json:"anchor_sats"` // for one of the usual size
}

// Verification is the answer of verifyproof.
type Verification struct {
	Result    string     `json:"result"` // valid, pending, invalid, unverifiable
	Height    int32      `json:"height,omitempty"`
	BlockHash string     `json:"blockhash,omitempty"`
	BlockTime *time.Time `json:"blocktime,omitempty"`
	Reason    string     `json:"reason,omitempty"` // for a person, when not valid
	Needed    string     `json:"needed,omitempty"` // when unverifiable: what it takes to verify the proof

	// Warnings are sentences about what a valid or pending proof does not show, or what was not
	// checked.
	Warnings []string `json:"warnings,omitempty"`
}

// HeaderInfo is the verbose answer of getblockheader, as bitcoind writes it, without what only a
// full node knows.
type HeaderInfo struct {
	Hash              string  `json:"hash"`
	Confirmations     int32   `json:"confirmations"`
	Height            int32   `json:"height"`
	Version           int32   `json:"version"`
	VersionHex        string  `json:"versionHex"`
	MerkleRoot        string  `json:"merkleroot"`
	Time              int64   `json:"time"`
	MedianTime        int64   `json:"mediantime"`
	Nonce             uint32  `json:"nonce"`
	Bits              string  `json:"bits"`
	Difficulty        float64 `json:"difficulty"`
	PreviousBlockHash string  `json:"previousblockhash,omitempty"`
	NextBlockHash     string  `json:"nextblockhash,omitempty"`
}

// BlockchainInfo is the answer of getblockchaininfo, as bitcoind writes it, with what a light
// client knows.
type BlockchainInfo struct {
	Chain                string   `json:"chain"` // main, testnet4, signet, regtest, simnet
	Blocks               int32    `json:"blocks"`
	Headers              int32    `json:"headers"`
	BestBlockHash        string   `json:"bestblockhash"`
	Bits                 string   `json:"bits"`
	Difficulty           float64  `json:"difficulty"`
	Time                 int64    `json:"time"`
	MedianTime           int64    `json:"mediantime"`
	VerificationProgress float64  `json:"verificationprogress"`
	InitialBlockDownload bool     `json:"initialblockdownload"`
	Pruned               bool     `json:"pruned"` // always: a light client keeps no blocks
	Warnings             []string `json:"warnings"`
}

// The values of passphrase_encoding, a parameter of createwallet and unlockwallet. JSON is UTF-8,
// and a passphrase is any bytes.
const (
	PassphraseText = "text" // the parameter is the passphrase
	PassphraseHex  = "hex"  // the parameter is the passphrase in hexadecimal
)
