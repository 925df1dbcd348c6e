package itest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/proof"

	"github.com/btcsuite/btcd/chainhash/v2"
)

// ask makes one request to the daemon's calendar.
func (w *world) ask(method, path string, body []byte, accept string) (status int, answer []byte, header http.Header) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.ctx, method, "http://"+w.daemon.CalendarAddr()+path, bytes.NewReader(body))
	w.must(err)
	req.Header.Set("Accept", accept)
	req.Close = true // nothing is kept over the daemon's restarts
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, answer, resp.Header
}

// stamped is a message with the calendar's answer to it.
type stamped struct {
	message, answer []byte
	commitment      []byte
}

// stamp submits a message to the calendar, and reads the answer as clients do.
func (w *world) stamp(message []byte) stamped {
	w.Helper()
	status, answer, header := w.ask("POST", "/digest", message, "application/vnd.opentimestamps.v1")
	if status != http.StatusOK || header.Get("Content-Type") != "application/octet-stream" {
		w.Fatalf("POST /digest of %d bytes: status %d, %q", len(message), status, answer)
	}
	ts, err := proof.ParseTimestamp(answer, message)
	w.must(err)
	all := ts.All()
	if uri, _ := all[0].URI(); len(all) != 1 || uri != "http://"+w.daemon.CalendarAddr() {
		w.Fatalf("the answer to POST /digest says %v, want the promise of this calendar alone", all)
	}
	return stamped{message, answer, all[0].Msg}
}

// wantPending wants the calendar to report the state of a commitment in otsd's words.
func (w *world) wantPending(s stamped, text string) {
	w.Helper()
	status, answer, header := w.ask("GET", "/timestamp/"+hex.EncodeToString(s.commitment), nil, "")
	if status != http.StatusNotFound || string(answer) != text || header.Get("Cache-Control") != "public, max-age=60" {
		w.Fatalf("GET /timestamp: status %d, %q, %v; want 404, %q", status, answer, header, text)
	}
}

// wantComplete asks the calendar for the rest of a message's proof, joins the two parts, and checks
// the proof against the node's blocks.
func (w *world) wantComplete(s stamped) {
	w.Helper()
	status, answer, header := w.ask("GET", "/timestamp/"+hex.EncodeToString(s.commitment), nil, "")
	if status != http.StatusOK || !strings.Contains(header.Get("Cache-Control"), "max-age=31536000") {
		w.Fatalf("GET /timestamp of what is final: status %d, %q, %v", status, answer, header)
	}
	ts, err := proof.ParseTimestamp(s.answer, s.message)
	w.must(err)
	rest, err := proof.ParseTimestamp(answer, s.commitment)
	w.must(err)
	// A client attaches the answer to the commitment of its pending proof: append nonce, sha256.
	leaf := ts.Branches[0].Next.Branches[0].Next
	leaf.Attestations, leaf.Branches = rest.Attestations, rest.Branches
	if len(s.message) == 32 {
		r, err := proof.Verify(w.ctx, &proof.File{HashOp: proof.SHA256, Digest: s.message, Timestamp: ts}, s.message, explorer{w})
		w.must(err)
		if r.Outcome != proof.OutcomeValid {
			w.Errorf("the proof of %x: %+v, want it valid", s.message, r)
		}
	}
	all := ts.All()
	height, ok := all[0].Height()
	if len(all) != 1 || !ok {
		w.Fatalf("the complete timestamp says %v, want one block", all)
	}
	block, err := w.node.BlockAt(w.ctx, int32(height))
	w.must(err)
	if chainhash.Hash(all[0].Msg) != block.Header.MerkleRoot {
		w.Errorf("the proof leads to the Merkle root %x, block %d has %x", all[0].Msg, height, block.Header.MerkleRoot)
	}
}

// explorer reads headers from the calendar's routes of a block explorer, as clients in browsers do.
type explorer struct{ *world }

func (e explorer) Header(_ context.Context, height uint64) (proof.Header, error) {
	status, hash, _ := e.ask("GET", fmt.Sprintf("/block-height/%d", height), nil, "plain/text")
	if status == http.StatusNotFound {
		return proof.Header{}, fmt.Errorf("%w: %s", proof.ErrNoHeader, hash)
	}
	status, answer, _ := e.ask("GET", "/block/"+string(hash), nil, "application/json")
	var block struct {
		ID         string `json:"id"`
		Height     uint64 `json:"height"`
		MerkleRoot string `json:"merkle_root"`
		Timestamp  int64  `json:"timestamp"`
	}
	if err := json.Unmarshal(answer, &block); err != nil || status != http.StatusOK || block.ID != string(hash) || block.Height != height || block.Timestamp == 0 {
		return proof.Header{}, fmt.Errorf("GET /block/%s: status %d, %s (%v)", hash, status, answer, err)
	}
	id, err := chainhash.NewHashFromStr(block.ID)
	if err != nil {
		return proof.Header{}, err
	}
	root, err := chainhash.NewHashFromStr(block.MerkleRoot)
	if err != nil {
		return proof.Header{}, err
	}
	return proof.Header{Height: height, Hash: *id, MerkleRoot: *root}, nil
}

