package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"ancre/itest/harness"
	"ancre/spv"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // neutrino's database
	"github.com/lightninglabs/neutrino"
)

// syncBlocks is the length of the chain that light clients sync.
const syncBlocks = 200_000

// syncTarget is our speed ÷ plain neutrino's.
const syncTarget = 0.9

// The three ways to come to all headers.
const (
	syncOurs   = "ours"
	syncPlain  = "neutrino"
	syncImport = "import"
)

// syncJob is the work of one light client, which has a process of its own: neutrino keeps its
// settings in package variables, and memory is best measured alone. It is passed as JSON.
type syncJob struct {
	Way    string
	Dir    string
	Peer   string
	Height int32
	Files  []string // to import, or to export to
}

// syncResult is what a light client's process prints.
type syncResult struct {
	Seconds float64 // from the opening of an empty directory to the last filter header
	Memory  uint64  // the most that was held, in bytes; 0: not known

	cpu time.Duration // of the whole process
}

// measureHeaders has our light client and plain neutrino sync the same chain from the same btcd, in
// turns, each from an empty directory. It also imports that chain from files. dir holds the
// programs, and everything that is written.
func measureHeaders(ctx context.Context, o options, dir string) (rows []row, err error) {
	bins, err := harness.In(dir)
	if err != nil {
		return nil, err
	}
	height, rounds := int32(syncBlocks), min(o.rounds, 3)
	if o.short {
		height, rounds = 2000, 1
	}
	dir = filepath.Join(dir, "headers")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	node, err := harness.StartBtcd(ctx, bins.Btcd, filepath.Join(dir, "btcd"), false, "--debuglevel=warn")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\nthe end of btcd's log:\n%s", err, node.Log(10))
		}
		err = errors.Join(err, node.Kill9())
	}()
	fmt.Printf("Making a chain of %s blocks.\n", count(uint64(height)))
	if err := makeChain(ctx, node, height); err != nil {
		return nil, err
	}

	speeds := make(map[string][]float64) // blocks a second
	memory := make(map[string][]float64) // MB
	cpu := make(map[string][]float64)    // seconds
	files := []string{filepath.Join(dir, "block.headers"), filepath.Join(dir, "filter.headers")}
	for round := range rounds {
		order := []string{syncPlain, syncOurs, syncImport}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, way := range order {
			job := syncJob{Way: way, Dir: filepath.Join(dir, "client"), Peer: node.P2P(), Height: height}
			if way == syncImport || way == syncOurs && round == 0 {
				job.Files = files
			}
			r, err := syncElsewhere(ctx, job)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			speeds[way] = append(speeds[way], float64(height)/r.Seconds)
			memory[way] = append(memory[way], float64(r.Memory)/1e6)
			cpu[way] = append(cpu[way], r.cpu.Seconds())
			if err := os.RemoveAll(job.Dir); err != nil {
				return nil, err
			}
		}
	}
	size := count(uint64(height))
	synced := inTurns("header sync, "+size+" blocks", "blocks/s", speeds[syncOurs], speeds[syncPlain], atLeast(ratio, syncTarget))
	synced.detail = fmt.Sprintf("beside plain neutrino, headers and filter headers from one btcd; %.1f s; CPU %.1f s, neutrino's %.1f s",
		float64(height)/synced.ours, middle(cpu[syncOurs]), middle(cpu[syncPlain]))
	held := inTurns("header sync, memory", "MB", memory[syncOurs], memory[syncPlain], target{})
	if held.detail = "peak, beside plain neutrino"; held.ours == 0 {
		held.absent = "what a process holds is not told on this system"
	}
	imported := inTurns("header import, "+size+" blocks", "blocks/s", speeds[syncImport], speeds[syncPlain], target{})
	imported.detail = fmt.Sprintf("spv.headers_import, beside plain neutrino's sync; %.1f s, %.0f MB", float64(height)/imported.ours, middle(memory[syncImport]))
	return []row{synced, held, imported}, nil
}

// syncElsewhere runs the job in a process of its own.
func syncElsewhere(ctx context.Context, job syncJob) (r syncResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	text, err := json.Marshal(job)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, syncCommand, string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, json.Unmarshal(out, &r)
}

// syncCommand makes this program a light client.
const syncCommand = "sync-headers"

// serveSync does a job and prints its result.
func serveSync(text string) error {
	var job syncJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if err := os.MkdirAll(job.Dir, 0o700); err != nil {
		return err
	}
	do := job.ours
	if job.Way == syncPlain {
		do = job.plain
	}
	r, err := do(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// await returns once the chain is as high as the peer's.
func (job *syncJob) await(ctx context.Context, height func() (int32, error)) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		now, err := height()
		if err != nil || now >= job.Height {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("it only reached block %d: %w", now, ctx.Err())
		}
	}
}

