package verify

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"ancre/internal/humanize"
	"ancre/proof"
	"ancre/rpc"
)

// Daemon is what verification and completion need of an ancred, besides headers. [*rpc.Client]
// implements it.
type Daemon interface {
	// Proof returns the proof of a digest, or of a commitment that the daemon's calendar promised
	// to anchor.
	Proof(ctx context.Context, digest [32]byte, format string) (rpc.Proof, error)

	// Status returns where a digest or such a commitment is.
	Status(ctx context.Context, digest [32]byte) (rpc.Entry, error)
}

var _ Daemon = (*rpc.Client)(nil)

// DaemonSource takes headers from an ancred, whose light client checked them.
type DaemonSource struct {
	Client *rpc.Client

	// OtherSource says how to name another source; it may be empty.
	OtherSource string
}

var _ Source = DaemonSource{}

// Header implements [proof.HeaderSource].
func (s DaemonSource) Header(ctx context.Context, height uint64) (proof.Header, error) {
	return s.Client.Header(ctx, height)
}

// Tip implements [Source].
func (s DaemonSource) Tip(ctx context.Context) (int64, error) { return tipOf(ctx, s.Client) }

// Trust implements [Source].
func (s DaemonSource) Trust() Trust {
	return Trust{
		Source: "daemon", From: s.Client.URL(),
		Words:   "headers checked by the daemon at " + s.Client.URL(),
		Warning: "You trust the operator of that daemon to follow the true chain.",
	}
}

// Lacks implements [Source]: it says how far the daemon is.
func (s DaemonSource) Lacks(ctx context.Context, _ uint64) (why, remedy string) {
	info, err := s.Client.Info(ctx)
	switch {
	case err != nil:
		return "", s.OtherSource
	case !info.Chain.Synced:
		return fmt.Sprintf("the daemon is still syncing (block %s of %s)", humanize.Count(info.Chain.Height), humanize.Count(info.Chain.TargetHeight)),
			"wait for the daemon" + hint(", or ", s.OtherSource)
	}
	return "the daemon's newest block is " + humanize.Count(info.Chain.Height), s.OtherSource
}

// tipOf returns the height of a node's newest block.
func tipOf(ctx context.Context, client *rpc.Client) (int64, error) {
	height, err := client.BlockCount(ctx)
	return int64(height), err
}

// StateFinal is the state of a digest whose proof is complete.
const StateFinal = "final"

// StatusText says in words where a digest is.
func StatusText(e rpc.Entry) string {
	batch := "batch " + humanize.Count(e.Batch)
	switch e.State {
	case "open":
		return batch + " is still open"
	case "sealed":
		return batch + " is sealed and waits for its payment"
	case "broadcast":
		return batch + " is in transaction " + e.TxID + ", which waits to be mined"
	case "mined":
		return batch + " is in Bitcoin block " + humanize.Count(e.Height) + ", which has " + humanize.Plural(e.Confirmations, "confirmation", "confirmations") + " so far"
	case StateFinal:
		return batch + " is final in Bitcoin block " + humanize.Count(e.Height)
	}
	return batch + " is " + e.State
}

// daemonKnows is what the daemon has of a proof.
type daemonKnows struct {
	rpc.Entry
	by       [32]byte    // what the daemon was asked by: the digest, or what its calendar promised
	file     *proof.File // with all that was in it before
	complete bool        // the daemon's part of it names a block
}

// errUnknown says that the daemon knows neither the digest nor a promise.
var errUnknown = errors.New("not known to the daemon")

// isUnknown reports whether a daemon said that it does not know a digest.
func isUnknown(err error) bool { return rpc.HasCode(err, rpc.CodeNotFound) }

// askDaemon asks the daemon for the proof of f, and merges both. It asks by the digest, if that is
// a SHA-256, and by what each calendar promised, because clients of the daemon's calendar blind the
// digest. It adds to answered the promises that the daemon answered for. It returns errUnknown if
// the daemon knows nothing of f.
func askDaemon(ctx context.Context, daemon Daemon, f *proof.File, answered map[promise]bool) (k daemonKnows, err error) {
	k.file = f
	found := false
	ask := func(by [32]byte) error {
		p, err := daemon.Proof(ctx, by, rpc.FormatOTS)
		if isUnknown(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if !found {
			k.Entry, k.by, found = p.Entry, by, true
		}
		return k.merge(by, p, answered)
	}
	if f.HashOp == proof.SHA256 {
		if err := ask([32]byte(f.Digest)); err != nil {
			return k, err
		}
	}
	for _, by := range commitments(k.file, answered) {
		if k.complete {
			break
		}
		if err := ask(by); err != nil {
			return k, err
		}
	}
	if !found {
		return k, errUnknown
	}
	return k, nil
}

// merge merges the daemon's answer about by. A pending answer about a commitment holds no proof.
func (k *daemonKnows) merge(by [32]byte, p rpc.Proof, answered map[promise]bool) error {
	about := map[string]bool{string(by[:]): true} // messages that the daemon answered for
	if len(p.Proof) > 0 {
		got, err := DecodeProof(p.Proof, by[:])
		if err != nil {
			return err
		}
		if k.file, err = graft(k.file, got.Timestamp); err != nil {
			return err
		}
		for _, a := range got.Attestations() {
			about[string(a.Msg)] = true
		}
		if got.IsComplete() {
			k.Entry, k.by, k.complete = p.Entry, by, true
		}
	}
	for _, a := range k.file.Attestations() {
		if uri, ok := a.URI(); ok && about[string(a.Msg)] {
			answered[promise{uri, string(a.Msg)}] = true
		}
	}
	return nil
}

// DecodeProof reads a proof that a daemon sent in base64, and checks that it is about the digest.
func DecodeProof(encoded string, digest []byte) (*proof.File, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("the daemon sent a proof that is not base64: %w", err)
	}
	f, err := proof.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("the daemon sent no proof: %w", err)
	}
	if f.HashOp != proof.SHA256 || !bytes.Equal(f.Digest, digest) {
		return nil, fmt.Errorf("the daemon sent a proof of %s %x when asked for %x", f.HashOp, f.Digest, digest)
	}
	return f, nil
}
