package itest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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

// clients are other people's programs, and the daemon that they talk to.
type clients struct {
	*world
	verifier, clerk *url.Userinfo // users of the roles verify and submit

	minutes [2]string // files that npm's client stamps there
	bylaws  string    // the digest of what Debian's library stamps there, and
	stamped string    // the file with its proof

	contract     string // the digest of a file that was sealed
	seal, forged object // by the mayor, and by somebody else

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

// Other people's programs run unchanged. They stamp at our calendar and upgrade there. They verify
// through our explorer routes, and through our bitcoind calls with the weakest role that may. They
// judge our receipts. All of them share one daemon and one batch.
func TestOtherPeoplesClients(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	t.Parallel()
	c := clients{world: newWorld(t, "btcd")}
	var lines [2]string
	c.verifier, lines[0] = c.user("verifier", rpc.RoleVerify)
	c.clerk, lines[1] = c.user("clerk", rpc.RoleSubmit)
	c.daemon.Set("rpc", "auth", fmt.Sprintf("[%q, %q]", lines[0], lines[1]))
	c.startFunded()
	c.minutes = [2]string{c.writeFile("minutes.txt", "Nothing was decided.\n"), c.writeFile("annex.txt", "See the minutes.\n")}
	c.bylaws, c.stamped = randomDigest(), filepath.Join(c.daemon.Home, "bylaws.ots")

	t.Run("npm opentimestamps stamps", func(t *testing.T) { c.in(t).npmStamps() })
	t.Run("python-opentimestamps stamps", func(t *testing.T) { c.in(t).pythonStamps() })
	c.contract = randomDigest()
	t.Run("bitcoinjs-message seals", func(t *testing.T) { c.seal, c.forged = c.in(t).seals() })
	var batch []rpc.Entry // so many that a path has steps on both sides
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
		"npm opentimestamps upgrades":     clients.npmUpgrades,
		"python-opentimestamps upgrades":  clients.pythonUpgrades,
		"npm opentimestamps, no node":     clients.npmVerifiesAtExplorer,
		"npm opentimestamps at a node":    clients.npmVerifiesAtNode,
		"python-opentimestamps at a node": clients.pythonVerifiesAtNode,
		"receipts of version 2":           clients.receipts2,
		"receipts of version 4":           clients.receipts4,
		"receipts with a seal":            clients.sealedReceipts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(c.in(t))
		})
	}
}

// The packages are pinned to the last byte. Each machine may take them from where it likes: a
// mirror, or a cache.
func TestNpmPackagesArePinnedByTheirHashes(t *testing.T) {
	var lock struct {
		Packages map[string]struct {
			Version, Resolved, Integrity string
			Dependencies                 map[string]string
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "clients/package-lock.json")), &lock); err != nil {
		t.Fatal(err)
	}
	for name, p := range lock.Packages {
		switch _, foreign := strings.CutPrefix(name, "node_modules/"); {
		case name == "":
			for name, version := range p.Dependencies {
				if version != lock.Packages["node_modules/"+name].Version && name != "fs" {
					t.Errorf("%s is asked for as %q and locked at %q", name, version, lock.Packages["node_modules/"+name].Version)
				}
			}
		case p.Resolved != "" && p.Resolved != "fs":
			t.Errorf("%s is to come from %q: leave that open", name, p.Resolved)
		case foreign && p.Resolved == "" && !strings.HasPrefix(p.Integrity, "sha512-"):
			t.Errorf("%s has the hash %q, want one of SHA-512", name, p.Integrity)
		}
	}
}

// user makes a user as `ancre auth` does, and returns the line for the configuration.
func (c clients) user(name string, role rpc.Role) (*url.Userinfo, string) {
	c.Helper()
	line, password, err := rpc.NewUser(name, role)
	c.must(err)
	return url.UserPassword(name, password), line
}

// installed is where `make clients` puts the packages that clients/package-lock.json pins.
const installed = "../bin/clients"

// npm runs a program of Node.js with those packages, and returns its standard output. An error
// holds everything that it printed. Without the packages the test is skipped.
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

// python runs a script with Debian's packages, or skips the test.
func (c clients) python(args ...string) (string, error) {
	c.Helper()
	c.needPython()
	return c.run(c.TempDir(), nil, nil, python, args...)
}

