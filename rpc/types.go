package rpc

import (
	"encoding/json"
	"time"

	"ancre/internal/money"
)

// The formats of getproof.
const (
	FormatOTS         = "ots"         // an OpenTimestamps file
	FormatChainpoint  = "chainpoint"  // a Chainpoint receipt of version 2, as Woleet's tools read it
	FormatChainpoint4 = "chainpoint4" // one of version 4
)

// MaxDigests is how many digests one submitbatch may have: as many as suit one group commit of the
// store.
const MaxDigests = 10_000

// The types below are the answers of the methods. Amounts are in satoshi, times are RFC 3339 in
// UTC, and hashes are lower-case hexadecimal. Transaction and block hashes are in the displayed
// (reversed) order.

// Entry is where a digest is: the answer of submit, submitbatch and getstatus.
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
	Receipt  json.RawMessage `json:"receipt,omitempty"` // in the Chainpoint formats, once complete: they have no pending form
}

// Batch is one batch: the answer of listbatches, getbatch and closebatch.
type Batch struct {
	ID            uint64     `json:"id"`
	State         string     `json:"state"` // open, sealed, broadcast, mined, final
	Digests       uint64     `json:"digests"`
	Opened        time.Time  `json:"opened"`
	Closes        *time.Time `json:"closes,omitempty"` // when the open batch is sealed at the latest
	Closed        *time.Time `json:"closed,omitempty"`
	Root          string     `json:"root,omitempty"`
	Anchor        uint64     `json:"anchor,omitempty"`
	TxID          string     `json:"txid,omitempty"`
	Height        int32      `json:"height,omitempty"`
	BlockHash     string     `json:"blockhash,omitempty"`
	Confirmations int32      `json:"confirmations,omitempty"`
}

// Changes is a piece of the feed of changes: the answer of waitchanges.
type Changes struct {
	Changes []Change `json:"changes"`         // the oldest first
	Cursor  string   `json:"cursor"`          // where the next piece begins
	Reset   bool     `json:"reset,omitempty"` // the cursor of the call is not of this node: the changes begin with the first
}

// Change says that from then on a batch was in a state.
type Change struct {
	Batch     uint64 `json:"batch"`
	State     string `json:"state"` // open, sealed, broadcast, mined, final
	Anchor    uint64 `json:"anchor,omitempty"`
	Height    int32  `json:"height,omitempty"`
	BlockHash string `json:"blockhash,omitempty"`
}

// Anchor is one payment and its versions: the answer of listanchors and getanchor.
type Anchor struct {
	ID            uint64    `json:"id"`
	State         string    `json:"state"` // broadcast, mined, final, spent, dead
	Batches       []uint64  `json:"batches"`
	Created       time.Time `json:"created"`
	TxID          string    `json:"txid"`             // the mined version's, else the newest's
	FeeSats       int64     `json:"fee_sats"`         // of that version: paid once it is mined, offered before
	Height        int32     `json:"height,omitempty"` // of the block that holds it; if spent or dead, of the block in which its coin was spent
	BlockHash     string    `json:"blockhash,omitempty"`
	Confirmations int32     `json:"confirmations,omitempty"`
	Versions      []Version `json:"versions"`
}

