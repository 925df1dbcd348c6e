package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind says how a metric behaves.
type Kind string

const (
	Counter   Kind = "counter"   // only grows, and begins at 0 with the process unless its help says otherwise
	Gauge     Kind = "gauge"     // the present value
	Histogram Kind = "histogram" // measurements, counted by bucket
)

// Metric is one line of the table.
type Metric struct {
	Name   string
	Kind   Kind
	Help   string   // for a reader who has never seen the source
	Labels []string // their values come from short fixed lists
	Group  string   // the heading in docs/metrics.md

	buckets []float64 // of a histogram
	desc    *prometheus.Desc
}

// table is filled by the declarations below, in their order. group is the heading of the
// declarations that follow.
var (
	table []*Metric
	group string
)

func heading(text string) bool { group = text; return true }

// Table returns all of ancred's metrics, in the order of docs/metrics.md.
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

// Buckets of the histograms. Each method and route has all of them, so they are few.
var (
	// A disk syncs in 0.2 ms to 20 ms. Under load a caller waits for a few groups. People give up
	// on an answer that takes longer than 5 s.
	answerSeconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .2, 1, 5}
	commitSeconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
	groupDigests  = []float64{1, 4, 16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10}
)

var _ = heading("The daemon")

var (
	BuildInfo = gauge("ancre_build_info", "Always 1. The labels say which ancred this is, on which network.", "version", "network", "goversion")
	Started   = gauge("ancre_started", "1 once the data directory is open. 0 while the daemon starts; most other metrics are missing then.")
	Ready     = gauge("ancre_ready", "1 when the chain is synced and the wallet can pay.")
	ScrapeOK  = gauge("ancre_scrape_ok", "0 when this scrape could not read this part, so its metrics are missing. The log says why.", "part")
	Warnings  = gauge("ancre_warnings", "How many warnings of this name getinfo and `ancre status` show now. 0 everywhere is good. The names are below.", "name")
)

var _ = heading("Incoming digests")

var (
	DigestsAccepted = counter("ancre_digests_accepted_total", "Digests acknowledged, so on disk, by the interface that took them.", "interface")
	DigestsNew      = counter("ancre_digests_new_total", "New digests, written to the store.")
	DigestsKnown    = counter("ancre_digests_known_total", "Digests submitted again; they keep their place.")
	SubmitsRefused  = counter("ancre_submits_refused_total", "Submissions refused: busy (too many digests wait to be written), read_only (the store takes no writes), "+
		"rate_limit (an address calls the calendar too often), intake (calendar.max_digests is reached), quota (rpc.max_digests or rpc.max_user_digests is reached).", "reason")
	GroupDigests  = histogram(groupDigests, "ancre_group_commit_digests", "Digests written to the disk together, as one group.")
	CommitSeconds = histogram(commitSeconds, "ancre_group_commit_seconds", "How long it took to write a group, including look-up and sync.")
	QueueDigests  = gauge("ancre_queue_digests", "Digests that now wait to be written.")
	QueueLimit    = gauge("ancre_queue_limit_digests", "How many digests may wait. ancred refuses more as busy.")
)

var _ = heading("Requests, and how long answers take")

var (
	Calls = counter("ancre_rpc_calls_total", "JSON-RPC calls answered, by method and error code. Code 0 means no error. A method that does not exist counts as \"unknown\".",
		"method", "code")
	CallSeconds      = histogram(answerSeconds, "ancre_rpc_call_seconds", "How long it took to answer a JSON-RPC call, network time excluded.", "method")
	RefusedLogins    = counter("ancre_rpc_refused_logins_total", "JSON-RPC requests with wrong credentials or none.")
	CalendarRequests = counter("ancre_calendar_requests_total", "Requests to the calendar, by route and HTTP status. A path that does not exist counts as \"other\".", "route", "status")
	CalendarSeconds  = histogram(answerSeconds, "ancre_calendar_request_seconds", "How long it took to answer a calendar request, network time excluded.", "route")
	ProofRequests    = counter("ancre_proof_requests_total", "Requests for the proof or receipt of a stored digest, by whether it was complete or pending.", "state")
)

var _ = heading("Batches and their payments")