func (job *syncJob) result(begun time.Time) (syncResult, error) {
	took := time.Since(begun)
	held, err := memoryOf(os.Getpid(), "VmHWM")
	return syncResult{Seconds: took.Seconds(), Memory: held}, err
}

// plain is neutrino without changes.
func (job *syncJob) plain(ctx context.Context) (r syncResult, err error) {
	begun := time.Now()
	db, err := walletdb.Create("bdb", filepath.Join(job.Dir, "neutrino.db"), true, time.Minute, false)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	cs, err := neutrino.NewChainService(neutrino.Config{
		DataDir: job.Dir, Database: db, ChainParams: chaincfg.RegressionNetParams, ConnectPeers: []string{job.Peer},
	})
	if err != nil {
		return r, err
	}
	if err := cs.Start(ctx); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, cs.Stop()) }()
	err = job.await(ctx, func() (int32, error) {
		best, err := cs.BestBlock()
		if err != nil {
			return 0, err
		}
		return best.Height, nil
	})
	if err != nil {
		return r, err
	}
	return job.result(begun)
}

// ours is this program's light client.
func (job *syncJob) ours(ctx context.Context) (r syncResult, err error) {
	begun := time.Now()
	cfg := spv.Config{Params: &chaincfg.RegressionNetParams, Dir: job.Dir, Connect: []string{job.Peer}}
	if job.Way == syncImport {
		cfg.HeadersImport = job.Files
	}
	c, err := spv.Open(cfg)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Start(ctx); err != nil {
		return r, err
	}
	err = job.await(ctx, func() (int32, error) {
		height, _, err := c.Best()
		return height, err
	})
	if err != nil {
		return r, err
	}
	if r, err = job.result(begun); err != nil {
		return r, err
	}
	if job.Way == syncOurs && len(job.Files) == 2 {
		_, err = c.ExportHeaders(ctx, job.Files[0], job.Files[1])
	}
	return r, err
}

// makeChain gives a node a chain up to a height, with a block every ten minutes and the newest now.
// The node itself would date its blocks one second after the other, and soon in the future. The
// chain replaces the node's own, which has less work.
func makeChain(ctx context.Context, node *harness.Node, height int32) error {
	params := &chaincfg.RegressionNetParams
	script, err := txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(make([]byte, 20)).Script() // nobody's key
	if err != nil {
		return err
	}
	target := blockchain.CompactToBig(params.PowLimitBits)
	parent, now := *params.GenesisHash, time.Now().Truncate(time.Second)
	const most = 500 // blocks in one call
	var calls []map[string]any
	for h := int32(1); h <= height; h++ {
		heightScript, err := txscript.NewScriptBuilder().AddInt64(int64(h)).AddData([]byte("bench")).Script()
		if err != nil {
			return err
		}
		coinbase := wire.NewMsgTx(2)
		coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex), heightScript, nil))
		coinbase.AddTxOut(wire.NewTxOut(blockchain.CalcBlockSubsidy(h, params), script))
		block := wire.NewMsgBlock(&wire.BlockHeader{
			Version: 0x20000000, PrevBlock: parent, MerkleRoot: coinbase.TxHash(),
			Timestamp: now.Add(time.Duration(h-height) * 10 * time.Minute), Bits: params.PowLimitBits,
		})
		if err := block.AddTransaction(coinbase); err != nil {
			return err
		}
		for parent = block.BlockHash(); blockchain.HashToBig(&parent).Cmp(target) > 0; parent = block.BlockHash() {
			block.Header.Nonce++
		}
		var raw bytes.Buffer
		if err := block.Serialize(&raw); err != nil {
			return err
		}
		calls = append(calls, map[string]any{"jsonrpc": "2.0", "id": h, "method": "submitblock", "params": []string{hex.EncodeToString(raw.Bytes())}})
		if len(calls) == most || h == height {
			if err := submitBlocks(ctx, node, calls); err != nil {
				return fmt.Errorf("blocks up to %d: %w", h, err)
			}
			calls = calls[:0]
		}
	}
	got, err := node.HashAt(ctx, height)
	if err == nil && got != parent {
		err = fmt.Errorf("btcd did not take the chain: its block %d is %s, and not %s", height, got, parent)
	}
	return err
}

// submitBlocks submits many blocks at once: btcd accepts no second call over the same connection.
func submitBlocks(ctx context.Context, node *harness.Node, calls []map[string]any) error {
	body, err := json.Marshal(calls)
	if err != nil {
		return err
	}
	addr, user, password := node.RPC()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(user, password)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var answers []struct{ Error *harness.RPCError }
	if err := json.NewDecoder(resp.Body).Decode(&answers); err != nil {
		return fmt.Errorf("%s: %w", resp.Status, err)
	}
	for _, a := range answers {
		if a.Error != nil {
			return a.Error
		}
	}
	return nil
}
