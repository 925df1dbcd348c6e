package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/internal/warning"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// script writes a program of the shell and returns its path.
func script(t *testing.T, body string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("there is no /bin/sh")
	}
	path := filepath.Join(t.TempDir(), "tell it")
	write(t, path, "#!/bin/sh\n"+body+"\n")
	return path
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// rig is a notifier that runs, with a clock of its own.
type rig struct {
	*Notifier
	t    *testing.T
	log  *lockedBuffer
	mu   sync.Mutex
	time time.Time
	stop func()
}

// newRig runs a notifier whose file lies in dir.
func newRig(t *testing.T, dir string, command ...string) *rig {
	t.Helper()
	r := &rig{t: t, log: new(lockedBuffer), time: start}
	r.Notifier = New(Config{Command: command, File: filepath.Join(dir, "notify.json"), Network: "regtest", Version: "1.2.3", Log: slog.New(slog.NewTextHandler(r.log, nil))})
	r.now = func() time.Time {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.time
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(r.stop)
	return r
}

// pass moves the clock.
func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.time = r.time.Add(d)
}

// warn shows the notifier warnings that have lasted long enough.
func (r *rig) warn(all ...warning.Warning) {
	r.Look(all)
	r.pass(settle)
	r.Look(all)
}

// await waits until what returns true.
func await(t *testing.T, about string, what func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !what() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain until %s", about)
		}
	}
}

