package wallet_test

import (
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"ancre/spv"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcwallet/waddrmgr"
	"github.com/lightninglabs/neutrino"
	"go.uber.org/goleak"
)

// atOnce is how many tests run at once: those with a real node mostly wait for it.
const atOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	neutrino.QueryTimeout = 3 * time.Second // from ten: peers here answer at once or never
	// A key derivation costs a second and 256 MB in production. Only a test binary has this line.
	waddrmgr.DefaultScryptOptions = waddrmgr.FastScryptOptions
	goleak.VerifyTestMain(m,
		// neutrino 0.18 stops its broadcaster while a rescan may still pass a transaction to it.
		// The rescan then waits endlessly (pushtx/broadcaster.go, MarkAsConfirmed). The process
		// ends right after.
		goleak.IgnoreTopFunction("github.com/lightninglabs/neutrino/pushtx.(*Broadcaster).MarkAsConfirmed"),
		goleak.Cleanup(func(code int) {
			if madeDir != "" {
				os.RemoveAll(madeDir)
			}
			os.Exit(code)
		}))
}

// madeOnce makes the directory of a light client that was closed before it had any peer. That
// takes some computing, which the race detector makes slow: neutrino's index begins with 65,536
// buckets.
var madeOnce = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "ancre-wallet-test")
	if err != nil {
		return err
	}
	madeDir = dir
	c, err := spv.Open(spv.Config{Params: &chaincfg.RegressionNetParams, Dir: dir})
	if err != nil {
		return err
	}
	return c.Close()
})

var madeDir string // set by madeOnce, removed by TestMain

// clientDir returns a copy of that directory.
func clientDir(t *testing.T) string {
	t.Helper()
	if err := madeOnce(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(madeDir)); err != nil {
		t.Fatal(err)
	}
	return dir
}
