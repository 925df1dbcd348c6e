package checktool

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"ancre/headers"
	"ancre/itest/harness"
	"ancre/itest/harness/browser"
)

// The files that a report offers and the commands that it names do what it says: they are saved
// from the page and run as they stand there.
func TestTheCommandsOfAReportWork(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	s := serve(t, w)
	dir := t.TempDir()
	ancre := filepath.Join(t.TempDir(), "ancre")
	build := exec.Command("go", "build", "-o", ancre, "ancre/cmd/ancre")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(dir, w.minutes.name), w.minutes.bytes, 0o644))
	tab := b.Open(t, browser.Wide)
	tab.DownloadTo(dir)
	tab.Go(s.URL + "/en/")
	tab.Upload(input, w.minutes.path)
	one(tab)
	openAll(tab)
	for _, name := range []string{w.minutes.name + ".ots", "0.headers"} {
		tab.Click(`a[download="` + name + `"]`)
		awaitFile(t, filepath.Join(dir, name))
	}
	commands := browser.Eval[[]string](tab, `[...document.querySelector('ancre-verify').shadowRoot.querySelectorAll('pre')].map((p) => p.textContent)`)
	for i, want := range []string{w.minutes.hex(), "valid, existed before Bitcoin block 120"} {
		command, _, _ := strings.Cut(commands[i], "\n")
		sh := exec.Command("sh", "-c", command)
		sh.Dir = dir
		sh.Env = append(os.Environ(), "PATH="+filepath.Dir(ancre)+":"+os.Getenv("PATH"), "HOME="+dir)
		if out, err := sh.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%q says %q (%v), want %q", command, out, err, want)
		}
	}
}

// A block near the end of a period needs the next window too, whichever file was picked. What is
// saved is one window of both.
func TestABlockNearTheEndOfAPeriodNeedsTwoWindows(t *testing.T) {
	b := browser.Start(t)
	w := newChain(t)
	w.minutes = w.document(t, "minutes.pdf", "The minutes.\n")
	const height, end = 2014, 2025
	w.mineTo(height - 1)
	w.anchor(t, w.minutes)
	w.mineTo(end)
	s := serve(t, w)
	dir := t.TempDir()
	tab := b.Open(t, browser.Wide)
	tab.DownloadTo(dir)
	tab.Go(s.URL + "/en/")
	tab.Upload(input, w.minutes.path)
	f := one(tab)
	f.want(t, "anchored", "listed-anchored", "Authentic")
	if want := "The proof of work of 12 blocks was checked"; !strings.Contains(f.Text, want) {
		t.Errorf("the report does not say %q:\n%s", want, f.Text)
	}
	openAll(tab)
	tab.Click(`a[download="0-1.headers"]`)
	win, err := headers.ParseWindow(awaitFile(t, filepath.Join(dir, "0-1.headers")))
	must(t, err)
	checked, err := win.Check(headers.NetworkOf(&chaincfg.RegressionNetParams), time.Now())
	must(t, err)
	if trust, err := checked.Judge(height); err != nil || trust.Blocks != end-height+1 {
		t.Errorf("the saved window has %d blocks from block %d on (%v), want %d", trust.Blocks, height, err, end-height+1)
	}
}

// openAll unfolds what is folded in the reports.
func openAll(tab *browser.Tab) {
	tab.Helper()
	browser.Eval[any](tab, `(document.querySelector('ancre-verify').shadowRoot.querySelectorAll('details').forEach((d) => d.open = true), 0)`)
}

// awaitFile waits until the browser has saved a file, and returns what is in it.
func awaitFile(t testing.TB, path string) (content []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, harness.Await(ctx, "a saved file", func(context.Context) (bool, string, error) {
		var err error
		content, err = os.ReadFile(path)
		return len(content) > 0, fmt.Sprint(err), nil
	}))
	return content
}
