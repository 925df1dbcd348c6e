package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind says how a metric behaves.
type Kind string

const (
	Counter   Kind = "counter"   // only grows, and begins at 0 with the process unless its help says otherwise
	Gauge     Kind = "gauge"     // what is at the moment
	Histogram Kind = "histogram" // of measurements
)

// Metric is one line of the table.
type Metric struct {
	Name   string
	Kind   Kind
	Help   string   // for a person who never saw the source
	Labels []string // their values are always from a short list of ours
	Group  string   // the heading in docs/metrics.md

	buckets []float64 // of a histogram
	desc    *prometheus.Desc
}

// table is filled by the declarations below, in their order; group is the heading that those stand
// under which come next.
var (
	table []*Metric
	group string
)

func heading(text string) bool { group = text; return true }

// Table returns all metrics of ours, in the order in which docs/metrics.md explains them.
func Table() []*Metric { return slices.Clone(table) }

func metric(kind Kind, name, help string, labels ...string) *Metric {
	m := &Metric{Name: name, Kind: kind, Help: help, Labels: labels, Group: group, desc: prometheus.NewDesc(name, help, labels, nil)}
	table = append(table, m)
	return m
}

func counter(name, help string, labels ...string) *Metric {
	return metric(Counter, name, help, labels...)
}
func gauge(name, help string, labels ...string) *Metric { return metric(Gauge, name, help, labels...) }
func histogram(buckets []float64, name, help string, labels ...string) *Metric {
	m := metric(Histogram, name, help, labels...)
	m.buckets = buckets
	return m
}

// Buckets of histograms. Each method and route has them all, so they are few.
var (
	// A disk syncs in 0.2 ms to 20 ms; a crowd waits for a few groups; what takes longer than 5 s
	// is given up by people.
	answerSeconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .2, 1, 5}
	commitSeconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
	groupDigests  = []float64{1, 4, 16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10}
)

var _ = heading("The daemon")

var (
	BuildInfo = gauge("ancre_build_info", "Always 1; which ancred this is, on which network.", "version", "network", "goversion")
	Started   = gauge("ancre_started", "1 once the data directory is open; 0 while the daemon starts, when most of the others are missing.")
	Ready     = gauge("ancre_ready", "1 when the chain is synced and the wallet can pay.")
	ScrapeOK  = gauge("ancre_scrape_ok", "0 when this part could not be read for this scrape, and what it tells is missing; the log says why.", "part")
	Warnings  = gauge("ancre_warnings", "How many warnings of this name getinfo and `ancre status` show at the moment, with what to do; all 0 is good. The names are below.", "name")
)

var _ = heading("Digests that come in")

var (
	DigestsAccepted = counter("ancre_digests_accepted_total", "Digests that were acknowledged, which means on disk, by where they came in.", "interface")
	DigestsNew      = counter("ancre_digests_new_total", "Digests that were new, and were written.")
	DigestsKnown    = counter("ancre_digests_known_total", "Digests that were handed in again, and kept their place.")
	SubmitsRefused  = counter("ancre_submits_refused_total", "Submissions that were refused: busy (too much waits to be written), read_only (the store takes no writes), "+
		"rate_limit (an address asks the calendar too often), intake (calendar.max_digests is used up), quota (rpc.max_digests or rpc.max_user_digests is).", "reason")
	GroupDigests  = histogram(groupDigests, "ancre_group_commit_digests", "Digests that were written to the disk together.")
	CommitSeconds = histogram(commitSeconds, "ancre_group_commit_seconds", "What writing such a group took, look-up and sync included.")
	QueueDigests  = gauge("ancre_queue_digests", "Digests that wait to be written at the moment.")
	QueueLimit    = gauge("ancre_queue_limit_digests", "How many may wait; more are refused as busy.")
)

var _ = heading("Who asks, and how long answers take")

var (
	Calls = counter("ancre_rpc_calls_total", "JSON-RPC calls that were answered, by method and code of the error; 0 is none. What is no method of ours is \"unknown\".",
		"method", "code")
	CallSeconds      = histogram(answerSeconds, "ancre_rpc_call_seconds", "What answering a JSON-RPC call took, without the way through the network.", "method")
	RefusedLogins    = counter("ancre_rpc_refused_logins_total", "JSON-RPC requests with wrong credentials, or with none.")
	CalendarRequests = counter("ancre_calendar_requests_total", "Requests to the calendar, by route and HTTP status. Paths that lead nowhere are \"other\".", "route", "status")
	CalendarSeconds  = histogram(answerSeconds, "ancre_calendar_request_seconds", "What answering a request to the calendar took, without the way through the network.", "route")
	ProofRequests    = counter("ancre_proof_requests_total", "Questions for a proof or receipt of a digest that is stored, by whether it was complete or still pending.", "state")
)

