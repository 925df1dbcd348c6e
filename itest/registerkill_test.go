package itest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ancre/itest/harness"
	"ancre/rpc"
)

var registerKillsFlag = flag.Int("registerkills", 12, "how often TestP8AcknowledgedDocumentsSurviveKills kills one of the daemons")

// registerKillCycle bounds one kill with its restart on a busy machine.
const registerKillCycle = 10 * time.Second

// Clerks add files with the command while the register and the node are killed again and again, at
// random moments. Blocks come and go meanwhile. Each document that was acknowledged is in the
// register once, with its bytes, and gets a complete proof; none is there twice, however often a
// clerk who got no answer adds it again.
func TestP8AcknowledgedDocumentsSurviveKills(t *testing.T) {
	kills := *registerKillsFlag
	if testing.Short() {
		kills = shortKills
	}
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-killseed=%d", seed)
	t.Parallel()
	c := &council{world: newWorldFor(t, "btcd", patience+time.Duration(kills)*registerKillCycle), meetings: make(map[string]string)}
	c.daemon.Set("batch", "interval", `"1s"`)
	c.startQuick(0)
	for range 4 {
		_, err := c.node.SendTo(c.ctx, c.address, 5_000_000)
		c.must(err)
	}
	c.must(c.node.Mine(c.ctx, 1, ""))
	c.awaitBalance(4 * 5_000_000)
	c.newRegister()
	(&registerKiller{council: c, seed: seed, dice: rand.New(rand.NewPCG(seed, 3))}).run(kills)
}

// registerKiller kills the two daemons while clerks work.
type registerKiller struct {
	*council
	seed  uint64
	dice  *rand.Rand
	times map[string]int // kills by what was killed

	mu    sync.Mutex
	acked []filed // in the order of the acknowledgements
	made  map[string]bool
}

// filed is a document that the register acknowledged: which bytes, in which meeting.
type filed struct{ meeting, digest, name string }

const (
	clerks = 3

	// again is how often a clerk adds a document that was acknowledged before: one time in so many.
	again = 5
)

func (k *registerKiller) run(kills int) {
	k.Helper()
	k.times, k.made = make(map[string]int), make(map[string]bool)
	for i := range 3 {
		name := fmt.Sprint(i)
		k.meetings[name] = k.newMeeting(time.Now().AddDate(0, 0, 10+i), "", "convoked", "--publish")
	}
	ctx, stop := context.WithCancel(k.ctx)
	group := new(errgroup.Group)
	for i := range clerks {
		group.Go(func() error { return k.clerk(ctx, i) })
	}
	sky := k.startWeather(k.seed)
	began, checked := time.Now(), 0
	for range kills {
		checked = k.cycle(checked)
	}
	took := time.Since(began)
	sky.halt()
	stop()
	k.must(group.Wait())
	k.bringUp()
	k.wantAllProven()
	if k.Failed() {
		return
	}
	k.Logf("%d kills in %s, %.2f s each (%s): %d documents acknowledged, %d of them different, %d batches, %d blocks; lost 0, twice 0, all complete",
		kills, took.Round(time.Second), took.Seconds()/float64(kills), k.told(), len(k.acked), len(k.made), len(k.batches()), sky.blocks)
}

func (k *registerKiller) told() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(k.times)) {
		parts = append(parts, fmt.Sprintf("%d %s", k.times[name], name))
	}
	return strings.Join(parts, ", ")
}

// victims are what a kill may hit, and how often.
var victims = []struct {
	name     string
	weight   int
	register bool
	node     bool
}{{"the register", 5, true, false}, {"the node", 3, false, true}, {"both", 2, true, true}}

