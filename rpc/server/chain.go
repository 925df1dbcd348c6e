package server

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"ancre/headers"
	"ancre/rpc"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

func getBlockCount(c *call) (any, error) {
	height, _, err := c.Chain.Best()
	return height, err
}

func getBestBlockHash(c *call) (any, error) {
	_, hash, err := c.Chain.Best()
	return hash.String(), err
}

func getBlockHash(c *call) (any, error) {
	height := c.get("height").number
	best, _, err := c.Chain.Best()
	if err != nil {
		return nil, err
	}
	if height > int64(best) {
		return nil, errorf(rpc.CodeInvalidParameter, "Block height out of range: %d; the newest block is %d", height, best)
	}
	hash, err := c.Chain.HashAt(int32(height))
	return hash.String(), err
}

func getBlockHeader(c *call) (any, error) {
	hash := chainhash.Hash(c.get("blockhash").bytes)
	verbose := c.get("verbose").flag
	header, height, err := c.Chain.Header(hash)
	if errors.Is(err, headers.ErrNotFound) {
		return nil, errorf(rpc.CodeNotFound, "Block not found")
	}
	if err != nil {
		return nil, err
	}
	if !verbose {
		var b bytes.Buffer
		if err := header.Serialize(&b); err != nil {
			return nil, err
		}
		return hex.EncodeToString(b.Bytes()), nil
	}

	info := rpc.HeaderInfo{
		Hash:          hash.String(),
		Confirmations: -1, // what bitcoind shows for a block outside the active chain
		Height:        height,
		Version:       header.Version,
		VersionHex:    fmt.Sprintf("%08x", uint32(header.Version)),
		MerkleRoot:    header.MerkleRoot.String(),
		Time:          header.Timestamp.Unix(),
		Nonce:         header.Nonce,
		Bits:          fmt.Sprintf("%08x", header.Bits),
		Difficulty:    headers.Difficulty(header.Bits),
	}
	if height > 0 {
		info.PreviousBlockHash = header.PrevBlock.String()
	}
	if info.MedianTime, err = headers.MedianTime(c.Chain, header); err != nil {
		return nil, err
	}
	return info, c.placeInChain(&info, hash)
}

// placeInChain adds what depends on the blocks above, if the block is in the active chain.
func (c *call) placeInChain(info *rpc.HeaderInfo, hash chainhash.Hash) error {
	best, _, err := c.Chain.Best()
	if err != nil || info.Height > best {
		return err
	}
	if active, err := c.Chain.HashAt(info.Height); err != nil || active != hash {
		return nil
	}
	info.Confirmations = best - info.Height + 1
	if info.Height < best {
		if next, err := c.Chain.HashAt(info.Height + 1); err == nil {
			info.NextBlockHash = next.String()
		}
	}
	return nil
}

func getBlockchainInfo(c *call) (any, error) {
	info, err := c.Node.Info(c.ctx)
	if err != nil {
		return nil, err
	}
	best, hash, err := c.Chain.Best()
	if err != nil {
		return nil, err
	}
	header, _, err := c.Chain.Header(hash)
	if err != nil {
		return nil, err
	}
	median, err := headers.MedianTime(c.Chain, header)
	if err != nil {
		return nil, err
	}
	chain := info.Network
	if chain == "mainnet" {
		chain = "main"
	}
	return rpc.BlockchainInfo{
		Chain:                chain,
		Blocks:               best,
		Headers:              max(info.Chain.HeadersHeight, best),
		BestBlockHash:        hash.String(),
		Bits:                 fmt.Sprintf("%08x", header.Bits),
		Difficulty:           headers.Difficulty(header.Bits),
		Time:                 header.Timestamp.Unix(),
		MedianTime:           median,
		VerificationProgress: info.Chain.Progress,
		InitialBlockDownload: !info.Chain.Synced,
		Pruned:               true,
		Warnings:             c.warnings(info),
	}, nil
}

// warnings returns the daemon's warnings for those who may read them. They hold the balance and an
// address of the wallet; others get none.
func (c *call) warnings(info rpc.Info) []string {
	if !(rpc.Roles{rpc.RoleRead}).Allow(c.roles) {
		return []string{}
	}
	return append([]string{}, info.Warnings...)
}

// minRelayFee is bitcoind's default, 1 sat/vB, in BTC per 1,000 vB. No transaction of this node
// pays less.
const minRelayFee = 0.00001

func getNetworkInfo(c *call) (any, error) {
	info, err := c.Node.Info(c.ctx)
	if err != nil {
		return nil, err
	}
	return rpc.NetworkInfo{
		Version:         versionNumber(info.Version),
		SubVersion:      "/ancred:" + info.Version + "/",
		ProtocolVersion: wire.ProtocolVersion,
		NetworkActive:   true,
		Connections:     len(info.Chain.Peers),
		ConnectionsOut:  len(info.Chain.Peers),
		Networks:        []string{},
		RelayFee:        minRelayFee,
		IncrementalFee:  minRelayFee,
		Warnings:        c.warnings(info),
	}, nil
}

// versionNumber writes a version as bitcoind does: 10,000 for each major one, 100 for each minor
// one. What follows the three numbers is left out.
func versionNumber(version string) int {
	var major, minor, patch int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch)
	return major*10_000 + minor*100 + patch
}
