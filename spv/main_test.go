package spv

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/lightninglabs/neutrino"
)

// atOnce is how many tests run at once: nearly all of their time is waiting for peers.
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
	code := m.Run()
	if madeDir != "" {
		os.RemoveAll(madeDir)
	}
	os.Exit(code)
}