// cycle waits a random time, kills, starts again, and checks what was acknowledged since the last
// check.
func (k *registerKiller) cycle(checked int) int {
	k.Helper()
	k.bringUp()
	acked := k.ackedSoFar()
	k.wantFiled(acked[checked:])
	pause(k.ctx, time.Duration(k.dice.Int64N(int64(900*time.Millisecond))))
	n := k.dice.IntN(10)
	for _, v := range victims {
		if n -= v.weight; n >= 0 {
			continue
		}
		k.times[v.name]++
		if v.register {
			k.must(k.register.Kill9())
		}
		if v.node {
			k.must(k.daemon.Kill9())
		}
		break
	}
	// One time in three the next start is killed too, before it has finished.
	if k.dice.IntN(3) == 0 {
		k.launch()
		pause(k.ctx, time.Duration(k.dice.Int64N(int64(150*time.Millisecond))))
		k.times["while starting"]++
		k.must(k.register.Kill9())
	}
	return len(acked)
}

// launch starts what does not run.
func (k *registerKiller) launch() {
	k.Helper()
	if !k.daemon.Running() {
		k.must(k.daemon.Launch())
	}
	if !k.register.Running() {
		k.must(k.register.Launch())
	}
}

func (k *registerKiller) bringUp() {
	k.Helper()
	k.launch()
	k.must(k.daemon.AwaitUp(k.ctx))
	k.must(k.register.AwaitUp(k.ctx))
}

func (k *registerKiller) ackedSoFar() []filed {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.acked)
}

