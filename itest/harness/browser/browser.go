// Package browser drives Debian's Chromium, without a window, through the pages that we serve.
//
// Its promises:
//   - All tests of a binary that run at the same time share one Chromium. It ends with the last of
//     them, and leaves neither a process nor a profile.
//   - Each tab has a profile of its own: no cookie, cache or storage of another test.
//   - Nothing leaves this machine. A tab that asks another host fails its test, whatever asked: a
//     page, a worker, a style sheet.
package browser

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// names are what Chromium and its relatives are called on PATH.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"}

// Find returns the path of a Chromium.
func Find() (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("chromium is not on PATH (Debian: chromium)")
}

// Browser is the Chromium of this test binary.
type Browser struct {
	ctx    context.Context // chromedp's: tabs are children of it
	cancel context.CancelFunc
	home   string // a directory of its own, so that it writes nothing into the home of the person
}

// shared is the one browser, and the number of tests that use it.
var shared struct {
	sync.Mutex
	browser *Browser
	users   int
}

// Start returns the browser of this test binary, and starts it if need be. Without a Chromium it
// skips the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Skip(err)
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.browser == nil {
		if shared.browser, err = launch(path); err != nil {
			t.Fatalf("start chromium: %v", err)
		}
	}
	shared.users++
	t.Cleanup(func() {
		shared.Lock()
		defer shared.Unlock()
		if shared.users--; shared.users > 0 {
			return
		}
		if err := shared.browser.close(); err != nil {
			t.Errorf("end chromium: %v", err)
		}
		shared.browser = nil
	})
	return shared.browser
}

// deadEnd is a proxy that does not exist: Chromium's own requests, such as those for updates, go
// there. Each tab has a proxy of its own, which notes what comes.
const deadEnd = "127.0.0.1:9"

// launch starts Chromium. chromedp makes its profile, kills it together with its children, and
// removes the profile.
func launch(path string) (*Browser, error) {
	home, err := os.MkdirTemp("", "ancre-chromium-")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.ProxyServer(deadEnd),
		chromedp.Flag("disable-component-update", true),
		// Each of these would ask a host of Google's, and some do so for the tab.
		chromedp.Flag("disable-features", "Translate,AutofillServerCommunication,OptimizationHints,MediaRouter"),
		chromedp.Flag("disable-crash-reporter", true),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("hide-scrollbars", false),
		chromedp.Flag("lang", "en-US"),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "LANGUAGE=en_US", "TZ=UTC"),
	)
	b := &Browser{home: home}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	quiet := func(string, ...any) {} // chromedp knows fewer events than Chromium has
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(quiet), chromedp.WithLogf(quiet))
	b.ctx, b.cancel = ctx, func() { cancel(); end() }
	if err := chromedp.Do(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// endWithin is how long Chromium may take to end by itself. After that it is killed.
const endWithin = 10 * time.Second

func (b *Browser) close() error {
	ctx, cancel := context.WithTimeout(b.ctx, endWithin)
	defer cancel()
	err := chromedp.Cancel(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, chromedp.ErrInvalidContext) {
		err = nil // it never ran
	}
	b.cancel()
	return errors.Join(err, os.RemoveAll(b.home))
}

// root is the directory of the module: a test runs in the directory of its package.
func root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
