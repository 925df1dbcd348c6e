// Package headers checks chains of Bitcoin's block headers from the first block on, and reads and
// writes files of them.
//
// A chain that it accepts begins with the network's first block, and each header obeys every rule
// that headers alone can show. It names the header before it. Its difficulty is the one that the
// rules demand, and its hash meets it. Its time is later than the median of the eleven headers
// before, and not in the future. Its version is not outdated. Known blocks are where they should be
// (checkpoints). On public networks the chain also has as much work as Bitcoin's true chain is
// known to have (see [Chain.Enough]), so forging a chain costs as much as mining Bitcoin did.
//
// Headers cannot show that the blocks' transactions are valid, that signet's blocks are signed, or
// that no longer chain exists elsewhere.
//
// The package opens no file and asks no peer. It needs a few hundred kilobytes of memory, however
// long the chain is. Its promise to files is that of the format: see [Open].
package headers

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Size is the length of a header in bytes.
const Size = wire.MaxBlockHeaderPayload

// Chain is a chain of headers that were checked one after the other. It keeps only the headers that
// the rules look back at. It must not be used by several goroutines at once.
type Chain struct {
	params      *chaincfg.Params
	checkpoints map[int32]*chainhash.Hash
	latest      int64 // seconds since 1970: no header may have a later time

	height int32          // of the newest header; -1: there is none
	hash   chainhash.Hash // of the newest header
	work   *big.Int       // of all headers together
	recent [kept]node     // the newest ones, that of height h at h % kept

	claim claim // of the newest header
}

// claim is the meaning of a header's difficulty bits.
type claim struct {
	bits   uint32
	target [32]byte // the hash must not be higher; little endian, as hashes are
	work   *big.Int // how many hashes it takes on average
}

// New returns an empty chain for a network. Headers that are more than two hours later than now are
// refused.
func New(params *chaincfg.Params, now time.Time) *Chain {
	c := &Chain{
		params:      params,
		checkpoints: make(map[int32]*chainhash.Hash, len(params.Checkpoints)),
		latest:      now.Add(maxAhead).Unix(),
		height:      -1,
		work:        new(big.Int),
	}
	for _, p := range params.Checkpoints {
		c.checkpoints[p.Height] = p.Hash
	}
	return c
}

// ErrOtherNetwork is wrapped when the first header is that of another network.
var ErrOtherNetwork = errors.New("of another network")

// maxAhead is how far a block's time may lie in the future: two hours (Bitcoin Core,
// MAX_FUTURE_BLOCK_TIME).
const maxAhead = blockchain.MaxTimeOffsetSeconds * time.Second

// Height returns the height of the newest header, -1 when there is none.
func (c *Chain) Height() int64 { return int64(c.height) }

// Hash returns the hash of the newest header, in internal byte order.
func (c *Chain) Hash() chainhash.Hash { return c.hash }

// Time returns the time that the newest header claims.
func (c *Chain) Time() time.Time {
	if c.height < 0 {
		return time.Time{}
	}
	return time.Unix(c.at(c.height).time, 0).UTC()
}

// Work returns the number of hashes that it took on average to make the chain.
func (c *Chain) Work() *big.Int { return new(big.Int).Set(c.work) }

// Append checks the next header, given as its Size serialized bytes, and makes it the newest. If
// there is an error, the chain stays as it was.
func (c *Chain) Append(raw []byte) error {
	if len(raw) != Size {
		return fmt.Errorf("a header has %d bytes, not %d", Size, len(raw))
	}
	hash := hashOf(raw)
	height := c.height + 1
	h := parse(raw)
	if err := c.check(height, &hash, &h); err != nil {
		return fmt.Errorf("the header of block %d %w", height, err)
	}
	c.height, c.hash = height, hash
	c.work.Add(c.work, c.claim.work)
	c.recent[height%kept] = node{chain: c, height: height, bits: h.Bits, time: h.Timestamp.Unix()}
	return nil
}

// check returns what is wrong with a header, in words that continue "the header of block N …".
func (c *Chain) check(height int32, hash *chainhash.Hash, h *wire.BlockHeader) error {
	if height == 0 {
		if *hash != *c.params.GenesisHash {
			return c.foreign(hash)
		}
		c.claim = claimOf(h.Bits)
		return nil
	}
	if h.PrevBlock != c.hash {
		return fmt.Errorf("does not follow the one before: it names block %s as its parent, and that of height %d is %s", h.PrevBlock, height-1, c.hash)
	}
	if err := c.obeys(h); err != nil {
		return err
	}
	if h.Bits != c.claim.bits {
		c.claim = claimOf(h.Bits)
	}
	if above(hash, &c.claim.target) {
		return fmt.Errorf("has no proof of work: its hash is %s, too high for the difficulty that it claims (bits %08x)", hash, h.Bits)
	}
	if h.Timestamp.Unix() > c.latest {
		return fmt.Errorf("is dated %s, in the future: is the clock of this machine right?", h.Timestamp.UTC().Format(time.RFC3339))
	}
	if known := c.checkpoints[height]; known != nil && *known != *hash {
		return fmt.Errorf("is that of %s, and %s's block there is known to be %s", hash, c.params.Name, known)
	}
	return nil
}

// foreign returns what is wrong with a chain that does not begin with the network's first block.
func (c *Chain) foreign(first *chainhash.Hash) error {
	for _, p := range []*chaincfg.Params{&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.TestNet4Params, &chaincfg.SigNetParams,
		&chaincfg.RegressionNetParams, &chaincfg.SimNetParams} {
		if *p.GenesisHash == *first {
			return fmt.Errorf("is %w: it is the first one of %s, and headers of %s are wanted", ErrOtherNetwork, p.Name, c.params.Name)
		}
	}
	return fmt.Errorf("has the hash %s, and is not the first one of %s: the headers must begin with that", first, c.params.Name)
}

func claimOf(bits uint32) claim {
	cl := claim{bits: bits, work: blockchain.CalcWork(bits)}
	if t := blockchain.CompactToBig(bits); t.Sign() > 0 && t.BitLen() <= 256 {
		t.FillBytes(cl.target[:])
		for i, j := 0, len(cl.target)-1; i < j; i, j = i+1, j-1 {
			cl.target[i], cl.target[j] = cl.target[j], cl.target[i]
		}
	}
	return cl
}

// above compares two numbers of 256 bits, little endian.
func above(hash *chainhash.Hash, target *[32]byte) bool {
	for i := len(hash) - 1; i >= 0; i-- {
		if hash[i] != target[i] {
			return hash[i] > target[i]
		}
	}
	return false
}

func hashOf(raw []byte) chainhash.Hash {
	once := sha256.Sum256(raw)
	return sha256.Sum256(once[:])
}

// parse reads a header of Size bytes (Bitcoin Core, src/primitives/block.h). It is
// wire.BlockHeader's Deserialize, without a reader and its errors.
func parse(raw []byte) (h wire.BlockHeader) {
	h.Version = int32(binary.LittleEndian.Uint32(raw))
	copy(h.PrevBlock[:], raw[4:36])
	copy(h.MerkleRoot[:], raw[36:68])
	h.Timestamp = time.Unix(int64(binary.LittleEndian.Uint32(raw[68:])), 0)
	h.Bits = binary.LittleEndian.Uint32(raw[72:])
	h.Nonce = binary.LittleEndian.Uint32(raw[76:])
	return h
}

// Raw returns the Size bytes of a header.
func Raw(h *wire.BlockHeader) []byte {
	b := bytes.NewBuffer(make([]byte, 0, Size))
	_ = h.Serialize(b) // a buffer takes everything
	return b.Bytes()
}
