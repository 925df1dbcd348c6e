package harness

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Node is a Bitcoin node on regtest that serves compact filters. Both kinds have the same methods.
// The harness makes the blocks and gives them to the node, so both kinds mine alike. One goroutine
// at a time may use its methods.
type Node struct {
	Kind string // btcd or bitcoind
	Dir  string

	exe      string
	args     func(n *Node) []string
	more     []string // flags after those
	p2pPort  int
	rpcPort  int
	outlive  bool
	password string
	rpc      *rpcClient
	proc     *process
	miner    *miner
	mu       sync.Mutex
}

// startTries is how often a program is started, each time on new ports, while another program takes
// the ports first.
const startTries = 5

// firstBlocks are mined at the start: so many that the first one's coins can be spent, and that the
// chain is current.
const firstBlocks = 101

// StartBtcd starts btcd in dir. More flags come after ours, where they count.
func StartBtcd(ctx context.Context, exe, dir string, outlive bool, more ...string) (*Node, error) {
	return startNode(ctx, btcdNode(exe, dir, outlive, more...))
}

func btcdNode(exe, dir string, outlive bool, more ...string) *Node {
	return &Node{Kind: "btcd", Dir: dir, exe: exe, outlive: outlive, more: more, args: func(n *Node) []string {
		return []string{
			"--regtest", "--txindex", "--nobanning", "--nostalldetect", "--trickleinterval=100ms", "--notls", "--nodnsseed",
			"--configfile=" + filepath.Join(n.Dir, "btcd.conf"),
			"--datadir=" + filepath.Join(n.Dir, "data"),
			"--logdir=" + filepath.Join(n.Dir, "logs"),
			"--listen=" + loopback(n.p2pPort),
			"--rpclisten=" + loopback(n.rpcPort),
			"--rpcuser=" + rpcUser, "--rpcpass=" + n.password, "--miningaddr=" + n.miner.address,
		}
	}}
}

// FindBitcoind returns the path of bitcoind, or an error that says how to get one.
func FindBitcoind() (string, error) {
	exe, err := exec.LookPath("bitcoind")
	if err != nil {
		return "", errors.New("bitcoind is not on PATH: install Bitcoin Core or Knots to run this test against it too")
	}
	return exe, nil
}

// StartBitcoind starts bitcoind in dir. More flags come after ours, where they count.
func StartBitcoind(ctx context.Context, exe, dir string, outlive bool, more ...string) (*Node, error) {
	return startNode(ctx, &Node{Kind: "bitcoind", Dir: dir, exe: exe, outlive: outlive, more: more, args: func(n *Node) []string {
		return []string{
			"-regtest", "-blockfilterindex=1", "-peerblockfilters=1", "-fallbackfee=0.0001", "-disablewallet",
			"-datadir=" + n.Dir, "-server", "-printtoconsole", "-nodebuglogfile", "-dnsseed=0", "-discover=0", "-listenonion=0",
			"-dbcache=8",
			"-listen", fmt.Sprintf("-port=%d", n.p2pPort), "-bind=" + loopback(n.p2pPort),
			"-rpcbind=127.0.0.1", "-rpcallowip=127.0.0.1", fmt.Sprintf("-rpcport=%d", n.rpcPort),
			"-rpcuser=" + rpcUser, "-rpcpassword=" + n.password,
		}
	}})
}

const rpcUser = "harness"

func startNode(ctx context.Context, n *Node) (_ *Node, err error) {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return nil, err
	}
	if n.Kind == "btcd" { // it would make one with the home directory's paths in it
		if err := os.WriteFile(filepath.Join(n.Dir, "btcd.conf"), nil, 0o600); err != nil {
			return nil, err
		}
	}
	n.password = randomHex(16)
	if n.miner == nil {
		if n.miner, err = newMiner(); err != nil {
			return nil, err
		}
	}
	for try := 1; ; try++ {
		if n.p2pPort, err = FreePort(); err != nil {
			return nil, err
		}
		if n.rpcPort, err = FreePort(); err != nil {
			return nil, err
		}
		n.rpc = newRPCClient(loopback(n.rpcPort), func() (string, string, error) { return rpcUser, n.password, nil })
		if err = n.run(ctx); err == nil {
			break
		}
		if !portTaken(err) || try == startTries {
			return nil, err
		}
	}
	if len(n.miner.blocks) > 0 {
		err = n.regain(ctx)
	} else {
		err = n.Mine(ctx, firstBlocks, "")
	}
	if err != nil {
		return nil, errors.Join(err, n.Kill9())
	}
	return n, nil
}

// run starts the program on the ports that n names and waits until it answers and listens.
func (n *Node) run(ctx context.Context) error {
	proc, err := start(n.Kind, filepath.Join(n.Dir, n.Kind+".log"), n.outlive, environ(n.Dir), n.exe, append(n.args(n), n.more...)...)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.proc = proc
	n.mu.Unlock()
	err = proc.awaitUp(ctx, func(ctx context.Context) error {
		if _, err := n.Height(ctx); err != nil {
			return err
		}
		return dial(ctx, n.P2P())
	})
	if err != nil {
		return errors.Join(err, proc.kill())
	}
	return nil
}

// P2P is the address to which Bitcoin clients connect, as host:port. It stays the same over
// Restart.
func (n *Node) P2P() string { return loopback(n.p2pPort) }

// RPC is the address of its JSON-RPC, as host:port, with the credentials.
func (n *Node) RPC() (addr, user, password string) { return loopback(n.rpcPort), rpcUser, n.password }

// Stop asks the node to end, and waits.
func (n *Node) Stop() error { return n.process().stop() }

// Kill9 ends the node at once.
func (n *Node) Kill9() error { return n.process().kill() }