// lines returns the lines of a file that a command appends to.
func lines(path string) []string {
	data, _ := os.ReadFile(path)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// hostile is the text of a warning that tries to be something else.
const hostile = "\"quoted\" it's $(touch /tmp/x) `id`\nFrom: nobody\r\n\x1b[31m \u202e \\ </script> \x00 é \xff"

func TestACommandReadsTheEventAsJSON(t *testing.T) {
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	r := newRig(t, dir, script(t, `cat >> "$1"; printf '%s|%s\n' "$2" "$#" >> "$1.args"; env > "$1.env"; pwd > "$1.dir"`), told, "it's $HOME; \"quoted\"")
	t.Setenv("ANCRE_TEST_SECRET", "hunter2")
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	r.warn(warning.New(warning.BalanceLow, "%s", hostile))
	await(t, "the operator was told", func() bool { return strings.Contains(r.log.String(), "told the operator") })

	got := lines(told)
	if len(got) != 1 {
		t.Fatalf("the event has %d lines: %q", len(got), got)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(got[0]), &members); err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	for name, want := range map[string]string{
		"event": "raised", "kind": "balance_low", "severity": "warning",
		"subject": "Ancre on " + host + ": warning: At today's price the wallet pays for fewer than 20 more anchors",
		"text":    strings.ToValidUTF8(hostile, "\ufffd"), "time": "2026-01-01T12:00:00Z", "since": "2026-01-01T12:00:00Z", "network": "regtest", "host": host, "version": "1.2.3",
	} {
		if members[name] != want {
			t.Errorf("%s is %q, want %q", name, members[name], want)
		}
		delete(members, name)
	}
	message, _ := members["message"].(string)
	for _, want := range []string{warning.BalanceLow.Says() + "\n\"quoted\"", "What to do: " + warning.BalanceLow.Remedy(), "look today. It began at 2026-01-01 12:00 UTC.", "Network: regtest", "Kind of warning: balance_low"} {
		if !strings.Contains(message, want) {
			t.Errorf("the message lacks %q:\n%s", want, message)
		}
	}
	if delete(members, "message"); len(members) > 0 {
		t.Errorf("members that nobody promised: %v", members)
	}
	if got := lines(told + ".args"); got[0] != `it's $HOME; "quoted"|2` {
		t.Errorf("no shell may read the arguments: %q", got)
	}
	env := strings.Join(lines(told+".env"), "\n")
	if !strings.Contains(env, searchPath) || strings.Contains(env, "SECRET") || strings.Contains(env, "CREDENTIALS") || strings.Contains(env, "NOTIFY") {
		t.Errorf("the environment:\n%s", env)
	}
	if got := lines(told + ".dir"); got[0] != "/" {
		t.Errorf("it runs in %q", got)
	}
}

func TestARaisedWarningIsToldAndThenThatItIsOver(t *testing.T) {
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	tell := script(t, `cat >> "$1"`)
	r := newRig(t, dir, tell, told)
	noPeers := warning.New(warning.NoPeers, "no node")
	r.warn(noPeers)
	await(t, "it is told", func() bool { return strings.Contains(lines(told)[0], `"raised","kind":"no_peers"`) })
	await(t, "that is on disk", func() bool { return strings.Contains(strings.Join(lines(r.cfg.File), ""), `"open": true`) })
	r.stop()

	// After a restart it is not told again.
	r = newRig(t, dir, tell, told)
	r.pass(time.Hour)
	r.warn(noPeers)
	r.warn()
	await(t, "it is told that it is over", func() bool { return len(lines(told)) > 1 })
	if got := lines(told); len(got) != 2 || !strings.Contains(got[1], `"cleared","kind":"no_peers"`) || !strings.Contains(got[1], `"since":"2026-01-01T12:00:00Z"`) {
		t.Errorf("told %q", got)
	}
	if info, err := os.Stat(r.cfg.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

func TestACommandThatFailsIsAWarningAndRunAgain(t *testing.T) {
	dir := t.TempDir()
	flag, told := filepath.Join(dir, "works"), filepath.Join(dir, "told")
	r := newRig(t, dir, script(t, `echo run >> "$2.runs"; [ -e "$1" ] || { echo "550 no such\tuser"; echo; echo second >&2; exit 3; }; cat >> "$2"`), flag, told)
	for i := range manyFailures {
		if got := r.Warnings(); len(got) != 0 {
			t.Errorf("after %d failures: %q", i, got)
		}
		r.warn(warning.New(warning.NoPeers, "no node"))
		await(t, "the command failed", func() bool { return strings.Count(r.log.String(), "notify.command failed") == i+1 })
		r.pass(longestWait)
	}
	got := r.Warnings()
	if len(got) != 1 || got[0].Kind != warning.Notify || !strings.Contains(got[0].Text, "failed 3 times") || !strings.Contains(got[0].Text, "1 warning (no_peers)") ||
		!strings.Contains(got[0].Text, "exit status 3, and it printed: 550 no such user second") || !strings.Contains(got[0].Text, "testnotify") {
		t.Errorf("%q", got)
	}
	if log := r.log.String(); !strings.Contains(log, `retry_seconds=120 output="550 no such user second" err="exit status 3"`) {
		t.Errorf("the log:\n%s", log)
	}
	write(t, flag, "")
	r.warn(warning.New(warning.NoPeers, "no node"))
	await(t, "the operator was told", func() bool { return strings.Contains(r.log.String(), "told the operator") })
	if got := r.Warnings(); len(got) != 0 || !strings.Contains(lines(told)[0], `"raised"`) {
		t.Errorf("after a success: %q, told %q", got, lines(told))
	}
}

func TestACommandThatDoesNotEndIsKilledWithItsChildren(t *testing.T) {
	dir := t.TempDir()
	child := filepath.Join(dir, "child")
	r := newRig(t, dir, script(t, `sleep 1000 & echo $! > "$1.new"; mv "$1.new" "$1"; wait`), child)
	r.limit = 300 * time.Millisecond
	started := time.Now()
	result, err := r.Test(t.Context())
	if err != nil || result.Err == nil || !strings.Contains(result.Err.Error(), "killed because it did not end within 300ms") || time.Since(started) > 20*time.Second {
		t.Errorf("%+v, %v, after %s", result, err, time.Since(started))
	}
	pid := lines(child)[0]
	await(t, "the child is gone", func() bool {
		state, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(state), ") Z ")
	})
}

// The end of the daemon ends a command, and does not wait for it.
func TestTheEndOfTheDaemonEndsACommand(t *testing.T) {
	dir := t.TempDir()
	began := filepath.Join(dir, "began")
	r := newRig(t, dir, script(t, `: > "$1"; exec sleep 1000`), began)
	r.warn(warning.New(warning.NoPeers, "no node"))
	await(t, "the command runs", func() bool { _, err := os.Stat(began); return err == nil })
	r.stop()
	if strings.Contains(r.log.String(), "failed") {
		t.Errorf("that is no failure:\n%s", r.log)
	}
	if l, err := load(r.cfg.File); err != nil || !l.Entries["no_peers"].Owed {
		t.Errorf("the warning is not owed: %v", err)
	}
}

// A command may leave a process behind that keeps its output open.
func TestACommandThatLeavesAProcessBehindSucceeds(t *testing.T) {
	r := newRig(t, t.TempDir(), script(t, `sleep 5 & echo done`))
	started := time.Now()
	result, err := r.Test(t.Context())
	if err != nil || result.Err != nil || result.Output != "done" || time.Since(started) > 4500*time.Millisecond {
		t.Errorf("%+v, %v, after %s", result, err, time.Since(started))
	}
}

func TestWhatACommandPrintsIsBoundedAndHarmless(t *testing.T) {
	r := newRig(t, t.TempDir(), script(t, `printf 'a\033[31m\nb\r\n\n'; head -c 10000000 /dev/zero | tr '\0' x; cat > /dev/null`))
	result, err := r.Test(t.Context())
	if err != nil || result.Err != nil || !strings.HasPrefix(result.Output, `a\x1b[31m b xxx`) || len(result.Output) > maxOutput+10 || !strings.HasSuffix(result.Output, "x …") {
		t.Errorf("%.80q, %d bytes, %v, %v", result.Output, len(result.Output), result.Err, err)
	}
}

func TestACommandThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "no such file", plain: "permission denied", dir: "is a directory"} {
		r := newRig(t, dir, path)
		if got := r.Warnings(); len(got) != 1 || got[0].Kind != warning.Notify || !strings.Contains(got[0].Text, path+" cannot be run: ") || !strings.Contains(got[0].Text, want) {
			t.Errorf("%s: %q, want %s", path, got, want)
		}
		if result, err := r.Test(t.Context()); err != nil || result.Err == nil || !strings.Contains(result.Err.Error(), want) {
			t.Errorf("%s: %+v, %v", path, result, err)
		}
		r.stop()
	}
}

