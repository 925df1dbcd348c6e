package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

const (
	// fundSats is sent to the wallet: more than three hundred anchors at the lowest fee.
	fundSats = 50_000

	// confirmations is the default of anchor.confirmations.
	confirmations = 6

	// theFile is the file that the demo follows.
	theFile = "README.md"
)

// candidates are the files to stamp, as far as they exist in the repository.
var candidates = []string{theFile, "LICENSE", "go.mod", "go.sum", "Makefile", "sample.conf"}

func (s *stage) startPrograms(ctx context.Context, bin harness.Binaries) (err error) {
	s.heading("A Bitcoin node and Ancre's daemon start")
	s.say("The node is btcd, on a private network (regtest) where the demo makes blocks when it needs them. On the real\n" +
		"network a block arrives about every ten minutes. Everything else is the same.")
	if s.node, err = harness.StartBtcd(ctx, bin.Btcd, filepath.Join(s.state, "btcd"), s.keep); err != nil {
		return err
	}
	daemon, err := harness.NewDaemon(bin, s.node, filepath.Join(s.state, "ancre"), s.keep)
	if err != nil {
		return err
	}
	daemon.Config = filepath.Join(daemon.DataDir, "ancre.conf") // its default place
	if err := os.Mkdir(daemon.DataDir, 0o700); err != nil {
		return err
	}
	secret := filepath.Join(s.state, "passphrase")
	if err := os.WriteFile(secret, []byte("this protects play money\n"), 0o600); err != nil {
		return err
	}
	daemon.Set("wallet", "passphrase_file", fmt.Sprintf("%q", secret))
	s.daemon = daemon
	if err := daemon.Start(ctx); err != nil {
		return err
	}
	if err := daemon.AwaitHeight(ctx, s.node); err != nil {
		return err
	}
	s.show("ancred --datadir "+daemon.DataDir, "")
	s.say("ancred downloads block headers and compact filters, not the whole chain. It needs no full node.\n" +
		"The demo passes the same --datadir to each command below. With the default directory you need no flag.")
	return s.ancre(ctx, 0, "", "status")
}

func (s *stage) makeWallet(ctx context.Context) error {
	s.heading("A small wallet for the fees")
	created, err := s.run(ctx, 0, "", "wallet", "create")
	if err != nil {
		return err
	}
	s.show("ancre wallet create", created.Stdout)
	s.say("The 24 words are the wallet: they restore it here or in any common Bitcoin wallet, so keep them on paper. Below\n" +
		"them is an address. The demo sends 50,000 satoshi (0.0005 BTC) to it, and a block confirms the payment.")
	lines := strings.Fields(created.Stdout)
	if err := s.node.Fund(ctx, lines[len(lines)-1], fundSats); err != nil {
		return err
	}
	if _, err := s.daemon.AwaitInfo(ctx, "the wallet to have what it was sent", func(i rpc.Info) bool {
		return i.Wallet.SpendableSats == fundSats && i.Wallet.State == "ready"
	}); err != nil {
		return err
	}
	return s.ancre(ctx, 0, "", "wallet", "balance")
}

func (s *stage) stampFiles(ctx context.Context) error {
	s.heading("Files are stamped")
	var names []string
	for _, name := range candidates {
		content, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) && name != theFile {
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: run this in the repository's root", err)
		}
		if err := os.WriteFile(filepath.Join(s.files, name), content, 0o600); err != nil {
			return err
		}
		names = append(names, name)
	}
	s.say("The files are copies from this repository. Only their SHA-256 goes to the daemon. It answers at once, with a\n" +
		"pending proof for each: the hash is on disk, and no crash loses it.")
	if err := s.ancre(ctx, 0, "", append([]string{"stamp"}, names...)...); err != nil {
		return err
	}
	s.say("Nothing is proven yet, and ancre verify says so (exit status 3: not yet).")
	return s.ancre(ctx, 3, "", "verify", theFile+".ots")
}

