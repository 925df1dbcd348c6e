package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// registerTable has the metrics of ancre-register. Its declarations are below, as those of ancred
// are in table.go.
var registerTable []*Metric

// RegisterTable returns all metrics of ancre-register, in the order of docs/metrics.md.
func RegisterTable() []*Metric { return slices.Clone(registerTable) }

// registerGroup is the heading in docs/metrics.md.
const registerGroup = "The register"

func ofRegister(kind Kind, name, help string, labels ...string) *Metric {
	name = "ancre_register_" + name
	m := &Metric{Name: name, Kind: kind, Help: help, Labels: labels, Group: registerGroup, desc: prometheus.NewDesc(name, help, labels, nil)}
	registerTable = append(registerTable, m)
	return m
}

func ofRegisterSeconds(name, help string, labels ...string) *Metric {
	m := ofRegister(Histogram, name, help, labels...)
	m.buckets = answerSeconds
	return m
}

// The metrics of ancre-register.
var (
	RegisterBuildInfo = ofRegister(Gauge, "build_info", "Always 1. The labels say which ancre-register this is, on which network (empty before it reached its node for the first time).",
		"version", "network", "goversion")
	RegisterStarted  = ofRegister(Gauge, "started", "1 once the register is open. 0 while it starts; most other metrics are missing then.")
	RegisterScrapeOK = ofRegister(Gauge, "scrape_ok", "0 when this scrape could not read this part, so its metrics are missing. The log says why.", "part")
	RegisterWarnings = ofRegister(Gauge, "warnings", "How many warnings of this name `ancre-register status` shows now. 0 everywhere is good. The names are below.", "name")

	RegisterMeetings   = ofRegister(Gauge, "meetings", "Meetings in the register, those that are not on line too.")
	RegisterEntries    = ofRegister(Gauge, "entries", "Documents in the register, replaced ones too.")
	RegisterPublished  = ofRegister(Gauge, "published", "Documents that are on line now.")
	RegisterProofs     = ofRegister(Gauge, "proofs", "Digests by the state of their proof: waiting (not yet at the node), pending, mined (in a block, not final), complete.", "state")
	RegisterWaitingAge = ofRegister(Gauge, "oldest_waiting_age_seconds", "How long the digest that waits longest has been waiting for the node. 0 when none waits.")

	RegisterNodeReachable = ofRegister(Gauge, "node_reachable", "1 when the node answered the last call.")
	RegisterNodeHeight    = ofRegister(Gauge, "node_height", "The height of the newest block that the node has.")
	RegisterNodeWarnings  = ofRegister(Gauge, "node_warnings", "How many warnings the node itself shows now, as far as the register's user may know.")

	RegisterRequests = ofRegister(Counter, "page_requests_total", "Requests to the public page, by class (page, data, proof, file, asset, other) and class of the HTTP status (2xx, 3xx, 4xx, 5xx).", "class", "status")
	RegisterSeconds  = ofRegisterSeconds("page_request_seconds", "How long it took to answer a request to the public page, until the last byte was handed to the network.", "class")

	RegisterDiskFree  = ofRegister(Gauge, "disk_free_bytes", "Free space on the disk that holds the register.")
	RegisterReserve   = ofRegister(Gauge, "disk_reserve_bytes", "Disk space that the register keeps free. With less, it takes no documents.")
	RegisterBackupAge = ofRegister(Gauge, "backup_age_seconds", "The age of the newest backup of the register. 0 when there is none.")
	RegisterUnsaved   = ofRegister(Gauge, "backup_missing_entries", "Documents that came after the newest backup. All of them when there is none.")
)
