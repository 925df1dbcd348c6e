package spv

// A peer sends a feefilter message (BIP133) to say below which fee rate it does not want to be told
// of transactions. Bitcoin Core sends it right after the handshake, before neutrino lets anyone
// listen. It sends the next one only when the rate has changed, after some ten minutes. So the
// message is read off the connection as it passes. btcd sends none.

const (
	feeFilterSize = 8 // the payload: sat/kvB, little endian

	// noRelay is the rate, in sat/kvB, from which a feefilter is not a price. While Bitcoin Core
	// syncs it wants no transactions, and sends the highest step of its scale, which lies between
	// 9,090,909 and 10,000,000.
	noRelay = 9_000_000

	// noFeeFilter stands for a peer that has sent none.
	noFeeFilter = -1
)

// feeFilter returns the fee filter, in sat/kvB, that a peer has sent on its present connection.
// addr is the address by which neutrino knows the peer. told is false when the peer has sent none,
// or one that cannot be a price.
func (d *dialer) feeFilter(addr string) (satPerKvB int64, told bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h := range d.open {
		if v := h.satPerKvB.Load(); h.addr == addr && v >= 0 && v < noRelay {
			return v, true
		}
	}
	return 0, false
}
