package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"ancre/batcher/store/pebblestore"
	"ancre/internal/datadir"
	"ancre/itest/harness"
	"ancre/rpc"
)

// site is a directory with a daemon and the private chain in which its batches are anchored. The
// store was filled with digests that can be computed again. build makes a site once, and it can be
// measured many times. The digests that a measurement submits stay in it.
type site struct {
	dir    string
	book   book
	daemon *harness.Daemon
	key    [32]byte // of the store
}

// book is the file bench.json in the directory of a site.
type book struct {
	Seed   string `json:"seed"`   // of its digests, as hex
	Want   uint64 `json:"want"`   // how many are to be stored
	Stored uint64 `json:"stored"` // how many are acknowledged, from number 0 on, without a gap
	Final  bool   `json:"final"`  // all batches of them are final: every proof is complete
	Bytes  int64  `json:"bytes"`  // what the daemon's directory held then, everything counted
	Pace   []pace `json:"pace"`   // how fast it was built
}

// pace is the speed of one stretch of a build.
type pace struct {
	Stored    uint64  `json:"stored"`     // at its end
	PerSecond float64 `json:"per_second"` // digests
}

const bookFile, chainFile, passphraseFile = "bench.json", "chain.json", "passphrase"

// openSite reads a site. An empty directory is an empty site.
func openSite(dir string) (*site, error) {
	s := &site{dir: dir}
	raw, err := os.ReadFile(s.path(bookFile))
	if errors.Is(err, fs.ErrNotExist) {
		fresh, err := newSeed()
		s.book.Seed = hex.EncodeToString(fresh[:])
		return s, err
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &s.book); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path(bookFile), err)
	}
	if b, err := hex.DecodeString(s.book.Seed); err != nil || len(b) != len(seed{}) {
		return nil, fmt.Errorf("%s: the seed %q has not %d bytes in hexadecimal", s.path(bookFile), s.book.Seed, len(seed{}))
	}
	return s, nil
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) seed() (out seed) {
	_, _ = hex.Decode(out[:], []byte(s.book.Seed)) // openSite has looked at it
	return out
}

// save writes the book, whole or not at all.
func (s *site) save() error {
	text, err := json.MarshalIndent(s.book, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path(bookFile+".new"), text, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path(bookFile+".new"), s.path(bookFile))
}

// prepare makes the site's daemon, which start starts. Without a node it finds no peer.
func (s *site) prepare(bins harness.Binaries, node *harness.Node) (err error) {
	if s.daemon, err = harness.NewDaemon(bins, node, s.path("daemon"), false); err != nil {
		return err
	}
	s.daemon.Set("calendar", "rate_limit", "0") // all of the load comes from one address
	s.daemon.Set("calendar", "max_digests", "0")
	if _, err := os.Stat(s.path(passphraseFile)); err == nil {
		s.daemon.Set("wallet", "passphrase_file", fmt.Sprintf("%q", s.path(passphraseFile)))
	}
	return nil
}

// open starts the daemon of a site that was built, for measurements.
func (s *site) open(ctx context.Context, bins harness.Binaries) error {
	if err := s.prepare(bins, nil); err != nil {
		return err
	}
	if err := s.readKey(); err != nil {
		return err
	}
	return s.daemon.Start(ctx)
}

// readKey reads the store's key while no daemon runs: with it the commitment of a digest can be
// computed.
func (s *site) readKey() error {
	st, err := pebblestore.Open(filepath.Join(s.daemon.NetDir(), "store"), pebblestore.Options{})
	if err != nil {
		return err
	}
	s.key = st.Key()
	return st.Close()
}

// close ends the daemon, if it runs.
func (s *site) close() error {
	if s.daemon == nil || !s.daemon.Running() {
		return nil
	}
	return s.daemon.Stop()
}

// store is the directory of its store.
func (s *site) store() string { return filepath.Join(s.daemon.NetDir(), datadir.Store) }

// server returns the running daemon as a server to load.
func (s *site) server() (*server, error) {
	user, password, err := s.daemon.Credentials()
	if err != nil {
		return nil, err
	}
	return &server{
		name: "ancred with " + count(s.book.Stored) + " digests stored", addr: s.daemon.Addr(), calendar: s.daemon.CalendarAddr(), pid: s.daemon.PID(),
		user: user, password: password, stored: s.seed(), count: s.book.Stored, key: s.key, files: s.store(),
	}, nil
}

// serversOf returns the running daemons of all sites.
func serversOf(sites []*site) (all []*server, err error) {
	for _, s := range sites {
		to, err := s.server()
		if err != nil {
			return nil, err
		}
		all = append(all, to)
	}
	return all, nil
}

// verify gets the proofs of some digests, and has the daemon verify them against its block headers:
// the proofs that were measured are real.
func (s *site) verify(ctx context.Context, numbers []uint64) error {
	fresh := s.seed()
	for _, n := range numbers {
		digest := fresh.digest(n)
		text := hex.EncodeToString(digest[:])
		var p rpc.Proof
		if err := s.daemon.Call(ctx, &p, "getproof", text); err != nil {
			return fmt.Errorf("digest %d was stored: %w", n, err)
		}
		if !p.Complete {
			return fmt.Errorf("the proof of digest %d is not complete, though its batch %d is final", n, p.Batch)
		}
		var v rpc.Verification
		if err := s.daemon.Call(ctx, &v, "verifyproof", text, p.Proof); err != nil {
			return fmt.Errorf("the proof of digest %d: %w", n, err)
		}
		if v.Result != "valid" || v.Height == 0 {
			return fmt.Errorf("the proof of digest %d is %s: %s", n, v.Result, v.Reason)
		}
	}
	return nil
}

// warm reads all files below a directory, so that the system has them in its page cache. An idle
// machine may drop files that were not read for a while, and reading them again would be measured.
func warm(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) { // the store has just replaced it
				return nil
			}
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		return errors.Join(err, f.Close())
	})
}

// bytesIn counts all files below a directory.
func bytesIn(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// count writes a number of digests as people say it: 20 k, 1 M.
func count(n uint64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprintf("%.4g M", float64(n)/1e6)
	case n >= 1_000:
		return fmt.Sprintf("%.4g k", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
