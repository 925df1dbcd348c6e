package warning

import "slices"

// Severity says how soon an operator should look. The alerts in contrib/prometheus use it.
type Severity string

const (
	Critical Severity = "critical" // ancred refuses digests, or something is damaged: look now
	Soon     Severity = "warning"  // proofs come late, or will: look today
)

// Kind is one line of the table. Only this file creates kinds, so there are no others.
type Kind struct {
	name, says, remedy string
	severity           Severity
	holdsNothing       bool
}

func (k *Kind) Name() string       { return k.name }     // the label of the metric, and what the log says
func (k *Kind) Says() string       { return k.says }     // what is wrong
func (k *Kind) Remedy() string     { return k.remedy }   // what to do in general; the text of a warning is more precise
func (k *Kind) Severity() Severity { return k.severity } // how soon an operator should look

// HoldsAnchors reports whether a warning of this kind may delay anchors now. The page of the
// calendar, which strangers read, then says so. The other kinds announce what may come, or have
// nothing to do with anchors.
func (k *Kind) HoldsAnchors() bool { return !k.holdsNothing }

var table []*Kind

// Table returns all kinds, in the order of docs/metrics.md.
func Table() []*Kind { return slices.Clone(table) }

func kind(severity Severity, name, says, remedy string) *Kind {
	k := &Kind{name: name, says: says, remedy: remedy, severity: severity}
	table = append(table, k)
	return k
}

func holdsNothing(k *Kind) *Kind {
	k.holdsNothing = true
	return k
}

// Warnings about accepting, sealing and paying for batches.
var (
	Overdue = kind(Soon, "overdue", "A batch is still in no block, and anchor.target has passed.",
		"The other warnings name the cause. If there are none, the text lists the likely causes.")
	Damage = kind(Critical, "damage", "The stored leaves of a batch no longer hash to its root. ancred does not pay for it.",
		"Stop ancred, copy the data directory, check memory and disk, then restore the newest backup.")
	Reorganisation = kind(Critical, "reorganisation", "Bitcoin dropped a block in which an anchor was final.",
		"Wait until the anchor is final again, then fetch the proofs of the batches that the text names.")
	Store = kind(Critical, "store", "The store is read-only, so ancred refuses digests.",
		"Free disk space. If a write failed, check the disk and restart ancred.")
	DiskLow = holdsNothing(kind(Soon, "disk_low", "The disk under the store is nearly full.",
		"Free disk space, or move the data directory to a larger disk."))
	DiskUnreadable = kind(Soon, "disk_unreadable", "ancred cannot read how much disk space is free.",
		"Check the disk and the permissions of the data directory.")
	DiskSlow = kind(Soon, "disk_slow", "The disk has not completed a write of the store for ten seconds. Digests wait.",
		"ancred continues when the disk does. Check the disk (dmesg, SMART), or ask your hosting provider.")
	Sealing = kind(Critical, "sealing", "ancred cannot seal a closed batch.",
		"Check the disk; the text has the error. ancred tries again.")
	Step = kind(Soon, "step", "Sealing, paying for or following a batch keeps failing.",
		"The text has the error. If it persists, report it with the log.")
	Stalled = kind(Critical, "stalled", "Writing, sealing or following has made no progress for ten minutes.",
		"Restart ancred. If it runs as a service, the watchdog restarts it.")
)

// Warnings about backups.
var (
	BackupOld = holdsNothing(kind(Soon, "backup_old", "Digests are in no backup, and the last backup is older than a week, or there is none.",
		"Run \"systemctl enable --now ancre-backup.timer\", or \"ancre backup FILE\". Keep the backup on another machine."))
	BackupFailed = holdsNothing(kind(Soon, "backup_failed", "The unattended backup failed.",
		"The text has the error. Mend it, then run \"systemctl start ancre-backup\"."))
)

// Warnings about the wallet and its money.
var (
	Wallet = kind(Soon, "wallet", "No wallet can pay: there is none, it is locked, or it cannot be opened.",
		"Run \"ancre wallet create\" or \"ancre wallet unlock\"; the text says which.")
	WalletSyncing = kind(Soon, "wallet_syncing", "The wallet has been behind the newest block for ten minutes.",
		"After a restore, wait some hours. Otherwise check the disk and the peers, and restart ancred.")
	WalletShort = kind(Soon, "wallet_short", "The wallet has too little to pay for an anchor, or to pay as much as it should.",
		"Send bitcoin to the address that the text names.")
	BalanceLow = holdsNothing(kind(Soon, "balance_low", "At today's price the wallet pays for fewer than 20 more anchors.",
		"Send bitcoin to the address that \"ancre wallet address\" prints."))
	BalanceUnreadable = kind(Soon, "balance_unreadable", "ancred cannot read the balance of the wallet.",
		"The text has the error. If it persists, restart ancred.")
	FeeCap = kind(Soon, "fee_cap", "anchor.max_feerate or anchor.max_fee delays an anchor.",
		"Raise it and restart ancred, or wait for lower fees.")
	Budget = kind(Soon, "budget", "anchor.monthly_budget delays an anchor.",
		"Raise it and restart ancred, or wait until older payments are more than 30 days old.")
	BudgetLow = holdsNothing(kind(Soon, "budget_low", "Nine tenths of anchor.monthly_budget are spent.",
		"Raise it and restart ancred, or set a longer batch.interval."))
	LeftOut = kind(Soon, "left_out", "A mined anchor left a batch out. ancred pays for the batch again once that anchor is deep enough.",
		"Wait. More coins in the wallet avoid this.")
	CoinSpent = kind(Soon, "coin_spent", "Another transaction spent the coin of an anchor, so that anchor can no longer be mined.",
		"Use the wallet's 24 words nowhere else. ancred anchors the batches again after some blocks.")
	CoinMissing = kind(Soon, "coin_missing", "A reorganisation of Bitcoin removed the coin that an anchor spends.",
		"Wait until the transaction that paid the coin is mined again. If you sent it, send it again.")
	Payment = kind(Soon, "payment", "ancred cannot pay for an anchor, for a reason that no other warning names.",
		"The text has the error.")
)