// run runs a client to its end. Its environment is bare, because a proxy of this machine cannot
// reach what listens on loopback.
func (c clients) run(home string, env []string, stdin []byte, name string, args ...string) (string, error) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Minute)
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

// ots runs the command of npm's opentimestamps, which prints successes and failures to standard
// output.
func (c clients) ots(home string, args ...string) (string, error) {
	c.Helper()
	return c.npm(home, nil, append([]string{otsCLI}, args...)...)
}

// wantSaid wants a client's words, and no error.
func (c clients) wantSaid(out string, err error, words string) {
	c.Helper()
	if err != nil || !strings.Contains(out, words) {
		c.Errorf("%v\n%s\nwant %q", err, out, words)
	}
}

// wantRefusedWith wants an error, with the words.
func (c clients) wantRefusedWith(out string, err error, words string) {
	c.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		c.Errorf("%v\n%s\nwant an error with %q", err, out, words)
	}
}

// calendar is the URL of the daemon's calendar, as its pending proofs name it.
func (c clients) calendar() string { return "http://" + c.daemon.CalendarAddr() }

// npmStamps stamps two files in one call, with the flags that `ots` needs for a calendar that is
// not one of the public ones.
func (c clients) npmStamps() {
	home := c.TempDir()
	out, err := c.ots(home, "stamp", "-c", c.calendar(), c.minutes[0], c.minutes[1])
	c.wantSaid(out, err, "annex.txt.ots' has been created!")
	for _, file := range c.minutes {
		c.wantSaid(c.ancre(0, "info", file+".ots").Stdout, nil, c.calendar())
	}
	out, err = c.ots(home, "-l", c.calendar(), "upgrade", c.minutes[0]+".ots")
	c.wantSaid(out, err, "Calendar "+c.calendar()+": Pending confirmation in Bitcoin blockchain")
}

// npmUpgrades completes our pending proof once it is final, but asks no calendar outside its
// whitelist.
func (c clients) npmUpgrades() {
	home := c.TempDir()
	out, err := c.ots(home, "upgrade", c.minutes[0]+".ots")
	c.wantSaid(out, err, "Ignoring attestation from calendar "+c.calendar()+": Calendar not in whitelist")
	for _, file := range c.minutes {
		out, err := c.ots(home, "-l", c.calendar(), "upgrade", file+".ots")
		c.wantSaid(out, err, "Success! Timestamp complete")
		c.ancre(0, "verify", file+".ots")
		// A receipt of a file that npm has blinded and put into a tree of its own.
		c.ancre(0, "receipt", "--format", "v4", file)
		c.wantReceiptJudged(c.sha256(file), c.readFile(file+".chp.json"), []string{parse, client}, nil)
	}
	out, err = c.ots(c.nodeHome(c.verifier), "verify", c.minutes[0]+".ots")
	c.wantSaid(out, err, c.success())
	c.wantAtExplorer(c.minutes[1]+".ots", c.sha256(c.minutes[1]))
}

// success is what the client prints for a proof that ends in the block of our batch.
func (c clients) success() string {
	return fmt.Sprintf("Success! Bitcoin block %d attests existence", c.proven.Height)
}

func (c clients) readFile(file string) []byte {
	c.Helper()
	raw, err := os.ReadFile(file)
	c.must(err)
	return raw
}

func (c clients) sha256(file string) string {
	c.Helper()
	raw, err := os.ReadFile(file)
	c.must(err)
	return fmt.Sprintf("%x", sha256.Sum256(raw))
}

func (c clients) atExplorer(file, digest string) (string, error) {
	c.Helper()
	return c.npm(c.TempDir(), nil, "clients/explorer.js", file, digest, c.calendar())
}

func (c clients) wantAtExplorer(file, digest string) {
	c.Helper()
	out, err := c.atExplorer(file, digest)
	c.wantSaid(out, err, fmt.Sprintf(`{"bitcoin":{"timestamp":%d,"height":%d}}`, c.proven.BlockTime.Unix(), c.proven.Height))
}

