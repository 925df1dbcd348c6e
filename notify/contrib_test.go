package notify

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/internal/warning"
)

// hooked is a chat that takes posts.
func hooked(t *testing.T) (url string, posts chan string) {
	t.Helper()
	posts = make(chan string, 10)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/hooks/s3cret" || r.URL.RawQuery != "a=b%22&c='" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		posts <- string(body)
	}))
	t.Cleanup(web.Close)
	return web.URL + "/hooks/s3cret?a=b%22&c='", posts
}

// The chat reads exactly the words of the event, whatever is in them.
func TestTheChatScriptPosts(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	url, posts := hooked(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "chat.url")
	write(t, file, url+"\n")
	chat, err := filepath.Abs("../contrib/notify/notify-chat")
	if err != nil {
		t.Fatal(err)
	}
	for member, args := range map[string][]string{"text": {chat, file}, "content": {chat, file, "content"}} {
		r := newRig(t, t.TempDir(), args...)
		r.warn(warning.New(warning.BalanceLow, "%s %s", hostile, `"subject":"no" \" \\" \u0022 %s & @/etc/passwd`))
		var body string
		select {
		case body = <-posts:
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing was posted; the log:\n%s", r.log)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(body), &got); err != nil || len(got) != 1 {
			t.Fatalf("%v: %s", err, body)
		}
		e := Event{Event: Raised, Kind: "balance_low", Severity: "warning", Time: start, Since: start, Network: "regtest", Host: r.host, Version: "1.2.3",
			Text: hostile + ` "subject":"no" \" \\" \u0022 %s & @/etc/passwd`, says: warning.BalanceLow.Says(), remedy: warning.BalanceLow.Remedy()}
		e.words()
		if want := strings.ToValidUTF8(e.Subject+"\n\n"+e.Message, "\ufffd"); got[member] != want {
			t.Errorf("%s: posted\n%q\nwant\n%q", member, got[member], want)
		}
		await(t, "the script has ended", func() bool { return strings.Contains(r.log.String(), "output=posted") })
		r.stop()
	}
}

func TestTheChatScriptSaysWhatIsWrong(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	dir := t.TempDir()
	url, _ := hooked(t)
	for content, want := range map[string]string{
		"":                      "",
		"ftp://example.org":     "must hold an address that begins with https://",
		"https://a b":           "without spaces",
		"https://a\"\nurl = \"": "without spaces and quotes",
		url + "x":               "404",
	} {
		file := filepath.Join(dir, "url")
		write(t, file, content+"\n")
		cmd := exec.Command("../contrib/notify/notify-chat", file)
		e := Event{Event: Test, Text: "text"}
		line, err := e.line()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = strings.NewReader(string(line))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "s3cret") {
			t.Errorf("%q: %v, %s, want %s", content, err, out, want)
		}
	}
	write(t, filepath.Join(dir, "url"), url+"\n")
	cmd := exec.Command("../contrib/notify/notify-chat", filepath.Join(dir, "url"))
	cmd.Stdin = strings.NewReader("hello\n")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "must hold an event") {
		t.Errorf("%v, %s", err, out)
	}
}