// Warnings about peers that do not relay anchors.
var (
	OfferRefused = kind(Soon, "offer_refused", "The peers refuse an anchor's transaction, or drop it.",
		"In spv.connect or spv.add_peers, name nodes that relay OP_RETURN transactions (datacarrier=1, default minrelaytxfee).")
	OfferIgnored = kind(Soon, "offer_ignored", "No peer asks for an anchor's transaction.",
		"In spv.connect or spv.add_peers, name other nodes that relay transactions.")
	OfferHungUp = kind(Soon, "offer_hung_up", "The peers disconnect when ancred offers an anchor's transaction.",
		"In spv.connect or spv.add_peers, name other nodes that run without blocksonly.")
	BelowFloor = kind(Soon, "below_floor", "An anchor pays less than every connected peer requires.",
		"Wait: ancred raises the fee at each block. If anchor.max_feerate stops it, raise that.")
)

// Warnings about the chain, as the light client sees it.
var (
	NoneNamed = kind(Soon, "peers_not_configured", "No peers are configured, and this network has no way to discover any.",
		"Set spv.connect.")
	NoPeers = kind(Soon, "no_peers", "No Bitcoin node is connected.",
		"Check the network connection, the firewall, spv.connect and spv.proxy.")
	FewPeers = kind(Soon, "few_peers", "Too few Bitcoin nodes are connected to detect one that lies.",
		"Allow outgoing connections, or name more nodes in spv.add_peers.")
	Peer = kind(Soon, "peer", "A configured node is unreachable, serves no compact filters, is pruned, or was disconnected.",
		"The text names the node and what it lacks.")
	StaleTip = kind(Soon, "stale_tip", "The newest block is old.",
		"Compare with a block explorer; name other nodes in spv.add_peers; check the clock.")
	ClockBehind = kind(Soon, "clock_behind", "The newest block's time is ahead of this machine's clock.",
		"Set the clock.")
	ClockOff = kind(Soon, "clock_off", "The peers' clocks disagree with this machine's.",
		"Set the clock (timedatectl).")
	HeadersStuck = kind(Soon, "headers_stuck", "The peers announce newer blocks but do not send their headers.",
		"Name other nodes in spv.add_peers.")
	FiltersBlock = kind(Soon, "filters_wait_for_a_block", "On a private network the light client fetches filters only when the newest block is recent.",
		"Mine a block.")
	FiltersStuck = kind(Soon, "filters_stuck", "Filter headers have stopped arriving.",
		"Name other nodes in spv.add_peers. If it persists, restart ancred.")
	HeadersUnreadable = kind(Critical, "headers_unreadable", "ancred cannot read the stored headers.",
		"Check the disk, then restart ancred.")
	FetchesFail = kind(Soon, "fetches_fail", "No peer sends the blocks or filters that ancred requests.",
		"Name other nodes in spv.add_peers.")
	Chain = kind(Soon, "chain", "ancred cannot follow the chain at the moment.",
		"The text has the error; peers are the usual reason.")
)

// Warnings about the configuration and its limits.
var (
	CalendarURI = holdsNothing(kind(Soon, "calendar_uri", "Pending proofs point to an address that only this machine can reach, and others use the calendar.",
		"Set calendar.uri to the public address."))
	CalendarProxy = holdsNothing(kind(Soon, "calendar_proxy", "A web server that calendar.trusted_proxies does not name forwards requests to the calendar.",
		"Set calendar.trusted_proxies to the address of the web server."))
	RPCListen = holdsNothing(kind(Soon, "rpc_listen", "JSON-RPC listens for other machines, without TLS.",
		"Listen on 127.0.0.1 behind a web server with TLS, or use a VPN."))
	MetricsListen = holdsNothing(kind(Soon, "metrics_listen", "The metrics listen for other machines, without a password.",
		"Have a firewall admit only the machine of Prometheus, or listen on 127.0.0.1."))
	CalendarBudget = holdsNothing(kind(Soon, "calendar_budget", "The calendar listens for other machines but refuses their digests, because no setting bounds what those cost.",
		"Set anchor.monthly_budget and calendar.max_digests, and restart ancred."))
	MaxDigests = holdsNothing(kind(Soon, "max_digests", "A JSON-RPC user or the calendar has reached its limit of new digests.",
		"The text names the user. Find out why, or raise rpc.max_digests, rpc.max_user_digests or calendar.max_digests."))
	Notify = holdsNothing(kind(Soon, "notify", "notify.command cannot be run, or keeps failing, so nobody is told of warnings.",
		"The text has the error. Correct the command; \"ancre rpc testnotify\" tries it."))
)
