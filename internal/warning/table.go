package warning

import "slices"

// Severity says how soon somebody should look. The alerts of contrib/prometheus go by it.
type Severity string

const (
	Critical Severity = "critical" // digests are refused, or something is damaged: look now
	Soon     Severity = "warning"  // proofs come late, or will: look today
)

// Kind is one line of the table. There are no others: the fields are set here alone.
type Kind struct {
	name, says, remedy string
	severity           Severity
	caution            bool
}

func (k *Kind) Name() string       { return k.name }     // the label of the metric, and what the log says
func (k *Kind) Says() string       { return k.says }     // what is wrong
func (k *Kind) Remedy() string     { return k.remedy }   // what to do, in general; the text of a warning is more exact
func (k *Kind) Severity() Severity { return k.severity } // how soon somebody should look

// IsCaution reports whether a warning of this kind holds no anchor up: not now, or not at all.
func (k *Kind) IsCaution() bool { return k.caution }

var table []*Kind

// Table returns all kinds, in the order in which docs/metrics.md explains them.
func Table() []*Kind { return slices.Clone(table) }

func kind(severity Severity, name, says, remedy string) *Kind {
	k := &Kind{name: name, says: says, remedy: remedy, severity: severity}
	table = append(table, k)
	return k
}

func caution(k *Kind) *Kind {
	k.caution = true
	return k
}

// What keeps batches from being accepted, sealed or paid for.
var (
	Overdue = kind(Soon, "overdue", "A batch is in no block although anchor.target is over.",
		"The warnings beside it name the cause. Without any, the text lists the likely ones.")
	Damage = kind(Critical, "damage", "The leaves of a batch do not have its root any more. It is not paid for.",
		"Stop ancred, copy the data directory, check memory and disk, restore the newest backup.")
	Reorganisation = kind(Critical, "reorganisation", "Bitcoin took back a block in which an anchor was final.",
		"Wait until the anchor is final again, then fetch the proofs of the batches named.")
	Store = kind(Critical, "store", "The store takes no writes, so digests are refused.",
		"Free disk space. If a write failed, check the disk and restart ancred.")
	DiskLow = caution(kind(Soon, "disk_low", "The disk under the store is nearly full.",
		"Free disk space, or move the data directory to a larger disk."))
	DiskUnreadable = kind(Soon, "disk_unreadable", "How much of the disk is free cannot be read.",
		"Check the disk and the rights of the data directory.")
	DiskSlow = kind(Soon, "disk_slow", "The disk has not answered a write of the store for ten seconds, and digests wait.",
		"It goes on by itself when the disk does. Look at the disk (dmesg, SMART), or ask whoever provides it.")
	Sealing = kind(Critical, "sealing", "A closed batch cannot be sealed.",
		"Check the disk; the text has the error. It is tried again.")
	Step = kind(Soon, "step", "A step of sealing, paying or following fails again and again.",
		"The text has the error. Report it with the log if it stays.")
	Stalled = kind(Critical, "stalled", "Writing, sealing or following has stood still for ten minutes.",
		"Restart ancred. As a service it is restarted by its watchdog.")
)

// Money.
var (
	Wallet = kind(Soon, "wallet", "There is no wallet that can pay: none was created, it is locked, or it cannot be opened.",
		"\"ancre wallet create\" or \"ancre wallet unlock\"; the text says which.")
	WalletSyncing = kind(Soon, "wallet_syncing", "The wallet has not followed the chain to the newest block for ten minutes.",
		"Wait, after a restore for some hours. Else check the disk and the peers, and restart ancred.")
	WalletShort = kind(Soon, "wallet_short", "The wallet cannot pay for an anchor, or not as much as it should.",
		"Send bitcoin to the address that the text names.")
	BalanceLow = caution(kind(Soon, "balance_low", "The wallet pays for fewer than 20 more anchors at today's price.",
		"Send bitcoin to an address of \"ancre wallet address\"."))
	BalanceUnreadable = kind(Soon, "balance_unreadable", "The balance of the wallet cannot be read.",
		"The text has the error. Restart ancred if it stays.")
	FeeCap = kind(Soon, "fee_cap", "anchor.max_feerate or anchor.max_fee holds an anchor up.",
		"Raise it and restart ancred, or wait for lower fees.")
	Budget = kind(Soon, "budget", "anchor.monthly_budget holds an anchor up.",
		"Raise it and restart ancred, or wait until older payments are 30 days past.")
	BudgetLow = caution(kind(Soon, "budget_low", "Nine tenths of anchor.monthly_budget are used.",
		"Raise it and restart ancred, or set a longer batch.interval."))
	LeftOut = kind(Soon, "left_out", "A batch waits until the anchor that left it out is deep enough to pay for it again.",
		"Wait; more coins in the wallet avoid it.")
	CoinSpent = kind(Soon, "coin_spent", "Another transaction spent the coin of an anchor, which cannot be mined any more.",
		"Use the wallet's words nowhere else. The batches are anchored again after some blocks.")
	CoinMissing = kind(Soon, "coin_missing", "A reorganisation of Bitcoin took away the coin that an anchor spends.",
		"Wait until its transaction is mined again; send it again if it was yours.")
	Payment = kind(Soon, "payment", "An anchor cannot be paid for another reason.",
		"The text has the error.")
)

