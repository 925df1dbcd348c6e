package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"ancre/batcher/store"
	"ancre/batcher/store/pebblestore"
	"ancre/proof"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// lookUps is the number of look-ups in one measurement.
const lookUps = 20_000

// measureLookup measures how long the store takes to find a leaf, and to know that it does not have
// another, without any network. The floor is a get of a bare Pebble with as many keys of 32 bytes,
// a bloom filter and the same cache.
func (b *bench) measureLookup(ctx context.Context) error {
	sites, err := b.filled(ctx)
	if err != nil {
		return err
	}
	for _, s := range append(sites[:1:1], sites[len(sites)-1]) {
		if err := b.lookUpIn(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) lookUpIn(ctx context.Context, s *site) (err error) {
	if err := s.close(); err != nil { // a store has one owner
		return err
	}
	ours, err := pebblestore.Open(s.store(), pebblestore.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	bare, err := openBare(s.path("bare"), s.book.Stored)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.Close()) }()

	key, digests := ours.Key(), s.seed()
	other, err := newSeed()
	if err != nil {
		return err
	}
	leaf := func(from *seed, n uint64) store.Leaf {
		digest := from.digest(n)
		return proof.Leaf(digest[:], proof.Nonce(key, digest[:]))
	}
	for _, what := range []struct {
		name  string
		there bool
		from  *seed
	}{{"look-up of a stored leaf, %s stored", true, &digests}, {"look-up of a new leaf, %s stored", false, &other}} {
		var mine, plain []float64 // nanoseconds
		for round := -1; round < b.rounds; round++ {
			leaves, keys := make([]store.Leaf, lookUps), make([][32]byte, lookUps)
			for i := range leaves {
				n := rand.Uint64N(s.book.Stored)
				leaves[i], keys[i] = leaf(what.from, n), bareKey(n, s.book.Stored, what.there)
			}
			if err := errors.Join(warm(s.store()), warm(s.path("bare"))); err != nil {
				return err
			}
			start := time.Now()
			for i := range leaves {
				at, err := ours.Find(ctx, leaves[i:i+1])
				if err != nil {
					return err
				}
				if (at[0].Batch != 0) != what.there {
					return fmt.Errorf("%x is stored: %t, and Find answers %+v", leaves[i], what.there, at[0])
				}
			}
			took := time.Since(start)
			start = time.Now()
			for i := range keys {
				_, closer, err := bare.Get(keys[i][:])
				switch {
				case err == nil && what.there:
					err = closer.Close()
				case errors.Is(err, pebble.ErrNotFound) && !what.there:
					err = nil
				default:
					err = fmt.Errorf("the bare Pebble has key %x: want %t, and Get returned %v", keys[i], what.there, err)
				}
				if err != nil {
					return err
				}
			}
			if round >= 0 {
				mine, plain = append(mine, float64(took.Nanoseconds())/lookUps/1000), append(plain, float64(time.Since(start).Nanoseconds())/lookUps/1000)
			}
		}
		r := inTurns(fmt.Sprintf(what.name, count(s.book.Stored)), "µs", mine, plain, target{})
		r.detail = "in the process, one goroutine; floor: a get of a bare Pebble with as many keys"
		b.rows = append(b.rows, r)
	}
	return nil
}

// The bare Pebble: its keys rise, so that it is written in a minute, already in order; a get does
// not know how they came.

// bareKey returns a key that is stored, or one beside it that is not.
func bareKey(n, of uint64, there bool) (key [32]byte) {
	binary.BigEndian.PutUint64(key[:], n*(^uint64(0)/of))
	x := n
	for i := 8; i < len(key); i += 8 { // splitmix64
		x += 0x9e3779b97f4a7c15
		z := (x ^ x>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.BigEndian.PutUint64(key[i:], z^z>>31)
	}
	if !there {
		key[31] ^= 1
	}
	return key
}

// openBare opens a Pebble with a number of keys, and fills it if it does not exist yet.
func openBare(dir string, keys uint64) (_ *pebble.DB, err error) {
	const cacheSize = 64 << 20 // the store's own
	filter := pebble.LevelOptions{FilterPolicy: bloom.FilterPolicy(10)}
	opts := &pebble.Options{
		CacheSize: cacheSize, MemTableSize: 64 << 20, FormatMajorVersion: pebble.FormatNewest, Logger: noLog{}, DisableWAL: true,
	}
	for i := range opts.Levels {
		opts.Levels[i] = filter
	}
	whole := filepath.Join(dir, "whole") // made when all keys are in it
	if _, err := os.Stat(whole); errors.Is(err, fs.ErrNotExist) {
		fmt.Printf("Filling a bare Pebble with %s keys.\n", count(keys))
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if err := fillBare(dir, opts, keys); err != nil {
			return nil, err
		}
		if err := os.WriteFile(whole, nil, 0o600); err != nil {
			return nil, err
		}
	}
	return pebble.Open(dir, opts)
}

func fillBare(dir string, opts *pebble.Options, keys uint64) (err error) {
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const group = 10_000
	var value [8]byte
	for n := uint64(0); n < keys; {
		batch := db.NewBatch()
		for end := min(n+group, keys); n < end; n++ {
			key := bareKey(n, keys, true)
			binary.BigEndian.PutUint64(value[:], n)
			if err := batch.Set(key[:], value[:], nil); err != nil {
				return err
			}
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			return err
		}
	}
	return db.Flush()
}

// noLog keeps Pebble's log out of the output.
type noLog struct{}

func (noLog) Infof(string, ...any)         {}
func (noLog) Errorf(string, ...any)        {}
func (noLog) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