// clerk adds documents until ctx ends: one or several at a time, small and large. Whatever was not
// acknowledged is added again until it is.
func (k *registerKiller) clerk(ctx context.Context, id int) error {
	dice := rand.New(rand.NewPCG(k.seed, 10+uint64(id)))
	dir, err := os.MkdirTemp(k.register.Home, "clerk-")
	if err != nil {
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		meeting := fmt.Sprint(dice.IntN(len(k.meetings)))
		files := make(map[string]filed) // by path
		for i := range 1 + dice.IntN(4) {
			content := make([]byte, 1+dice.IntN(1<<(6+dice.IntN(16))))
			for j := range content {
				content[j] = byte(dice.Uint32())
			}
			path := filepath.Join(dir, fmt.Sprintf("%d-%d-%d.bin", id, n, i))
			if err := os.WriteFile(path, content, 0o600); err != nil {
				return err
			}
			files[path] = filed{meeting, fmt.Sprintf("%x", sha256.Sum256(content)), filepath.Base(path)}
		}
		if err := k.file(ctx, meeting, files); err != nil {
			return err
		}
		if dice.IntN(again) == 0 {
			if err := k.file(ctx, meeting, files); err != nil {
				return err
			}
		}
		for path := range files {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// file adds files with one command until all are added, and notes each as soon as the command says
// that it is.
func (k *registerKiller) file(ctx context.Context, meeting string, files map[string]filed) error {
	left := maps.Clone(files)
	return harness.Await(k.ctx, "documents to be added", func(context.Context) (bool, string, error) {
		args := append([]string{"add", "--json", "--meeting", k.meetings[meeting], "--kind", "annex"}, slices.Sorted(maps.Keys(left))...)
		// The command is not interrupted: only the daemons are killed.
		res, err := k.register.Run(k.ctx, args...)
		if err != nil {
			return false, "", err
		}
		for line := range strings.Lines(res.Stdout) {
			var told struct{ File, Result string }
			if err := json.Unmarshal([]byte(line), &told); err != nil {
				return false, "", fmt.Errorf("add prints %q: %w", line, err)
			}
			if told.Result == "added" || told.Result == "already" {
				k.acknowledge(files[told.File])
				delete(left, told.File)
			}
		}
		if res.Code == 0 && len(left) > 0 {
			return false, "", fmt.Errorf("add ends with 0, and has not told of %d of %d files:\n%s", len(left), len(files), res.Stdout)
		}
		return len(left) == 0 || ctx.Err() != nil, res.Stderr, nil
	})
}

func (k *registerKiller) acknowledge(f filed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acked = append(k.acked, f)
	k.made[f.meeting+" "+f.digest] = true
}

// entry is a document, as ancre-register lists it.
type entry struct {
	Entry    int64
	Digest   string
	Meeting  string
	FileName string `json:"file_name"`
	Proof    struct{ State string }
}

// wantFiled wants each of these documents to be in its meeting once.
func (k *registerKiller) wantFiled(want []filed) {
	k.Helper()
	if len(want) == 0 {
		return
	}
	have := k.entries()
	for _, f := range want {
		if n := len(have[k.key(f)]); n != 1 {
			k.Fatalf("%s was acknowledged, and meeting %s has it %d times", f.name, k.meetings[f.meeting], n)
		}
	}
}

func (k *registerKiller) key(f filed) string { return k.meetings[f.meeting] + " " + f.digest }

// entries lists the whole register, by meeting and digest.
func (k *registerKiller) entries() map[string][]entry {
	k.Helper()
	all, err := k.entriesNow(k.ctx)
	k.must(err)
	return all
}

func (k *registerKiller) entriesNow(ctx context.Context) (map[string][]entry, error) {
	res, err := k.register.Run(ctx, "list", "--json")
	if err != nil {
		return nil, err
	}
	var list struct{ Documents []entry }
	if err := json.Unmarshal([]byte(res.Stdout), &list); err != nil {
		return nil, fmt.Errorf("list prints %.300q: %w\n%s", res.Stdout, err, res.Stderr)
	}
	all := make(map[string][]entry)
	for _, e := range list.Documents {
		key := e.Meeting + " " + e.Digest
		all[key] = append(all[key], e)
	}
	return all, nil
}

// awaitProofs waits until no proof in the register is in one of these states.
func (k *registerKiller) awaitProofs(states ...string) {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.ctx, patience/2)
	defer cancel()
	left := make(map[string]entry)
	err := harness.Await(ctx, "no proof to be "+strings.Join(states, " or "), func(ctx context.Context) (bool, string, error) {
		all, err := k.entriesNow(ctx)
		clear(left)
		for _, list := range all {
			for _, e := range list {
				if slices.Contains(states, e.Proof.State) {
					left[e.Digest] = e
				}
			}
		}
		return len(left) == 0, fmt.Sprintf("%d of %d documents", len(left), len(all)), err
	})
	if err == nil {
		return
	}
	const most = 5
	shown := 0
	for digest, e := range left {
		var at rpc.Entry
		problem := k.daemon.Call(k.ctx, &at, "getstatus", digest)
		k.Errorf("entry %d is %s; the node has %s (%v)", e.Entry, e.Proof.State, describe(at), problem)
		if shown++; shown == most {
			break
		}
	}
	k.Fatal(err)
}

// wantAllProven mines until each document of the register has a complete proof, and compares the
// register with what was acknowledged, with the files on the disk, and with the node.
func (k *registerKiller) wantAllProven() {
	k.Helper()
	k.awaitProofs("waiting")
	k.call(nil, "closebatch")
	k.mineUntilFinal()
	k.awaitProofs("waiting", "pending", "mined")
	have := k.entries()
	for key, list := range have {
		if len(list) != 1 {
			k.Errorf("the register has %s %d times", key, len(list))
		}
	}
	k.wantFiled(k.ackedSoFar())
	for _, list := range have {
		k.wantWhole(list[0])
	}
	k.wantPaidOnce()
	k.must(k.register.Stop())
}

// wantWhole wants the bytes of a document beside the database, its proof and its receipt, and the
// digest at the node.
func (k *registerKiller) wantWhole(e entry) {
	k.Helper()
	path := filepath.Join(k.register.DataDir, "files", e.Digest[:2], e.Digest)
	content, err := os.ReadFile(path)
	k.must(err)
	if got := fmt.Sprintf("%x", sha256.Sum256(content)); got != e.Digest {
		k.Errorf("the file of %s has the digest %s", e.FileName, got)
	}
	var at rpc.Entry
	k.call(&at, "getstatus", e.Digest)
	if at.State != "final" {
		k.Errorf("the node has %s as %s", e.FileName, at.State)
	}
	ots, err := os.ReadFile(path + ".ots")
	k.must(err)
	var p rpc.Proof
	k.call(&p, "getproof", e.Digest)
	if p.Complete && string(ots) != string(decoded(k.T, p.Proof)) {
		k.Errorf("the proof of %s is another one than the node's", e.FileName)
	}
	if _, err := os.Stat(path + ".receipt.json"); err != nil {
		k.Error(err)
	}
}

// decoded reads base64.
func decoded(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
