package wallet

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"ancre/internal/boltfile"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
)

const (
	// holdFor is how long the coins of a new version are held, until the caller has stored the
	// version and leased them.
	holdFor = 10 * time.Minute

	// leaseFor is how long a lease lasts that is never released: practically for ever.
	leaseFor = 10 * 365 * 24 * time.Hour

	leaseKeySize = 32 + 4 // txid in the byte order of transactions, output number big-endian
)

// leases are the coins that nothing else may spend. btcwallet has leases too, but refuses to lease
// a coin that it does not know yet, such as the change of an anchor before the rescan after a start
// has reached its block.
type leases struct {
	mu    sync.Mutex
	until map[wire.OutPoint]time.Time
}

func newLeases() leases { return leases{until: map[wire.OutPoint]time.Time{}} }

// load adds the stored leases.
func (l *leases) load(b walletdb.ReadBucket) error {
	if b == nil {
		return fmt.Errorf("%w: the bucket of leases is missing", boltfile.ErrDamaged)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return b.ForEach(func(k, val []byte) error {
		if len(k) != leaseKeySize || len(val) != 8 {
			return fmt.Errorf("%w: a lease with a key of %d and a value of %d bytes", boltfile.ErrDamaged, len(k), len(val))
		}
		l.until[leasedCoin(k)] = time.Unix(int64(binary.BigEndian.Uint64(val)), 0)
		return nil
	})
}

func leaseKey(coin wire.OutPoint) []byte {
	return binary.BigEndian.AppendUint32(coin.Hash[:], coin.Index)
}

// leasedCoin reads a key of [leaseKeySize] bytes.
func leasedCoin(k []byte) wire.OutPoint {
	coin := wire.OutPoint{Index: binary.BigEndian.Uint32(k[32:])}
	copy(coin.Hash[:], k)
	return coin
}

// hold leases coins until then, or as long as they are leased already.
func (l *leases) hold(coins []wire.OutPoint, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, coin := range coins {
		if l.until[coin].Before(until) {
			l.until[coin] = until
		}
	}
}

func (l *leases) release(coins []wire.OutPoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, coin := range coins {
		delete(l.until, coin)
	}
}

// keepOnly leases these coins until then. It releases all others whose leases last longer than
// soon. The remaining ones are coins of versions that were just built and are not stored yet.
func (l *leases) keepOnly(coins []wire.OutPoint, until, soon time.Time) {
	l.mu.Lock()
	maps.DeleteFunc(l.until, func(_ wire.OutPoint, until time.Time) bool { return until.After(soon) })
	l.mu.Unlock()
	l.hold(coins, until)
}

// snapshot returns the coins that are now leased.
func (l *leases) snapshot() map[wire.OutPoint]time.Time {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.until, func(_ wire.OutPoint, until time.Time) bool { return !until.After(now) })
	return maps.Clone(l.until)
}

// LeaseOnly makes these the only leased coins, besides those of versions that were built moments
// ago. It releases all other coins, as Release does. The leases count from the call on, in this
// process even if they cannot be stored.
func (w *Wallet) LeaseOnly(ctx context.Context, coins []wire.OutPoint) error {
	now := time.Now()
	until := now.Add(leaseFor)
	w.leases.keepOnly(coins, until, now.Add(holdFor))
	return w.storeLeases(ctx, "lease coins", func(v *vault, tx walletdb.ReadWriteTx) error {
		b := leaseBucket(tx)
		var others []wire.OutPoint
		err := b.ForEach(func(k, _ []byte) error {
			if coin := leasedCoin(k); !slices.Contains(coins, coin) {
				others = append(others, coin)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(others) > 0 {
			w.log.Info("releasing coins that no anchor in flight spends", "coins", len(others))
		}
		if err := putLeases(b, coins, until); err != nil {
			return err
		}
		return v.release(tx, others)
	})
}

// Lease keeps coins from every other use until Release, over restarts too. It is not an error to
// lease a coin again, or one that is not ours or not known yet. Without a wallet, the lease lasts
// until the process ends.
func (w *Wallet) Lease(ctx context.Context, coins []wire.OutPoint) error {
	until := time.Now().Add(leaseFor)
	w.leases.hold(coins, until)
	return w.storeLeases(ctx, "lease coins", func(_ *vault, tx walletdb.ReadWriteTx) error {
		return putLeases(leaseBucket(tx), coins, until)
	})
}

func putLeases(b walletdb.ReadWriteBucket, coins []wire.OutPoint, until time.Time) error {
	val := binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))
	for _, coin := range coins {
		if err := b.Put(leaseKey(coin), val); err != nil {
			return err
		}
	}
	return nil
}

// Release releases coins. A coin that is not leased is not an error. Anchors that spend one of them
// and that a reorganisation took out of their blocks count as given up.
func (w *Wallet) Release(ctx context.Context, coins []wire.OutPoint) error {
	w.leases.release(coins)
	return w.storeLeases(ctx, "release coins", func(v *vault, tx walletdb.ReadWriteTx) error { return v.release(tx, coins) })
}

// release removes stored leases.
func (v *vault) release(tx walletdb.ReadWriteTx, coins []wire.OutPoint) error {
	if len(coins) == 0 {
		return nil
	}
	b := leaseBucket(tx)
	for _, coin := range coins {
		if err := b.Delete(leaseKey(coin)); err != nil {
			return err
		}
	}
	return v.forget(tx.ReadWriteBucket(txBucket), coins)
}

func leaseBucket(tx walletdb.ReadWriteTx) walletdb.ReadWriteBucket {
	return tx.ReadWriteBucket(ourBucket).NestedReadWriteBucket(leasesKey)
}

func (w *Wallet) storeLeases(ctx context.Context, what string, change func(*vault, walletdb.ReadWriteTx) error) error {
	v, err := w.current()
	if err != nil {
		return nil // without a wallet there are no coins to store leases of
	}
	return doWithTimeout(ctx, w, what, func() error {
		return walletdb.Update(v.db, func(tx walletdb.ReadWriteTx) error { return change(v, tx) })
	})
}