// Restart starts a stopped node again, on the same ports and with the same chain. btcd deletes its
// regtest chain at each start, and either node may have lost what it had not written when it was
// killed: it is given every block again.
func (n *Node) Restart(ctx context.Context) error {
	if n.process().running() {
		return fmt.Errorf("%s is still running", n.Kind)
	}
	if err := n.run(ctx); err != nil {
		return err
	}
	return n.regain(ctx)
}

// regain gives the node the blocks that it does not have.
func (n *Node) regain(ctx context.Context) error {
	if tip, err := n.Height(ctx); err != nil || tip == n.miner.height {
		return err
	}
	for _, block := range n.miner.blocks {
		if err := n.submit(ctx, block); err != nil {
			return err
		}
	}
	tip, err := n.Height(ctx)
	if err == nil && tip != n.miner.height {
		err = fmt.Errorf("%s came back with height %d, want %d", n.Kind, tip, n.miner.height)
	}
	return err
}

// SetFlags replaces the flags that come after the harness's own, from the next start on.
func (n *Node) SetFlags(more ...string) { n.more = more }

// MineCommand is a command line that has btcd mine a block, for a person, after this process has
// ended.
func (n *Node) MineCommand() string {
	return fmt.Sprintf(`curl -su %s:%s -d '{"method":"generate","params":[1],"id":1}' http://%s/`, rpcUser, n.password, loopback(n.rpcPort))
}

// PID is the running process.
func (n *Node) PID() int { return n.process().cmd.Process.Pid }

// Log returns the last lines that the node wrote.
func (n *Node) Log(lines int) string { return tail(filepath.Join(n.Dir, n.Kind+".log"), lines) }

func (n *Node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.proc
}

// Height is that of the newest block.
func (n *Node) Height(ctx context.Context) (height int32, err error) {
	return height, n.rpc.call(ctx, &height, "getblockcount")
}

// Call calls a method of the node over JSON-RPC, and decodes the answer into result unless that is
// nil. A refusal of the node is an [RPCError].
func (n *Node) Call(ctx context.Context, result any, method string, params ...any) error {
	return n.rpc.call(ctx, result, method, params...)
}

// HashAt returns the hash of the active chain's block at a height.
func (n *Node) HashAt(ctx context.Context, height int32) (chainhash.Hash, error) {
	var text string
	if err := n.rpc.call(ctx, &text, "getblockhash", height); err != nil {
		return chainhash.Hash{}, err
	}
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil {
		return chainhash.Hash{}, err
	}
	return *hash, nil
}

// BlockAt returns the active chain's block at a height.
func (n *Node) BlockAt(ctx context.Context, height int32) (*wire.MsgBlock, error) {
	hash, err := n.HashAt(ctx, height)
	if err != nil {
		return nil, err
	}
	var text string
	if err := n.rpc.call(ctx, &text, "getblock", hash.String(), 0); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	block := new(wire.MsgBlock)
	return block, block.Deserialize(bytes.NewReader(raw))
}

// Mempool returns the ids of the transactions in the mempool.
func (n *Node) Mempool(ctx context.Context) (txids []string, err error) {
	return txids, n.rpc.call(ctx, &txids, "getrawmempool")
}

// MempoolTx returns a transaction of the mempool.
func (n *Node) MempoolTx(ctx context.Context, txid string) (*wire.MsgTx, error) {
	var text string
	if err := n.rpc.call(ctx, &text, "getrawtransaction", txid, 0); err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	tx := new(wire.MsgTx)
	return tx, tx.Deserialize(bytes.NewReader(raw))
}

// Peers returns the number of the node's connections.
func (n *Node) Peers(ctx context.Context) (count int, err error) {
	return count, n.rpc.call(ctx, &count, "getconnectioncount")
}

// Payment is a mined transaction that carries an anchor root.
type Payment struct {
	TxID    string
	Root    [32]byte
	Height  int32
	Block   chainhash.Hash
	Spends  []wire.OutPoint
	FeeSats int64 // what its inputs hold more than its outputs, both read from the blocks
}

// Payments reads every block and returns each transaction with an output OP_RETURN <32 bytes>: what
// was really paid, whatever the daemon says.
func (n *Node) Payments(ctx context.Context) ([]Payment, error) {
	height, err := n.Height(ctx)
	if err != nil {
		return nil, err
	}
	var found []Payment
	worth := make(map[wire.OutPoint]int64)
	for h := int32(1); h <= height; h++ {
		block, err := n.BlockAt(ctx, h)
		if err != nil {
			return nil, err
		}
		for i, tx := range block.Transactions {
			p := Payment{TxID: tx.TxHash().String(), Height: h, Block: block.BlockHash()}
			for _, in := range tx.TxIn {
				p.Spends = append(p.Spends, in.PreviousOutPoint)
				p.FeeSats += worth[in.PreviousOutPoint]
			}
			for j, out := range tx.TxOut {
				worth[wire.OutPoint{Hash: tx.TxHash(), Index: uint32(j)}] = out.Value
				p.FeeSats -= out.Value
			}
			var ok bool
			if p.Root, ok = AnchorRoot(tx); ok && i > 0 {
				found = append(found, p)
			}
		}
	}
	return found, nil
}

// AnchorRoot returns what the transaction's first output commits to, if that is OP_RETURN <32
// bytes>.
func AnchorRoot(tx *wire.MsgTx) (root [32]byte, ok bool) {
	const opReturn, push32 = 0x6a, 0x20
	script := tx.TxOut[0].PkScript
	if len(script) != 34 || script[0] != opReturn || script[1] != push32 {
		return root, false
	}
	return [32]byte(script[2:]), true
}
