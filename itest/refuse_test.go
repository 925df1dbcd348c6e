package itest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/itest/harness"
	"ancre/rpc"
)

// wantRefused wants an error with a code and with words in its message.
func (w *world) wantRefused(err error, code int, words ...string) {
	w.Helper()
	var refused *harness.RPCError
	if !errors.As(err, &refused) {
		w.Errorf("got %v, want an error with code %d", err, code)
		return
	}
	if refused.Code != code {
		w.Errorf("refused with code %d (%s), want %d", refused.Code, refused.Message, code)
	}
	for _, word := range words {
		if !strings.Contains(refused.Message, word) {
			w.Errorf("%q does not say %q", refused.Message, word)
		}
	}
}

func TestBadCallsAreRefusedInWordsAndLeaveNoTrace(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for name, bad := range map[string]string{
		"too short": hex[:62], "too long": hex + "00", "upper case": strings.ToUpper(hex), "odd characters": "zz" + hex[2:],
		"half upper case": "E3" + hex[2:], "empty": "", "with 0x": "0x" + hex[2:], "a space": " " + hex[1:],
	} {
		for method, params := range map[string]any{"submit": bad, "submitbatch": []string{bad}, "getstatus": bad, "getproof": bad} {
			t.Run(method+" of a digest that is "+name, func(t *testing.T) {
				w := w.in(t)
				w.wantRefused(w.daemon.Call(w.ctx, nil, method, params), -8, "64 lower-case hexadecimal digits")
			})
		}
	}
	w.wantRefused(w.daemon.Call(w.ctx, nil, "submitt", hex), -32601, "submitt")
	w.wantRefused(w.daemon.Call(w.ctx, nil, "submit"), -32602, "digest")
	w.wantRefused(w.daemon.Call(w.ctx, nil, "submit", 7), -3)
	w.wantRefused(w.daemon.Call(w.ctx, nil, "getstatus", hex), -5)
	w.wantRefused(w.daemon.Call(w.ctx, nil, "getbatch", 99), -5)
	for name, bad := range map[string]string{"no base64": "%%%", "garbage": "AAAA", "deep": "AE9wZW5UaW1lc3RhbXBzAABQcm9vZgC/ieLohOiSlAEI" + strings.Repeat("/wDw", 3000)} {
		t.Run("verifyproof of a proof that is "+name, func(t *testing.T) {
			w := w.in(t)
			var v rpc.Verification
			if err := w.daemon.Call(w.ctx, &v, "verifyproof", hex, bad); err == nil && v.Result != "invalid" {
				t.Errorf("got %+v, want an error or invalid", v)
			}
		})
	}

	var info rpc.Info
	w.call(&info, "getinfo")
	if info.Digests != 0 || info.Batch != nil {
		t.Errorf("after refusals only: %d digests and batch %+v, want none", info.Digests, info.Batch)
	}
}

// post sends a request as it is, and returns the answer's status and body. It reads while it still
// writes: a server that refuses a request early closes the connection, and net/http's client may
// then report the failed write instead of the answer.
func (w *world) post(user, password string, body io.Reader) (int, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, "http://"+w.daemon.Addr()+"/", body)
	w.must(err)
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	req.Close = true
	conn, err := new(net.Dialer).DialContext(w.ctx, "tcp", w.daemon.Addr())
	w.must(err)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = req.Write(conn)
	}()
	defer func() {
		conn.Close()
		<-written
	}()
	deadline, _ := w.ctx.Deadline()
	w.must(conn.SetReadDeadline(deadline))
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, string(text)
}

func TestRequestsAreRefusedBeforeTheyCostAnything(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	user, password, err := w.daemon.Credentials()
	w.must(err)
	const ask = `{"method":"uptime","params":[],"id":1}`
	array := "[" + strings.TrimSuffix(strings.Repeat(ask+",", 1001), ",") + "]"

	for _, c := range []struct {
		name           string
		user, password string
		body           string
		status         int
		says           string
	}{
		{"good credentials", user, password, ask, 200, "result"},
		{"no credentials", "", "", ask, 401, ""},
		{"wrong password", user, password + "x", ask, 401, ""},
		{"wrong user", "root", password, ask, 401, ""},
		{"empty password", user, "", ask, 401, ""},
		{"oversized body", user, password, ask + strings.Repeat(" ", 5<<20), 413, ""},
		{"oversized body without credentials", "", "", ask + strings.Repeat(" ", 5<<20), 401, ""},
		{"an array of too many calls", user, password, array, 400, "-32600"},
		{"no JSON", user, password, "hello", 500, "-32700"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			status, body := w.post(c.user, c.password, strings.NewReader(c.body))
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("status %d, %.300q; want %d with %q", status, body, c.status, c.says)
			}
			if c.status == 401 && !strings.Contains(body, `"result":null`) {
				t.Errorf("an answer without credentials: %.300q", body)
			}
		})
	}
}