// Whether peers pass anchors on.
var (
	OfferRefused = kind(Soon, "offer_refused", "The peers refuse or do not keep an anchor's transaction.",
		"Name nodes in spv.connect or spv.add_peers that relay OP_RETURN transactions (datacarrier=1, no higher minrelaytxfee).")
	OfferIgnored = kind(Soon, "offer_ignored", "No peer asks for an anchor's transaction.",
		"Name other nodes in spv.connect or spv.add_peers, which relay transactions.")
	OfferHungUp = kind(Soon, "offer_hung_up", "The peers hang up when an anchor's transaction is offered.",
		"Name other nodes in spv.connect or spv.add_peers, which run without blocksonly.")
	BelowFloor = kind(Soon, "below_floor", "An anchor pays less than every connected peer asks for.",
		"Wait, as it is raised at each block; raise anchor.max_feerate where that holds it.")
)

// The chain, as the light client sees it.
var (
	NoneNamed = kind(Soon, "peers_not_configured", "No peers are configured on a network where none can be discovered.",
		"Set spv.connect.")
	NoPeers = kind(Soon, "no_peers", "No Bitcoin node is connected.",
		"Check the network connection, the firewall, spv.connect and spv.proxy.")
	FewPeers = kind(Soon, "few_peers", "Too few Bitcoin nodes are connected to tell one that lies.",
		"Allow connections out, or name more nodes in spv.add_peers.")
	Peer = kind(Soon, "peer", "A configured node cannot be reached, serves no compact filters, is pruned, or was dropped.",
		"The text names the node and what it lacks.")
	StaleTip = kind(Soon, "stale_tip", "The newest block is old.",
		"Compare with a block explorer; name other nodes in spv.add_peers; check the clock.")
	ClockBehind = kind(Soon, "clock_behind", "The newest block's time lies ahead of this machine's clock.",
		"Set the clock.")
	ClockOff = kind(Soon, "clock_off", "The peers' clocks disagree with this machine's.",
		"Set the clock (timedatectl).")
	HeadersStuck = kind(Soon, "headers_stuck", "The peers tell of newer blocks, and their headers do not come.",
		"Name other nodes in spv.add_peers.")
	FiltersBlock = kind(Soon, "filters_wait_for_a_block", "On a developer's network the filters are fetched only when there is a new block.",
		"Mine a block.")
	FiltersStuck = kind(Soon, "filters_stuck", "The filter headers stand still.",
		"Name other nodes in spv.add_peers; if it stays, restart ancred.")
	HeadersUnreadable = kind(Critical, "headers_unreadable", "The stored headers cannot be read.",
		"Check the disk, then restart ancred.")
	FetchesFail = kind(Soon, "fetches_fail", "No peer gives the blocks or filters that are asked for.",
		"Name other nodes in spv.add_peers.")
	Chain = kind(Soon, "chain", "The chain cannot be followed at the moment.",
		"The text has the error; peers are the usual reason.")
)

// What else may make proofs late or useless.
var (
	CalendarURI = kind(Soon, "calendar_uri", "Proofs point to an address that only this machine reaches.",
		"Set calendar.uri to the public address.")
	RPCListen = caution(kind(Soon, "rpc_listen", "JSON-RPC is there for other machines, and ancred speaks no TLS.",
		"Listen on 127.0.0.1 and put a web server with TLS in front, or a VPN between."))
	MetricsListen = caution(kind(Soon, "metrics_listen", "The metrics are there for other machines, and no password is asked for.",
		"Let a firewall admit the machine of Prometheus alone, or listen on 127.0.0.1."))
	CalendarBudget = caution(kind(Soon, "calendar_budget", "The calendar is there for other machines and refuses their digests, as nothing bounds what those cost.",
		"Set anchor.monthly_budget and calendar.max_digests, and restart ancred."))
	MaxDigests = caution(kind(Soon, "max_digests", "A user of JSON-RPC, or the calendar, has used up the digests that it may hand in.",
		"The text names the user: find out why, or raise rpc.max_digests, rpc.max_user_digests or calendar.max_digests."))
)