// Messages go all the way through the calendar, as an OpenTimestamps client sends them, with a
// power cut after each step.
func TestCalendarTakesMessagesAndCompletesTheirProofs(t *testing.T) {
	onEachNode(t, func(t *testing.T, w *world) {
		w.startFunded()
		if status, _, _ := w.ask("GET", "/tip", nil, ""); status != http.StatusNotFound {
			t.Errorf("GET /tip of an empty calendar: status %d", status)
		}
		var all []stamped
		for _, size := range []int{32, 0, 20, 64} {
			message := make([]byte, size)
			_, _ = rand.Read(message)
			all = append(all, w.stamp(message))
		}
		// What was answered is on disk: the daemon gets no warning and no time to write.
		last := make([]byte, 32)
		_, _ = rand.Read(last)
		all = append(all, w.stamp(last))
		w.crash()

		const waits = "Pending confirmation in Bitcoin blockchain"
		for _, s := range all {
			w.wantPending(s, waits)
			if again := w.stamp(s.message); !bytes.Equal(again.answer, s.answer) {
				t.Errorf("a message of %d bytes was answered with %x, and after a crash with %x", len(s.message), s.answer, again.answer)
			}
		}
		w.wantPending(stamped{commitment: last}, "Not found") // it is the digest, not the commitment
		digest := hex.EncodeToString(last)
		if e := w.status(digest); e.State != "open" || e.Batch != 1 || e.Index != uint64(len(all)-1) {
			t.Errorf("getstatus of a digest that came through the calendar: %+v", e)
		}
		if e := w.submit(hex.EncodeToString(all[0].message)); e.Batch != 1 || e.Index != 0 {
			t.Errorf("submitted again over JSON-RPC: %+v, want its place in batch 1", e)
		}

		w.call(nil, "closebatch")
		e := w.awaitState(digest, "broadcast")
		w.awaitInMempool(e.TxID)
		w.wantPending(all[0], waits)
		tx, err := w.node.MempoolTx(w.ctx, e.TxID)
		w.must(err)
		if status, tip, _ := w.ask("GET", "/tip", nil, ""); status != http.StatusOK || !bytes.HasSuffix(tx.TxOut[0].PkScript, tip) || len(tip) != 32 {
			t.Errorf("GET /tip: status %d, %x; the transaction commits to %x", status, tip, tx.TxOut[0].PkScript)
		}
		w.mine(1)
		w.awaitState(digest, "mined")
		w.crash()
		w.must(w.daemon.AwaitHeight(w.ctx, w.node))
		w.awaitState(digest, "mined")
		w.wantPending(all[1], "Timestamped by transaction "+e.TxID+"; waiting for 5 confirmations")

		w.mine(5)
		final := w.awaitState(digest, "final")
		w.crash()
		for _, s := range all {
			w.wantComplete(s)
		}
		var st struct {
			PendingCommitments int `json:"pending_commitments"`
			Digests            int `json:"digests"`
			BlockHeight        int32
			Anchors            []struct{ TxID, State string }
		}
		status, answer, _ := w.ask("GET", "/", nil, "application/json")
		w.must(json.Unmarshal(answer, &st))
		if status != http.StatusOK || st.PendingCommitments != 0 || st.Digests != len(all) || len(st.Anchors) != 1 || st.Anchors[0].TxID != final.TxID {
			t.Errorf("the status page: status %d, %s", status, answer)
		}
		if _, page, _ := w.ask("GET", "/", nil, "text/html"); !bytes.Contains(page, []byte(final.TxID)) || !bytes.Contains(page, []byte("http://"+w.daemon.CalendarAddr())) {
			t.Errorf("the status page does not name the payment or the calendar:\n%s", page)
		}
		w.wantPaidOnce()
	})
}

// The daemon crashes right after each answer: it answers only for messages that are on disk.
func TestCalendarAnswersOnlyWhatIsDurable(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	w := newWorld(t, "")
	w.daemon.Set("calendar", "rate_limit", "0")
	w.start()
	var all []stamped
	for range 5 {
		answers := make(chan stamped, 1)
		go func() {
			defer close(answers)
			for {
				message := make([]byte, 33)
				_, _ = rand.Read(message)
				resp, err := http.Post("http://"+w.daemon.CalendarAddr()+"/digest", "application/octet-stream", bytes.NewReader(message))
				if err != nil {
					return // the power is cut
				}
				answer, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					return
				}
				ts, err := proof.ParseTimestamp(answer, message)
				if err != nil {
					return
				}
				answers <- stamped{message, answer, ts.All()[0].Msg}
			}
		}()
		for range 50 {
			all = append(all, <-answers)
		}
		w.must(w.daemon.Kill9())
		for s := range answers {
			all = append(all, s)
		}
		w.start()
	}
	for _, s := range all {
		if len(s.message) == 0 {
			t.Fatal("a message was refused")
		}
		w.wantPending(s, "Pending confirmation in Bitcoin blockchain")
	}
}

// While the daemon opens its store, the calendar already answers, and says so.
func TestCalendarIsThereFromTheStart(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	w := newWorld(t, "")
	w.must(w.daemon.Launch())
	w.must(harness.Await(w.ctx, "the calendar to take a digest", func(ctx context.Context) (bool, string, error) {
		resp, err := http.Post("http://"+w.daemon.CalendarAddr()+"/digest", "application/octet-stream", strings.NewReader("early"))
		if err != nil {
			return false, err.Error(), nil
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			return false, err.Error(), nil
		}
		if resp.StatusCode == http.StatusServiceUnavailable && (resp.Header.Get("Retry-After") == "" || !strings.Contains(string(answer), "starting")) {
			return false, "", fmt.Errorf("status 503 with %q, %v", answer, resp.Header)
		}
		return resp.StatusCode == http.StatusOK, fmt.Sprintf("status %d, %q", resp.StatusCode, answer), nil
	}))
	w.must(w.daemon.AwaitUp(w.ctx))
}