func (s *stage) payOnce(ctx context.Context) error {
	s.heading("One payment for all of them")
	s.say("By default the daemon closes a batch six hours after its first hash, so it pays at most four times a day. The\n" +
		"demo tells it to close the batch now. All hashes become one Merkle root, in one small transaction.")
	if err := s.ancre(ctx, 0, "", "rpc", "closebatch"); err != nil {
		return err
	}
	anchor, err := s.awaitAnchor(ctx, "broadcast")
	if err != nil {
		return err
	}
	if err := harness.Await(ctx, "the payment to reach the node", func(ctx context.Context) (bool, string, error) {
		waiting, err := s.node.Mempool(ctx)
		return slices.Contains(waiting, anchor.TxID), strings.Join(waiting, " "), err
	}); err != nil {
		return err
	}
	s.say("The node has transaction %s.\nIts fee is %d satoshi. For a million files the fee would be the same.", anchor.TxID, anchor.FeeSats)
	return nil
}

// awaitAnchor waits until the only anchor is in a state.
func (s *stage) awaitAnchor(ctx context.Context, state string) (a rpc.Anchor, err error) {
	err = harness.Await(ctx, "the anchor to be "+state, func(ctx context.Context) (bool, string, error) {
		var anchors []rpc.Anchor
		if err := s.daemon.Call(ctx, &anchors, "listanchors"); err != nil || len(anchors) == 0 {
			return false, "no anchor", err
		}
		a = anchors[0]
		return a.State == state, a.State, nil
	})
	return a, err
}

func (s *stage) mineToFinal(ctx context.Context) error {
	s.heading("Blocks are mined on top")
	s.say("Six blocks make the payment final. On the real network they take about an hour.\n")
	for n := 1; n <= confirmations; n++ {
		if err := s.node.Mine(ctx, 1, ""); err != nil {
			return err
		}
		if err := s.daemon.AwaitHeight(ctx, s.node); err != nil {
			return err
		}
		state := "mined"
		if n == confirmations {
			state = "final"
		}
		a, err := s.awaitAnchor(ctx, state)
		if err != nil {
			return err
		}
		s.line("%d of %d   the payment is in block %d: %s", n, confirmations, a.Height, a.State)
	}
	payments, err := s.node.Payments(ctx)
	if err != nil {
		return err
	}
	if len(payments) != 1 {
		return fmt.Errorf("the node has mined %d payments, want 1", len(payments))
	}
	return s.ancre(ctx, 0, "", "batches")
}

func (s *stage) completeProofs(ctx context.Context) error {
	s.heading("The proofs are completed, and verified")
	s.say("A complete proof holds the whole way from the file's hash to the block's header. To verify it, one needs the\n" +
		"file and Bitcoin's headers: neither this daemon, nor its operator, nor any web service.")
	if err := s.ancre(ctx, 0, "", "upgrade", "-r", "."); err != nil {
		return err
	}
	return s.ancre(ctx, 0, "valid", "verify", "-r", ".")
}

func (s *stage) refuseForgeries(ctx context.Context) error {
	s.heading("A changed file and a changed proof are refused")
	path := filepath.Join(s.files, theFile)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed := filepath.Join(s.files, "changed.md")
	if err := os.WriteFile(changed, append(content, '.'), 0o600); err != nil {
		return err
	}
	s.say("The demo adds a full stop at the end of %s. The proof no longer fits (exit status 1).", theFile)
	if err := s.ancre(ctx, 1, "invalid", "verify", "-f", "changed.md", theFile+".ots"); err != nil {
		return err
	}

	proof, err := os.ReadFile(path + ".ots")
	if err != nil {
		return err
	}
	const nonce = 33 + 32 + 2 // bytes: magic, version, hash operation; digest; the operation and the length of the nonce
	proof[nonce+16] ^= 1
	forged := filepath.Join(s.files, "forged.ots")
	if err := os.WriteFile(forged, proof, 0o600); err != nil {
		return err
	}
	s.say("The demo changes one bit of the proof. The proof no longer leads to a block.")
	if err := s.ancre(ctx, 1, "invalid", "verify", "-f", theFile, "forged.ots"); err != nil {
		return err
	}
	return errors.Join(os.Remove(changed), os.Remove(forged))
}

