package itest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/rpc"
)

// clients are other people's programs, and the daemon that they speak with.
type clients struct {
	*world
	verifier, clerk *url.Userinfo // users of the roles read and submit

	proven rpc.Entry // a digest that is final
	proof  string    // the file with its complete proof

	// What the node's blocks hold around it.
	transactions map[string]minedTx // by id
	roots        map[string]string  // Merkle roots by height
	coinbase     string             // one of the transactions
}

func (c clients) in(t *testing.T) clients {
	c.world = c.world.in(t)
	return c
}

// Other people's programs, unchanged: they stamp at our calendar, upgrade, verify through our explorer's routes and, with the least role
// that may, through our bitcoind's calls; and they judge our receipts. One daemon and one batch for all of them.
func TestOtherPeoplesClients(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	c := clients{world: newWorld(t, "btcd")}
	var lines [2]string
	c.verifier, lines[0] = c.user("verifier", rpc.RoleRead)
	c.clerk, lines[1] = c.user("clerk", rpc.RoleSubmit)
	c.daemon.Set("rpc", "auth", fmt.Sprintf("[%q, %q]", lines[0], lines[1]))
	c.startFunded()

	var batch []rpc.Entry // five, so that a path has steps on both sides, and one that is carried up
	c.call(&batch, "submitbatch", []string{randomDigest(), randomDigest(), randomDigest(), randomDigest(), randomDigest()})
	c.proven = batch[2]
	c.call(nil, "closebatch")
	c.awaitInMempool(c.awaitState(c.proven.Digest, "broadcast").TxID)
	c.mine(6)
	c.proven = c.awaitState(c.proven.Digest, "final")
	var p rpc.Proof
	c.call(&p, "getproof", c.proven.Digest)
	raw, err := base64.StdEncoding.DecodeString(p.Proof)
	c.must(err)
	c.proof = c.writeFile("proven.ots", string(raw))
	c.look()

	for name, test := range map[string]func(clients){
		"npm opentimestamps at a node":    clients.npmVerifiesAtNode,
		"python-opentimestamps at a node": clients.pythonVerifiesAtNode,
		"receipts of version 2":           clients.receipts2,
		"receipts of version 4":           clients.receipts4,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(c.in(t))
		})
	}
}

// user makes one as `ancre auth` does; the line is for the configuration.
func (c clients) user(name string, role rpc.Role) (*url.Userinfo, string) {
	c.Helper()
	line, password, err := rpc.NewUser(name, role)
	c.must(err)
	return url.UserPassword(name, password), line
}

// installed is where `make clients` puts the packages that clients/package-lock.json pins.
const installed = "../bin/clients"

// npm runs a program of node's with those packages. What it prints on standard output comes back, and an error holds all that it said.
// Without them the test is skipped.
func (c clients) npm(home string, stdin []byte, args ...string) (string, error) {
	c.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		c.Skip("node is not on PATH (Debian: nodejs and npm)")
	}
	wanted, err := os.ReadFile("clients/package-lock.json")
	c.must(err)
	if have, _ := os.ReadFile(filepath.Join(installed, "package-lock.json")); !bytes.Equal(have, wanted) {
		c.Skip("the npm packages of itest/clients are not installed, or other ones are: run make clients")
	}
	if _, err := os.Stat(filepath.Join(installed, "node_modules/.package-lock.json")); err != nil {
		c.Skip("the npm packages of itest/clients are not installed: run make clients")
	}
	modules, err := filepath.Abs(filepath.Join(installed, "node_modules"))
	c.must(err)
	return c.run(home, []string{"NODE_PATH=" + modules, "NODE_NO_WARNINGS=1"}, stdin, "node", args...)
}

// otsCLI is the command of the npm package opentimestamps.
const otsCLI = installed + "/node_modules/opentimestamps/ots-cli.js"

// python runs a script with Debian's packages, or skips.
func (c clients) python(args ...string) (string, error) {
	c.Helper()
	if err := exec.CommandContext(c.ctx, python, "-c", "import opentimestamps").Run(); err != nil {
		c.Skipf("%s has no module opentimestamps (Debian: python3-opentimestamps)", python)
	}
	return c.run(c.TempDir(), nil, nil, python, args...)
}

// run runs a client to its end. Its environment is bare: a proxy of this machine is nothing for what listens on loopback.
func (c clients) run(home string, env []string, stdin []byte, name string, args ...string) (string, error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}, env...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out, exit.Stderr)
	}
	return string(out), err
}

// nodeHome is a home directory with the bitcoin.conf of someone whose Bitcoin node is our daemon.
func (c clients) nodeHome(user *url.Userinfo) string {
	c.Helper()
	home, addr := c.TempDir(), c.daemon.Addr()
	host, port, _ := strings.Cut(addr, ":")
	password, _ := user.Password()
	c.must(os.Mkdir(filepath.Join(home, ".bitcoin"), 0o700))
	c.must(os.WriteFile(filepath.Join(home, ".bitcoin", "bitcoin.conf"),
		fmt.Appendf(nil, "rpcuser=%s\nrpcpassword=%s\nrpcconnect=%s\nrpcport=%s\n", user.Username(), password, host, port), 0o600))
	return home
}

// The command `ots-cli.js verify` finds a bitcoin.conf and asks the node in it, here our daemon.
func (c clients) npmVerifiesAtNode() {
	verify := func(user *url.Userinfo, digest string) (string, error) {
		return c.npm(c.nodeHome(user), nil, otsCLI, "verify", "--digest", digest, c.proof)
	}
	out, err := verify(c.verifier, c.proven.Digest)
	if want := fmt.Sprintf("Success! Bitcoin block %d attests existence", c.proven.Height); err != nil || !strings.Contains(out, want) {
		c.Errorf("%v\n%s\nwant %q", err, out, want)
	}
	if out, err := verify(c.verifier, randomDigest()); err == nil || !strings.Contains(err.Error(), "does not match") {
		c.Errorf("another digest is verified: %v\n%s", err, out)
	}
	if out, err := verify(c.clerk, c.proven.Digest); err == nil || !strings.Contains(err.Error(), "is for the role read or admin") {
		c.Errorf("a user of the role submit asked for headers: %v\n%s", err, out)
	}
}

// `ots verify --bitcoin-node URL` makes these calls with the same library.
func (c clients) pythonVerifiesAtNode() {
	verify := func(user *url.Userinfo) (string, error) {
		node := url.URL{Scheme: "http", User: user, Host: c.daemon.Addr()}
		return c.python("testdata/verify_at_node.py", c.proof, c.proven.Digest, node.String())
	}
	out, err := verify(c.verifier)
	if want := fmt.Sprintf("%d %d\n", c.proven.Height, c.proven.BlockTime.Unix()); err != nil || out != want {
		c.Errorf("%v, %q; want %q", err, out, want)
	}
	if out, err := verify(c.clerk); err == nil || !strings.Contains(err.Error(), "is for the role read or admin") {
		c.Errorf("a user of the role submit asked for headers: %v\n%s", err, out)
	}
}
