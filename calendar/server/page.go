package server

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"sync"
	"time"

	"ancre/batcher"
	"ancre/batcher/decide"
	"ancre/batcher/store"
	"ancre/internal/humanize"
)

// page is the answer to GET /. It is kept for a moment, so that many requests cost little.
type page struct {
	mu   sync.Mutex
	made time.Time
	html []byte
	json []byte
}

// pageAge is how long a page is kept here, keepPage how long caches may keep it (otsd's figure).
const (
	pageAge  = time.Second
	keepPage = "public, max-age=5"
)

// Status is the answer to GET / for clients that accept application/json. The first members are
// otsd's, as far as they have a meaning here; numbers are JSON numbers.
type Status struct {
	Version             string `json:"version"`
	PendingCommitments  uint64 `json:"pending_commitments"`          // digests that are not in a block yet
	WaitingTransactions int    `json:"txs_waiting_for_confirmation"` // mined and not yet final
	MostRecentTx        string `json:"most_recent_tx"`               // the newest unconfirmed one; "None" if there is none
	PriorVersions       int    `json:"prior_versions"`               // versions that it replaced
	Tip                 string `json:"tip"`                          // what that transaction commits to; "None" if there is none
	BestBlock           string `json:"best_block"`
	BlockHeight         int32  `json:"block_height"`

	Network       string     `json:"network"`
	URI           string     `json:"uri"` // what proofs point to
	Synced        bool       `json:"synced"`
	TargetHeight  int32      `json:"target_height"` // the newest block that peers announce
	Anchoring     bool       `json:"anchoring"`     // false: digests are accepted, but something keeps anchors from being paid
	Confirmations int32      `json:"confirmations"` // at which proofs are complete
	Digests       uint64     `json:"digests"`       // accepted since the store was created
	NextBatch     *time.Time `json:"next_batch"`    // when the open batch is sealed at the latest; null if there is none
	Anchors       []Anchor   `json:"anchors"`       // newest first
}

// Anchor is one payment on the status page.
type Anchor struct {
	TxID          string    `json:"txid"`
	State         string    `json:"state"` // broadcast, mined, final
	Height        int32     `json:"height,omitempty"`
	Confirmations int32     `json:"confirmations,omitempty"`
	Created       time.Time `json:"created"`
}

// What the status page reads.
const (
	shownAnchors = 20
	lookBatches  = 100 // more wait for a block only if anchoring has been stopped for weeks
)

// status is GET /.
func (q *request) status(string) {
	q.w.Header().Set("Vary", "Accept")
	p := &q.server.page
	p.mu.Lock()
	if time.Since(p.made) > pageAge {
		if err := q.makePage(p); err != nil {
			p.mu.Unlock()
			q.fail("make the status page", err)
			return
		}
	}
	html, raw := p.html, p.json
	p.mu.Unlock()
	if wantsJSON(q.Header.Get("Accept")) {
		q.answer(200, jsonType, keepPage, raw)
		return
	}
	// The page loads nothing, runs no script, and may not be put into a frame.
	q.w.Header().Set("X-Content-Type-Options", "nosniff")
	q.w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	q.answer(200, htmlType, keepPage, html)
}

var htmlType = []string{"text/html; charset=utf-8"}

// wantsJSON reports whether a client accepts JSON and not HTML. Browsers accept HTML.
func wantsJSON(accept string) bool {
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// makePage makes both forms of the page.
func (q *request) makePage(p *page) error {
	st, err := q.gather(q.Context())
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return err
	}
	var html bytes.Buffer
	if err := pageTemplate.Execute(&html, st); err != nil {
		return err
	}
	p.html, p.json, p.made = html.Bytes(), append(raw, '\n'), time.Now()
	return nil
}

// gather collects what the page shows. The reason why anchoring has stopped is for the operator
// alone: it can name amounts, addresses and files.
func (q *request) gather(ctx context.Context) (*Status, error) {
	info, err := q.Node.Info(ctx)
	if err != nil {
		return nil, err
	}
	st := &Status{
		Version: info.Version, Network: info.Network, URI: q.server.uri,
		BestBlock: info.Chain.BlockHash, BlockHeight: info.Chain.Height, TargetHeight: info.Chain.TargetHeight, Synced: info.Chain.Synced,
		WaitingTransactions: info.Anchors.Mined, MostRecentTx: "None", Tip: "None",
		Anchoring: info.Ready && !info.Held, Confirmations: q.Confirmations, Digests: info.Digests,
		Anchors: []Anchor{},
	}
	if info.Batch != nil {
		st.NextBatch = info.Batch.Closes
	}
	batches, err := q.Batcher.Batches(ctx, 0, lookBatches)
	if err != nil {
		return nil, err
	}
	for i := range batches {
		switch batches[i].Progress.State {
		case batcher.Open, batcher.Sealed, batcher.Broadcast:
			st.PendingCommitments += batches[i].Batch.Count
		}
	}
	newest, err := newestUnconfirmed(q)
	if err != nil {
		return nil, err
	}
	if newest != nil {
		v := decide.Current(newest.Anchor)
		st.MostRecentTx, st.Tip, st.PriorVersions = v.Tx.TxHash().String(), hex.EncodeToString(v.Root[:]), len(newest.Anchor.Versions)-1
	}
	anchors, err := q.Batcher.Anchors(ctx, 0, shownAnchors)
	if err != nil {
		return nil, err
	}
	for i := range anchors {
		a := &anchors[i]
		shown := Anchor{TxID: decide.Current(a.Anchor).Tx.TxHash().String(), State: string(a.Anchor.State), Confirmations: a.Confirmations, Created: a.Anchor.Created.UTC()}
		switch a.Anchor.State {
		case store.Mined, store.Final:
			shown.Height = a.Anchor.Block.Height
		case store.Broadcast:
		default:
			continue // its batches have another anchor
		}
		st.Anchors = append(st.Anchors, shown)
	}
	return st, nil
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"count": countText,
	"clock": humanize.Time,
}).Parse(pageText))

// countText writes a number of the page with separators of thousands.
func countText(n any) string {
	switch n := n.(type) {
	case int32:
		return humanize.Count(n)
	case uint64:
		return humanize.Count(n)
	}
	return fmt.Sprint(n)
}
