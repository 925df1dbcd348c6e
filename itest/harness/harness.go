// Package harness runs the real programs on this machine: Bitcoin nodes (btcd, bitcoind) on
// regtest, ancred, and the command ancre. The end-to-end tests, the demo and the benchmark use it.
//
// Its promises:
//   - Everything listens on loopback, on ports that were free a moment ago.
//   - Everything is written below the directory that the caller names.
//   - On Linux no program outlives the process that started it, unless the caller asks for that.
//   - It waits for conditions and not for a time to pass. If a condition does not come, the error
//     names it.
package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Network is the one that everything here runs on: blocks are made on demand.
const Network = "regtest"

// Binaries are the programs, as absolute paths.
type Binaries struct {
	Ancred, Ancre, AncreRegister, Btcd string
}

// Build compiles the programs from the module's own source and its pinned modules into dir. root is
// any directory of the module.
func Build(ctx context.Context, root, dir string) (Binaries, error) {
	if err := goBuild(ctx, root, dir, "ancre/cmd/ancred", "ancre/cmd/ancre", "ancre/cmd/ancre-register", btcdPackage); err != nil {
		return Binaries{}, err
	}
	return In(dir)
}

// BuildBtcd compiles the pinned btcd alone, and returns its path.
func BuildBtcd(ctx context.Context, root, dir string) (string, error) {
	if err := goBuild(ctx, root, dir, btcdPackage); err != nil {
		return "", err
	}
	return filepath.Join(dir, "btcd"+exeSuffix()), nil
}

const btcdPackage = "github.com/btcsuite/btcd"

// goBuild builds as the Makefile does, so that both share the build cache.
func goBuild(ctx context.Context, root, dir string, packages ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-o", dir + string(filepath.Separator)}, packages...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

func exeSuffix() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}

// In names the programs in dir and checks that they are there.
func In(dir string) (Binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, err
	}
	b := Binaries{
		Ancred:        filepath.Join(dir, "ancred"+exeSuffix()),
		Ancre:         filepath.Join(dir, "ancre"+exeSuffix()),
		AncreRegister: filepath.Join(dir, "ancre-register"+exeSuffix()),
		Btcd:          filepath.Join(dir, "btcd"+exeSuffix()),
	}
	for _, path := range []string{b.Ancred, b.Ancre, b.AncreRegister, b.Btcd} {
		if _, err := os.Stat(path); err != nil {
			return Binaries{}, fmt.Errorf("%w: build it first", err)
		}
	}
	return b, nil
}

// pollEvery is the time between two looks at an awaited condition.
const pollEvery = 50 * time.Millisecond

// Await returns once cond returns true. It fails if ctx ends first or cond returns an error. The
// error names what was awaited, and the last state that cond reported.
func Await(ctx context.Context, what string, cond func(ctx context.Context) (done bool, state string, err error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last := "never looked at"
	for {
		done, state, err := cond(ctx)
		if err == nil && done {
			return nil
		}
		if state != "" {
			last = state
		} else if err == nil {
			last = "nothing"
		}
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return fmt.Errorf("awaiting %s: %w; last state: %s", what, ctx.Err(), last)
			}
			return fmt.Errorf("awaiting %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("awaiting %s: %w; last state: %s", what, ctx.Err(), last)
		case <-tick.C:
		}
	}
}

// environ is this process's environment, with the home directory and every other place to write
// below dir.
func environ(dir string, more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		switch strings.ToUpper(name) {
		case "HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
			"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY", "RUNTIME_DIRECTORY":
			continue
		}
		env = append(env, kv)
	}
	env = append(env, "HOME="+dir, "USERPROFILE="+dir, "APPDATA="+dir, "LOCALAPPDATA="+dir)
	return append(env, more...)
}