func TestCookieIsForItsOwnerOnly(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	for path, want := range map[string]os.FileMode{w.daemon.NetDir(): 0o700, filepath.Join(w.daemon.NetDir(), ".cookie"): 0o600} {
		info, err := os.Stat(path)
		w.must(err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

// wantNoStart runs the daemon, which must refuse to start, say why, and change nothing in the
// directory.
func (w *world) wantNoStart(status int, words []string, flags ...string) {
	w.Helper()
	res, err := w.daemon.RunToEnd(w.ctx, flags...)
	w.must(err)
	if res.Code != status {
		w.Errorf("exit status %d, want %d\n%s", res.Code, status, res.Stderr)
	}
	for _, word := range words {
		if !strings.Contains(res.Stderr, word) {
			w.Errorf("%q does not say %q", res.Stderr, word)
		}
	}
}

func TestBadConfigurationNamesFileLineKeyValueAndWhatIsAllowed(t *testing.T) {
	w := newLonelyWorld(t)
	for _, c := range []struct {
		name, section, key, value string
		says                      []string // besides the file and the line
	}{
		{"a key that is not known", "batch", "intervall", `"6h"`, []string{"batch.intervall", "has the keys interval"}},
		{"a section that is not known", "bach", "interval", `"6h"`, []string{`"bach"`, "[batch]"}},
		{"no duration", "batch", "interval", `"six hours"`, []string{"batch.interval", "six hours", "168h"}},
		{"a duration out of range", "batch", "interval", `"1ms"`, []string{"batch.interval", "1ms", "168h"}},
		{"a number out of range", "anchor", "confirmations", `0`, []string{"anchor.confirmations", "0", "100"}},
		{"a string for a number", "anchor", "max_feerate", `"many"`, []string{"anchor.max_feerate", "many", "10000"}},
		{"a word that is none of those", "log", "level", `"loud"`, []string{"log.level", "loud", "debug"}},
		{"no address", "rpc", "listen", `"everywhere"`, []string{"rpc.listen", "everywhere", "HOST:PORT"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			w.daemon = w.newDaemon(nil)
			w.daemon.Set(c.section, c.key, c.value)
			w.must(w.daemon.WriteConfig())
			w.wantNoStart(2, append(c.says, fmt.Sprintf("%s:%d: ", w.daemon.Config, w.lineOf(w.daemon.Config, c.section, c.key))))
			if _, err := os.Stat(w.daemon.DataDir); err == nil {
				t.Error("it made a data directory all the same")
			}
		})
	}
	t.Run("a file that is not there", func(t *testing.T) {
		w := w.in(t)
		w.wantNoStart(2, []string{"no-such.conf"}, "--config", "no-such.conf")
	})
	t.Run("a network that is not known", func(t *testing.T) {
		w := w.in(t)
		w.wantNoStart(2, []string{"moonnet", "mainnet"}, "--network", "moonnet")
	})
}

// lineOf finds the line of a key in a configuration file, or of the section if that is wrong.
func (w *world) lineOf(path, section, key string) int {
	w.Helper()
	raw, err := os.ReadFile(path)
	w.must(err)
	in := ""
	for i, line := range strings.Split(string(raw), "\n") {
		if strings.HasPrefix(line, "[") {
			in = strings.Trim(line, "[]")
		}
		if section == "bach" && in == section || in == section && strings.HasPrefix(line, key+" ") {
			return i + 1
		}
	}
	w.Fatalf("%s has no %s in [%s]", path, key, section)
	return 0
}

func TestPortInUse(t *testing.T) {
	w := newLonelyWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	defer l.Close()
	addr := l.Addr().String()
	w.daemon.Set("rpc", "listen", fmt.Sprintf("%q", addr))
	w.wantNoStart(1, []string{"rpc.listen", addr, "in use"})
}

func TestDataDirectoryOfAnotherNetwork(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	w.submit(randomDigest())
	w.must(w.daemon.Stop())
	other := filepath.Join(w.daemon.DataDir, "simnet")
	w.must(os.Rename(w.daemon.NetDir(), other))
	w.wantNoStart(1, []string{other, "is for regtest", "not for simnet"}, "--network", "simnet")
}

func TestDataDirectoryOfANewerVersion(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	digest := randomDigest()
	w.submit(digest)
	w.must(w.daemon.Stop())
	marker := filepath.Join(w.daemon.NetDir(), "ancre.json")
	old, err := os.ReadFile(marker)
	w.must(err)
	w.must(os.WriteFile(marker, []byte(`{"format":99,"network":"regtest"}`), 0o600))
	w.wantNoStart(1, []string{w.daemon.NetDir(), "format 99", "newer ancred"})

	w.must(os.WriteFile(marker, old, 0o600))
	w.start()
	if e := w.status(digest); e.State != "open" {
		t.Errorf("after the refusal: %+v, want what was there", e)
	}
}

func TestWrongPassphrase(t *testing.T) {
	w := newLonelyWorld(t)
	w.start()
	w.createWallet()
	w.must(w.daemon.Stop())
	wrong := w.writeFile("wrong", "incorrect horse\n")
	right := filepath.Join(w.daemon.Home, "passphrase")
	w.daemon.Set("wallet", "passphrase_file", fmt.Sprintf("%q", wrong))
	w.start()

	info, err := w.daemon.AwaitInfo(w.ctx, "a warning about the passphrase", func(i rpc.Info) bool {
		return i.Wallet.State == "locked" && strings.Contains(strings.Join(i.Warnings, " "), "passphrase")
	})
	w.must(err)
	if strings.Contains(fmt.Sprint(info), "incorrect horse") || strings.Contains(w.daemon.Log(1000), "horse") {
		t.Error("a passphrase is shown, or in the log")
	}
	// It goes on accepting and sealing.
	digest := randomDigest()
	w.submit(digest)
	w.call(nil, "closebatch")
	w.awaitState(digest, "sealed")

	if res := w.ancre(1, "wallet", "unlock", "--passphrase-file", wrong); !strings.Contains(res.Stderr, "passphrase") {
		t.Errorf("the refusal %q does not name the passphrase", res.Stderr)
	}
	w.ancre(0, "wallet", "unlock", "--passphrase-file", right)
	_, err = w.daemon.AwaitInfo(w.ctx, "the wallet to be open", func(i rpc.Info) bool { return i.Wallet.State != "locked" })
	w.must(err)
}

func TestWordsAreShownOnceAndNeverLogged(t *testing.T) {
	w := newLonelyWorld(t)
	w.daemon.Set("log", "level", `"debug"`)
	w.start()
	res := w.ancre(0, "wallet", "create")
	var words []string
	for _, field := range strings.Fields(res.Stdout) {
		if strings.Trim(field, "abcdefghijklmnopqrstuvwxyz") == "" {
			words = append(words, field)
		}
	}
	if len(words) < 24 {
		t.Fatalf("wallet create shows %d words:\n%s", len(words), res.Stdout)
	}
	w.ancre(1, "wallet", "create") // there is one
	w.must(w.daemon.Stop())
	w.must(filepath.WalkDir(w.daemon.Home, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for i := 0; i+1 < len(words); i++ {
			if bytes.Contains(raw, []byte(words[i]+" "+words[i+1])) {
				t.Errorf("%s holds two of the words", path)
			}
		}
		if strings.HasSuffix(path, ".log") && bytes.Contains(raw, []byte(passphrase)) {
			t.Errorf("%s holds the passphrase", path)
		}
		return err
	}))
}

// The disk is full. The daemon acknowledges nothing that it cannot write, and still serves what it
// has. Once there is space, it accepts again.
func TestFullDiskAcknowledgesNothingAndGoesOnReading(t *testing.T) {
	w := newLonelyWorld(t)
	dir := filepath.Join(w.daemon.Home, "small")
	w.must(os.Mkdir(dir, 0o700))
	// The store keeps 256 MiB in reserve.
	if err := mountSmallDisk(w.ctx, t, dir, 400<<20); err != nil {
		t.Skip(err)
	}
	w.daemon.DataDir = dir
	w.start()
	kept := randomDigest()
	w.submit(kept)

	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	w.must(err)
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	f.Close()

	var acked []string
	var refused error
	for refused == nil {
		batch := make([]string, 1000)
		for i := range batch {
			batch[i] = randomDigest()
		}
		if refused = w.daemon.Call(w.ctx, nil, "submitbatch", batch); refused == nil {
			acked = append(acked, batch...)
		}
		w.must(w.ctx.Err())
	}
	w.wantRefused(refused, -20)
	t.Logf("%d acknowledged on the full disk, then: %v", len(acked), refused)
	if e := w.status(kept); e.State != "open" {
		t.Errorf("on a full disk: %+v, want it to go on reading", e)
	}
	w.call(nil, "getinfo")

	w.must(os.Remove(filler))
	w.must(harness.Await(w.ctx, "submits to be accepted again", func(ctx context.Context) (bool, string, error) {
		if !w.daemon.Running() { // it may stop, for its supervisor to start it
			return false, "", w.daemon.Start(ctx)
		}
		err := w.daemon.Call(ctx, nil, "submit", randomDigest())
		return err == nil, fmt.Sprint(err), nil
	}))
	w.crash()
	for _, digest := range append(acked, kept) {
		w.status(digest)
	}
}