// The states of a version.
const (
	VersionNewest   = "newest"   // the last one that was broadcast
	VersionMined    = "mined"    // it is in a block
	VersionReplaced = "replaced" // another version took its place
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

// Info is the answer of getinfo: what a person asks first.
type Info struct {
	Version       string       `json:"version"`
	Network       string       `json:"network"`
	DataDir       string       `json:"datadir"`
	UptimeSeconds int64        `json:"uptime_seconds"`
	Ready         bool         `json:"ready"` // synced, and the wallet can pay
	Chain         ChainInfo    `json:"chain"`
	Batch         *Batch       `json:"batch,omitempty"` // the open one
	Digests       uint64       `json:"digests"`         // accepted since the store was created
	Waiting       int          `json:"waiting_batches"` // sealed and without an anchor
	Anchors       AnchorCounts `json:"anchors"`
	Spending      Spending     `json:"spending"`
	Anchoring     Anchoring    `json:"anchoring"`
	Wallet        WalletInfo   `json:"wallet"`
	Calendar      CalendarInfo `json:"calendar"`
	Metrics       MetricsInfo  `json:"metrics"`
	LastBackup    *LastBackup  `json:"last_backup,omitempty"`    // the newest that a client reported as complete
	BackupFailure *Failure     `json:"backup_failure,omitempty"` // of an unattended backup, since LastBackup
	Details       []Warning    `json:"warning_details"`          // what warns now; empty is good
	Warnings      []string     `json:"warnings"`                 // the texts of Details, for scripts of version 0.1
	Held          bool         `json:"-"`                        // a warning keeps anchors from being paid; not sent to clients
}

// Anchoring is what the configuration says about when a proof is complete.
type Anchoring struct {
	IntervalSeconds int64 `json:"interval_seconds"` // batch.interval
	TargetSeconds   int64 `json:"target_seconds"`   // anchor.target
	Confirmations   int32 `json:"confirmations"`    // anchor.confirmations
}

// Warning is one thing that an operator should know.
type Warning struct {
	Kind     string `json:"kind"`     // as docs/metrics.md lists them: "no_peers"
	Severity string `json:"severity"` // "critical" or "warning": how soon somebody should look
	Text     string `json:"text"`     // a sentence: what is wrong, and what to do
}

// LastBackup is a backup that is complete: a client has synced and checked it.
type LastBackup struct {
	Taken     time.Time `json:"taken"`
	Digests   uint64    `json:"digests"`
	File      string    `json:"file,omitempty"` // where the client put it
	Rehearsed bool      `json:"rehearsed"`      // a store was rebuilt from it, and read
	Copied    bool      `json:"copied"`         // the operator's command copied it elsewhere
}

// Failure is something that went wrong, and when.
type Failure struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// NotifyTest is what came of running the command that tells of warnings.
type NotifyTest struct {
	OK      bool    `json:"ok"` // the command exited with status 0
	Program string  `json:"program"`
	Seconds float64 `json:"seconds"` // how long it took
	Output  string  `json:"output"`  // the beginning of what it printed, on one line
	Error   string  `json:"error,omitempty"`
}

// ChainInfo is the state of the light client.
type ChainInfo struct {
	Synced           bool       `json:"synced"`
	Height           int32      `json:"height"` // of the newest block whose header and filter header are known
	BlockHash        string     `json:"blockhash"`
	BlockTime        *time.Time `json:"blocktime,omitempty"`
	HeadersHeight    int32      `json:"headers_height"`
	FiltersHeight    int32      `json:"filters_height"`
	TargetHeight     int32      `json:"target_height"`     // the newest block that a peer claims, or an estimate from the clock
	Progress         float64    `json:"progress"`          // 0 to 1, headers and filters together
	BlocksPerSecond  float64    `json:"blocks_per_second"` // of what is being synced
	RemainingSeconds int64      `json:"remaining_seconds"` // an estimate; 0 when synced, -1 when unknown
	Peers            []Peer     `json:"peers"`
}

// Peer is one connected Bitcoin node.
type Peer struct {
	Address string `json:"address"`
	Agent   string `json:"agent"`
	Height  int32  `json:"height"`
	Inbound bool   `json:"inbound,omitempty"`
	Filters bool   `json:"filters"` // it serves compact filters
}

// AnchorCounts counts anchors by their state.
type AnchorCounts struct {
	Broadcast int    `json:"broadcast"`
	Mined     int    `json:"mined"`
	Final     int    `json:"final"` // those still watched for deep reorganisations
	Total     uint64 `json:"total"` // ever made
}

// CalendarInfo is where the calendar is, the public interface.
type CalendarInfo struct {
	Listen string `json:"listen,omitempty"` // HOST:PORT; empty: it is off
	URI    string `json:"uri"`              // what pending proofs point to
}

// MetricsInfo is where Prometheus finds the daemon's metrics.
type MetricsInfo struct {
	Listen string `json:"listen,omitempty"` // HOST:PORT; empty: it is off
}

// Spending is what anchors cost, and what they may cost. The period is counted in blocks, because a
// wrong clock cannot change it.
type Spending struct {
	PaidSats   int64 `json:"paid_sats"`   // fees of the anchors mined in the last Blocks blocks
	BudgetSats int64 `json:"budget_sats"` // anchor.monthly_budget: what they and the anchors in flight may cost; 0: no limit
	Blocks     int32 `json:"blocks"`      // 4,320: about 30 days
}

// WalletInfo is the state of the fee wallet.
type WalletInfo struct {
	State string `json:"state"` // none, unusable (a warning says why), locked, syncing, ready
	Balance
	Revivals int `json:"rescan_revivals"` // how often the daemon has restarted a rescan that had died
}

// Balance is the answer of getbalance.
type Balance struct {
	ConfirmedSats int64 `json:"confirmed_sats"`
	PendingSats   int64 `json:"pending_sats"`   // in unconfirmed transactions
	SpendableSats int64 `json:"spendable_sats"` // what can be spent now: confirmed, not leased to an anchor in flight, and not dust
	money.Outlook       // of the confirmed balance
}

// Address is the answer of getnewaddress, if it is asked for an object.
type Address struct {
	Address string `json:"address"`
	money.Outlook
}

// Transaction is one line of listtransactions.
type Transaction struct {
	TxID          string     `json:"txid"`
	Time          time.Time  `json:"time"`
	AmountSats    int64      `json:"amount_sats"`        // the change of the balance, fee included
	FeeSats       *int64     `json:"fee_sats,omitempty"` // if the wallet paid it
	Kind          string     `json:"kind"`               // received, sent, anchor
	Height        int32      `json:"height,omitempty"`
	BlockTime     *time.Time `json:"blocktime,omitempty"`
	Confirmations int32      `json:"confirmations"`
	Label         string     `json:"label,omitempty"`
}

// Payment is the answer of sendtoaddress, if it is asked for an object.
type Payment struct {
	TxID        string `json:"txid,omitempty"` // absent: nothing was sent
	AmountSats  int64  `json:"amount_sats"`    // what the address receives
	FeeSats     int64  `json:"fee_sats"`
	SatPerVByte int64  `json:"sat_per_vbyte"`

	RestSats        int64 `json:"rest_sats"`        // what stays in the wallet
	HeldSats        int64 `json:"held_sats"`        // the part of it that is held for anchors in flight
	UnconfirmedSats int64 `json:"unconfirmed_sats"` // the part that is in no block yet
	SmallSats       int64 `json:"small_sats"`       // the part in coins that cost more to spend than they are worth
	AnchorsLeft     int64 `json:"anchors_left"`     // what the rest pays for at today's price
	DaysLeft        int64 `json:"days_left"`
}

// CreatedWallet is the answer of createwallet. It has Words only if the wallet is new, and they are
// never shown again.
type CreatedWallet struct {
	Words    []string `json:"words,omitempty"`
	Restored bool     `json:"restored"`
	Address  string   `json:"address"` // the first one, to be funded
}

// ChangedPassphrase is the answer of changepassphrase.
type ChangedPassphrase struct {
	UnlockFile string `json:"unlock_file,omitempty"` // with which the daemon unlocks the wallet at each start
	Credential bool   `json:"credential"`            // that is a systemd credential: a copy that systemd made when the service started
	UpdateFile bool   `json:"update_file"`           // it does not hold the new passphrase
}

// FeeEstimate is the answer of estimatefee: the price of block space, what it was estimated from,
// and what an anchor would pay. The daemon asks no web service.
type FeeEstimate struct {
	SatPerVByte      int64      `json:"sat_per_vbyte"`       // the estimate: the median of CountsSatPerVByte of Blocks
	AnchorSats       int64      `json:"anchor_sats"`         // the cost of an anchor of the usual size at that rate
	FloorSatPerVByte int64      `json:"floor_sat_per_vbyte"` // the median of the rates below which peers relay nothing
	FloorPeers       int        `json:"floor_peers"`         // how many peers said so; if 0, the floor is assumed to be 1 sat/vB
	AsOf             *time.Time `json:"as_of,omitempty"`     // the time of the newest of Blocks
	Problem          string     `json:"problem,omitempty"`   // why newer blocks could not be fetched
	Blocks           []FeeBlock `json:"blocks"`              // what the estimate is made from, newest first
	NextAnchor       []FeeStep  `json:"next_anchor"`         // what an anchor that begins now would pay if prices stay as they are
}

// FeeBlock is what one block says about the price of block space.
type FeeBlock struct {
	Height             int32      `json:"height"`
	BlockHash          string     `json:"blockhash"`
	BlockTime          *time.Time `json:"blocktime,omitempty"`
	Transactions       int        `json:"transactions"` // without the coinbase
	Fullness           float64    `json:"fullness"`     // 0 to 1
	AverageSatPerVByte int64      `json:"average_sat_per_vbyte"`
	CountsSatPerVByte  int64      `json:"counts_sat_per_vbyte"` // what it contributes to the estimate: 1 if the block has room left
}

// FeeStep is what an anchor pays after it has waited for some time, within the caps.
type FeeStep struct {
	AfterSeconds int64 `json:"after_seconds"` // since its oldest batch was sealed
	SatPerVByte  int64 `json:"sat_per_vbyte"`
	AnchorSats   int64 `json:"anchor_sats"` // for an anchor of the usual size
}

// Verification is the answer of verifyproof.
type Verification struct {
	Result    string     `json:"result"` // valid, pending, invalid, unverifiable
	Height    int32      `json:"height,omitempty"`
	BlockHash string     `json:"blockhash,omitempty"`
	BlockTime *time.Time `json:"blocktime,omitempty"`
	Reason    string     `json:"reason,omitempty"` // if not valid: why, for a person
	Needed    string     `json:"needed,omitempty"` // if unverifiable: what it takes to verify the proof

	// Warnings say, in sentences, what a valid or pending proof does not show and what was not
	// checked.
	Warnings []string `json:"warnings,omitempty"`
}

// HeaderInfo is the verbose answer of getblockheader, as bitcoind writes it. It lacks what only a
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

// BlockchainInfo is the answer of getblockchaininfo, as bitcoind writes it, as far as a light
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

// Network returns the name of the chain as Ancre writes it: "mainnet" for "main", the others as
// they are.
func (i BlockchainInfo) Network() string {
	if i.Chain == "main" {
		return "mainnet"
	}
	return i.Chain
}

// NetworkInfo is the answer of getnetworkinfo, as bitcoind writes it, as far as a light client
// knows.
type NetworkInfo struct {
	Version         int      `json:"version"`    // as bitcoind counts: 10,000 for 1.0.0, 100 for 0.1.0
	SubVersion      string   `json:"subversion"` // what peers are told
	ProtocolVersion uint32   `json:"protocolversion"`
	TimeOffset      int      `json:"timeoffset"`
	NetworkActive   bool     `json:"networkactive"`
	Connections     int      `json:"connections"`
	ConnectionsIn   int      `json:"connections_in"` // always 0: a light client takes none
	ConnectionsOut  int      `json:"connections_out"`
	Networks        []string `json:"networks"` // always empty
	RelayFee        float64  `json:"relayfee"` // BTC per 1,000 vB
	IncrementalFee  float64  `json:"incrementalfee"`
	Warnings        []string `json:"warnings"`
}

// The values of passphrase_encoding, a parameter of createwallet and unlockwallet. JSON is UTF-8,
// and a passphrase is any bytes.
const (
	PassphraseText = "text" // the parameter is the passphrase
	PassphraseHex  = "hex"  // the parameter is the passphrase in hexadecimal
)