var (
	OpenDigests = gauge("ancre_open_batch_digests", "The number of digests in the open batch.")
	Batches     = gauge("ancre_batches", "All batches since the store was made, by state: open, sealed (waits for an anchor), broadcast, mined, final.", "state")
	Anchors     = gauge("ancre_anchors", "Anchors by state: broadcast (not in a block yet), mined, final (still watched for reorganisations, for 100 blocks).", "state")
	AnchorsMade = counter("ancre_anchors_made_total", "Anchors since the store was made.")
	Versions    = counter("ancre_anchor_versions_total", "Transaction versions made for anchors, including the first version of each.")
	Replaced    = counter("ancre_anchor_replacements_total", "Transaction versions that replaced an earlier version of their anchor, to pay more.")
	Flying      = gauge("ancre_anchor_versions_in_flight", "Transaction versions made for anchors that are not in a block yet. Many mean that block space is contested.")
	Broadcasts  = counter("ancre_anchor_broadcasts_total", "Attempts to broadcast an anchor: offered (only a block shows that it was taken), failed (no peer, or all refused).", "result")
	UnminedAge  = gauge("ancre_oldest_unmined_batch_age_seconds", "Time since the oldest batch that is not in a block was sealed. 0 when there is none.")
	PendingAge  = gauge("ancre_oldest_pending_batch_age_seconds", "Time since the oldest batch that is not final was sealed. 0 when there is none.")
	Target      = gauge("ancre_anchor_target_seconds", "anchor.target: a batch should be in a block this long after its sealing.")
	Overdue     = gauge("ancre_anchor_overdue", "1 when a batch is still in no block and anchor.target has passed.")
	FeesFinal   = counter("ancre_fees_final_sats_total", "Satoshi paid for anchors that became final.")
	FeesMonth   = gauge("ancre_fees_month_sats", "Satoshi paid for anchors mined in the last 4,320 blocks, which take about 30 days.")
	FeesBudget  = gauge("ancre_fees_budget_sats", "anchor.monthly_budget: what those 30 days may cost, including payments in flight. 0 means no bound.")
	AnchorFee   = gauge("ancre_anchor_fee_sats", "What an anchor would pay now at the last known estimate, within the caps. Until an estimate is known: at the fee rate that peers require.")
)

var _ = heading("The wallet")

var (
	Balance     = gauge("ancre_wallet_balance_sats", "Satoshi in the wallet: confirmed (mined), pending (not mined yet), spendable (confirmed, and not used by an anchor in flight).", "kind")
	WalletState = gauge("ancre_wallet_state", "1 for the present state of the wallet: none, unusable, locked, syncing, ready.", "state")
	Revivals    = counter("ancre_wallet_revivals_total", "How often the watchdog restarted the wallet's synchronisation after it had stopped.")
)

var _ = heading("Bitcoin's chain, as the light client sees it")

var (
	Height      = gauge("ancre_chain_height", "The height of the newest block whose header and filter the light client has.")
	Headers     = gauge("ancre_chain_headers_height", "The height of the newest block header that the light client has.")
	Filters     = gauge("ancre_chain_filters_height", "The height of the newest filter header that the light client has.")
	TargetBlock = gauge("ancre_chain_target_height", "The height of the newest block that peers announce. Without peers: an estimate from the clock.")
	Synced      = gauge("ancre_chain_synced", "1 when the light client has followed the chain to its newest block.")
	TipAge      = gauge("ancre_chain_tip_age_seconds", "The age of the newest block that the light client has, by the block's own time. It is ten minutes on average; 90 minutes are rare.")
	Peers       = gauge("ancre_peers", "The number of connected Bitcoin nodes.")
	Connections = counter("ancre_peer_connections_total", "Connections made to Bitcoin nodes.")
	PeersLost   = counter("ancre_peers_dropped_total", "Bitcoin nodes that ancred disconnected: stalled (announced blocks and sent none), banned (a configured node; ancred tries it again), "+
		"abusive (did not read what ancred sent, or sent a large message that ancred had not requested).", "reason")
)

var _ = heading("The disk, and backups")

var (
	Stored   = gauge("ancre_stored_digests", "Digests accepted since the store was made.")
	DiskUsed = gauge("ancre_disk_used_bytes", "Size of the files in each part of the data directory: store (what must survive), spv (can be downloaded again), wallet.", "part")
	DiskFree = gauge("ancre_disk_free_bytes", "Free space on the disk that holds the store.")
	Reserve  = gauge("ancre_disk_reserve_bytes", "Disk space that ancred keeps free. With less, it refuses digests.")
	Backup   = gauge("ancre_backup_age_seconds", "The age of the newest backup that a client reported as complete. 0 when there is none.")
	Unsaved  = gauge("ancre_backup_missing_digests", "Digests that came after the newest backup. All of them when there is none.")
	ReadOnly = gauge("ancre_store_read_only", "1 when ancred would refuse the next digest, because the disk is full or has failed.")
)