func TestATestTellsThatItIsOne(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	r := newRig(t, t.TempDir(), script(t, `cat > "$1"; echo sent`), told)
	result, err := r.Test(t.Context())
	if err != nil || result.Err != nil || result.Output != "sent" || result.Program != r.cfg.Command[0] {
		t.Errorf("%+v, %v", result, err)
	}
	var e Event
	if err := json.Unmarshal([]byte(lines(told)[0]), &e); err != nil || e.Event != Test || e.Kind != "test" || e.Severity != "info" || e.Network != "regtest" || !strings.HasSuffix(e.Subject, ": this is a test") ||
		strings.Contains(e.Message, "Kind of") {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWithoutACommandNothingHappens(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir)
	r.warn(warning.New(warning.NoPeers, "no node"))
	if _, err := r.Test(t.Context()); !errors.Is(err, ErrNoCommand) {
		t.Errorf("a test: %v", err)
	}
	r.stop()
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 || len(r.Warnings()) > 0 || r.log.String() != "" {
		t.Errorf("%v, %v, %q, %s", files, err, r.Warnings(), r.log)
	}
}

// A disk that refuses the file costs nothing but memory of what was told.
func TestAFileThatCannotBeWrittenIsLoggedOnce(t *testing.T) {
	told := filepath.Join(t.TempDir(), "told")
	r := newRig(t, filepath.Join(t.TempDir(), "none"), script(t, `cat >> "$1"`), told)
	for _, k := range []*warning.Kind{warning.NoPeers, warning.Overdue, warning.Store} {
		r.warn(warning.New(k, "text"))
	}
	await(t, "all are told", func() bool { return strings.Contains(strings.Join(lines(told), ""), "store") })
	r.stop()
	if got := strings.Count(r.log.String(), "cannot write which warnings"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, r.log)
	}
}

// The words of each event, for a person who knows nothing of it.
func TestWords(t *testing.T) {
	e := Event{Kind: "store", Severity: "critical", Text: "The text.", Time: start.Add(time.Hour), Since: start, Network: "mainnet", Host: "host", Version: "1",
		says: warning.Store.Says(), remedy: warning.Store.Remedy()}
	for event, want := range map[string][2]string{
		Raised:   {"Ancre on host: act now: The store is read-only, so ancred refuses digests", "Somebody should look now. It began at 2026-01-01 12:00 UTC."},
		Reminder: {"Ancre on host: reminder: The store is read-only, so ancred refuses digests", "This is a reminder: the warning is still there. It began at 2026-01-01 12:00 UTC."},
		Cleared:  {"Ancre on host: over: The store is read-only, so ancred refuses digests", "began at 2026-01-01 12:00 UTC and was over at 2026-01-01 13:00 UTC. The last text was:\nThe text.\n"},
	} {
		e.Event = event
		if e.words(); e.Subject != want[0] || !strings.Contains(e.Message, want[1]) {
			t.Errorf("%s: %q\n%s", event, e.Subject, e.Message)
		}
	}
}