var _ = heading("Batches, and the payments that anchor them")

var (
	OpenDigests = gauge("ancre_open_batch_digests", "Digests in the batch that is open.")
	Batches     = gauge("ancre_batches", "Batches by state, all there ever were: open, sealed (waits for an anchor), broadcast, mined, final.", "state")
	Anchors     = gauge("ancre_anchors", "Anchors by state: broadcast (in no block yet), mined, final (and still watched for reorganisations, for 100 blocks).", "state")
	AnchorsMade = counter("ancre_anchors_made_total", "Anchors since the store was made: the number of the newest.")
	Versions    = counter("ancre_anchor_versions_total", "Transactions that were made for anchors, the first one of each included.")
	Replaced    = counter("ancre_anchor_replacements_total", "Transactions that replaced an earlier one of their anchor, to pay more.")
	Flying      = gauge("ancre_anchor_versions_in_flight", "Transactions made for the anchors that are in no block yet: of many, blocks are contested.")
	Broadcasts  = counter("ancre_anchor_broadcasts_total", "How often an anchor was offered to the network: offered (that it was taken only a block shows), failed (no peer, or all refused).", "result")
	UnminedAge  = gauge("ancre_oldest_unmined_batch_age_seconds", "How long the oldest batch that is in no block has been sealed; 0 when there is none.")
	PendingAge  = gauge("ancre_oldest_pending_batch_age_seconds", "How long the oldest batch that is not final has been sealed; 0 when there is none.")
	Target      = gauge("ancre_anchor_target_seconds", "anchor.target: how long after its sealing a batch should be in a block.")
	Overdue     = gauge("ancre_anchor_overdue", "1 when a batch is in no block although anchor.target is over.")
	FeesFinal   = counter("ancre_fees_final_sats_total", "Satoshi that were paid for anchors which became final.")
	FeesMonth   = gauge("ancre_fees_month_sats", "Satoshi that were paid for anchors mined in the last 4,320 blocks, which are 30 days.")
	FeesBudget  = gauge("ancre_fees_budget_sats", "anchor.monthly_budget: what those 30 days may cost, what is in flight included; 0 for no bound.")
	AnchorFee   = gauge("ancre_anchor_fee_sats", "What an anchor would pay at the last known estimate, within the caps; as long as none is known, at what peers ask for.")
)

var _ = heading("The wallet")

var (
	Balance     = gauge("ancre_wallet_balance_sats", "Satoshi in the wallet: confirmed (mined), pending (not yet), spendable (confirmed, and not held by an anchor in flight).", "kind")
	WalletState = gauge("ancre_wallet_state", "1 for the state that the wallet is in: none, unusable, locked, syncing, ready.", "state")
	Revivals    = counter("ancre_wallet_revivals_total", "How often the watchdog restarted a synchronisation of the wallet that had died.")
)

var _ = heading("Bitcoin's chain, as the light client sees it")

var (
	Height      = gauge("ancre_chain_height", "The newest block whose header and filter are here.")
	Headers     = gauge("ancre_chain_headers_height", "The newest block header that is here.")
	Filters     = gauge("ancre_chain_filters_height", "The newest filter header that is here.")
	TargetBlock = gauge("ancre_chain_target_height", "The newest block that peers tell of, or without peers a guess from the clock.")
	Synced      = gauge("ancre_chain_synced", "1 when the newest block here is near enough to the network's.")
	TipAge      = gauge("ancre_chain_tip_age_seconds", "How long ago the newest block here was made, by its own time. Ten minutes on average; 90 are rare.")
	Peers       = gauge("ancre_peers", "Bitcoin nodes that are connected.")
	Connections = counter("ancre_peer_connections_total", "Connections to Bitcoin nodes that were made.")
	PeersLost   = counter("ancre_peers_dropped_total", "Bitcoin nodes that were hung up on: stalled (told of blocks and sent none), banned (a configured one; it is tried again), "+
		"abusive (did not read what it was sent, or sent a large message that was not asked for).", "reason")
)

var _ = heading("The disk")

var (
	Stored   = gauge("ancre_stored_digests", "Digests that were accepted since the store was made.")
	DiskUsed = gauge("ancre_disk_used_bytes", "Size of the files of each part of the data directory: store (what must survive), spv (can be fetched again), wallet.", "part")
	DiskFree = gauge("ancre_disk_free_bytes", "What is free on the disk that the store is on.")
	Reserve  = gauge("ancre_disk_reserve_bytes", "What is kept free of it: with less, digests are refused.")
	ReadOnly = gauge("ancre_store_read_only", "1 when the next digest would be refused: the disk is full, or failed.")
)