// headersFile has the headers of the private network's blocks, and lies beside the proofs.
const headersFile = "private.headers"

// verifyOffline leaves behind what verifies the proofs when the private network is gone.
func (s *stage) verifyOffline(ctx context.Context) error {
	s.heading("Verified without the daemon and without a network")
	s.say("A file with the headers of all blocks is enough, kept beside the proofs. On the real network anybody can have\n" +
		"these headers from anywhere. Here only the demo has them, and the network ends with it.")
	if err := s.ancre(ctx, 0, "", "headers", "export", headersFile); err != nil {
		return err
	}
	return s.ancre(ctx, 0, "valid", "verify", "--headers", headersFile, theFile+".ots")
}

// close ends the demo: it says where the proofs are and how to verify them and, if the node and the
// daemon keep running, how to use and stop them.
func (s *stage) close() error {
	backups, err := filepath.Glob(filepath.Join(s.files, "*.ots.bak"))
	if err != nil {
		return err
	}
	for _, name := range backups { // the pending proofs
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	proofs, err := filepath.Glob(filepath.Join(s.files, "*.ots"))
	if err != nil {
		return err
	}
	if len(proofs) == 0 {
		return errors.New("there are no proofs")
	}
	s.heading(fmt.Sprintf("Done, in %d seconds", int(time.Since(s.began).Seconds())))
	if s.keep {
		s.sayKept()
	}
	s.say("%d files with complete proofs:\n", len(proofs))
	for _, name := range proofs {
		s.line("%s", name)
	}
	s.say("To verify them, now or next year, with no daemon and no network:\n")
	s.line("cd %s", s.files)
	s.line("%s --network %s verify --headers %s -r .", ancrePath(), harness.Network, headersFile)
	return nil
}

// ancrePath is where the command lies that the demo runs.
func ancrePath() string {
	exe, err := os.Executable()
	if err != nil {
		exe = filepath.Join("bin", "demo")
	}
	return filepath.Join(filepath.Dir(exe), "ancre")
}

func (s *stage) sayKept() {
	ancre := ancrePath()
	s.say("The programs keep running. The council's public page:\n")
	s.line("%s", s.pageAddress())
	s.say("To see the state of the daemon, to stamp, and to close the batch:\n")
	for _, verb := range []string{"status", "stamp FILE", "rpc closebatch"} {
		s.line("%s --datadir %s %s", ancre, s.daemon.DataDir, verb)
	}
	s.say("To add a document to the meeting:\n")
	s.line("%s-register --config %s add FILE --meeting %s --kind annex --publish", ancre, s.register.Config, s.meeting)
	s.say("To mine a block:\n\n%s", s.node.MineCommand())
	s.say("To stop the programs and remove everything:\n\nkill %d %d %d; sleep 3; rm -r %s %s",
		s.register.PID(), s.daemon.PID(), s.node.PID(), s.state, s.files)
}

// ancre runs the command in the folder of the files and shows it. It expects an exit status, and a
// word in the answer.
func (s *stage) ancre(ctx context.Context, status int, word string, args ...string) error {
	res, err := s.run(ctx, status, word, args...)
	if err != nil {
		return err
	}
	s.show("ancre "+strings.Join(args, " "), compact(res.Stdout))
	return nil
}

func (s *stage) run(ctx context.Context, status int, word string, args ...string) (harness.Result, error) {
	res, err := s.daemon.AncreIn(ctx, s.files, nil, args...)
	if err != nil {
		return res, err
	}
	if res.Code != status || !strings.Contains(res.Stdout, word) {
		return res, fmt.Errorf("ancre %s: exit status %d, want %d and %q\n%s%s", strings.Join(args, " "), res.Code, status, word, res.Stdout, res.Stderr)
	}
	return res, nil
}

// compact puts a JSON answer on one line.
func compact(answer string) string {
	var line bytes.Buffer
	if json.Compact(&line, []byte(answer)) != nil {
		return answer
	}
	return line.String()
}