// npmVerifiesAtExplorer asks the two routes of block explorers that the calendar has.
func (c clients) npmVerifiesAtExplorer() {
	c.wantAtExplorer(c.proof, c.proven.Digest)
	out, err := c.atExplorer(c.proof, randomDigest())
	c.wantRefusedWith(out, err, "File does not match original!")

	// The proof ends with the height, in one byte as long as it is below 128.
	raw, err := os.ReadFile(c.proof)
	c.must(err)
	if raw[len(raw)-1] != byte(c.proven.Height) || c.proven.Height >= 127 {
		c.Fatalf("the proof ends with %x, want the height %d", raw[len(raw)-1], c.proven.Height)
	}
	for height, words := range map[byte]string{byte(c.proven.Height) - 1: "Digest does not match merkleroot", 127: "404"} {
		raw[len(raw)-1] = height
		out, err := c.atExplorer(c.writeFile(fmt.Sprintf("height-%d.ots", height), string(raw)), c.proven.Digest)
		c.wantRefusedWith(out, err, words)
	}
}

// pythonStamps does what `ots stamp` and `ots upgrade` do, with the library that they use.
func (c clients) pythonStamps() {
	out, err := c.python("clients/remote_calendar.py", "stamp", c.calendar(), c.bylaws, c.stamped)
	c.wantSaid(out, err, "")
	out, err = c.python("clients/remote_calendar.py", "upgrade", c.calendar(), c.stamped)
	c.wantRefusedWith(out, err, "exit status 3\nPending confirmation in Bitcoin blockchain")
}

func (c clients) pythonUpgrades() {
	out, err := c.python("clients/remote_calendar.py", "upgrade", "http://127.0.0.1:1", c.stamped)
	c.wantRefusedWith(out, err, "is not in the whitelist")
	out, err = c.python("clients/remote_calendar.py", "upgrade", c.calendar(), c.stamped)
	c.wantSaid(out, err, "")
	out, err = c.pythonAtNode(c.verifier, c.stamped, c.bylaws)
	c.wantSaid(out, err, c.pythonSuccess())
	c.ancre(0, "verify", "--digest", c.bylaws, c.stamped)
	receipt := c.ancre(0, "receipt", "--format", "v4", "-o", "-", c.stamped).Stdout
	c.wantReceiptJudged(c.bylaws, []byte(receipt), []string{parse, client}, nil)
}

// npmVerifiesAtNode runs `ots-cli.js verify`, which finds a bitcoin.conf and asks the node in it,
// here our daemon.
func (c clients) npmVerifiesAtNode() {
	verify := func(user *url.Userinfo, digest string) (string, error) {
		return c.ots(c.nodeHome(user), "verify", "--digest", digest, c.proof)
	}
	out, err := verify(c.verifier, c.proven.Digest)
	c.wantSaid(out, err, c.success())
	out, err = verify(c.verifier, randomDigest())
	c.wantRefusedWith(out, err, "File does not match original!")
	out, err = verify(c.clerk, c.proven.Digest) // who stamps may verify
	c.wantSaid(out, err, c.success())
	out, err = verify(c.stranger(), c.proven.Digest)
	c.wantRefusedWith(out, err, "wrong or missing credentials")
}

// pythonAtNode makes the calls of `ots verify --bitcoin-node URL`, with the same library.
func (c clients) pythonAtNode(user *url.Userinfo, file, digest string) (string, error) {
	c.Helper()
	node := url.URL{Scheme: "http", User: user, Host: c.daemon.Addr()}
	return c.python("testdata/verify_at_node.py", file, digest, node.String())
}

func (c clients) pythonSuccess() string {
	return fmt.Sprintf("%d %d\n", c.proven.Height, c.proven.BlockTime.Unix())
}

func (c clients) pythonVerifiesAtNode() {
	out, err := c.pythonAtNode(c.verifier, c.proof, c.proven.Digest)
	c.wantSaid(out, err, c.pythonSuccess())
	out, err = c.pythonAtNode(c.verifier, c.proof, randomDigest())
	c.wantRefusedWith(out, err, "the proof is about")
	out, err = c.pythonAtNode(c.clerk, c.proof, c.proven.Digest) // who stamps may verify
	c.wantSaid(out, err, c.pythonSuccess())
	out, err = c.pythonAtNode(c.stranger(), c.proof, c.proven.Digest)
	c.wantRefusedWith(out, err, "wrong or missing credentials")
}

// stranger has the clerk's name and no password of the clerk's.
func (c clients) stranger() *url.Userinfo { return url.UserPassword(c.clerk.Username(), "guess") }
