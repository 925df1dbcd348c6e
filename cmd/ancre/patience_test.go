package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/internal/datadir"
)

// gate stands before the daemon and refuses submits. It returns the flags that lead to it, and the
// numbers of digests that it let through.
func (r *rig) gate(refuse func(w http.ResponseWriter, digests int) bool) (flags []string, passed func() []int) {
	var mu sync.Mutex
	var sizes []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var call struct {
			Method string     `json:"method"`
			Params [][]string `json:"params"`
		}
		if json.Unmarshal(body, &call) == nil && call.Method == "submitbatch" {
			mu.Lock()
			refused := refuse(w, len(call.Params[0]))
			if !refused {
				sizes = append(sizes, len(call.Params[0]))
			}
			mu.Unlock()
			if refused {
				return
			}
		}
		again := httptest.NewRequestWithContext(req.Context(), req.Method, r.http.URL+"/", bytes.NewReader(body))
		again.Header = req.Header
		again.Host = r.http.Listener.Addr().String()
		r.http.Config.Handler.ServeHTTP(w, again)
	}))
	r.t.Cleanup(server.Close)
	return []string{"--rpc", server.URL, "--rpc-cookie", filepath.Join(r.data, "regtest", datadir.Cookie)}, func() []int { mu.Lock(); defer mu.Unlock(); return slices.Clone(sizes) }
}

// noWaits has no wait take any time, and returns them.
func noWaits(t *testing.T) *[]time.Duration {
	var list []time.Duration
	was := pause
	pause = func(d time.Duration) <-chan time.Time {
		list = append(list, d)
		now := make(chan time.Time, 1)
		now <- time.Now()
		return now
	}
	t.Cleanup(func() { pause = was })
	return &list
}

// refusal answers as the daemon does.
func refusal(w http.ResponseWriter, code int, after string) {
	if after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":%d,"message":"try again later"}}`, code)
}

func TestStampWaitsWhileTheDaemonRefusesForNow(t *testing.T) {
	for what, refuse := range map[string]func(w http.ResponseWriter){
		"too much is waiting": func(w http.ResponseWriter) { refusal(w, -32000, "7") },
		"a limit is used up":  func(w http.ResponseWriter) { refusal(w, -32001, "7") },
		"a web server, in seconds": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "busy", http.StatusServiceUnavailable)
		},
		"a web server, too many": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "7")
			http.Error(w, "busy", http.StatusTooManyRequests)
		},
	} {
		t.Run(what, func(t *testing.T) {
			r, list, calls := newRig(t), noWaits(t), 0
			flags, _ := r.gate(func(w http.ResponseWriter, _ int) bool {
				if calls++; calls > 2 {
					return false
				}
				refuse(w)
				return true
			})
			a := r.ancre(append(flags, "stamp", r.write("a", "a"))...).is(t, exitDone, "Waiting for 7 seconds, until ", "a.ots: stamped")
			if n := strings.Count(a.err, "Waiting for"); n != 2 || !slices.Equal(*list, []time.Duration{7 * time.Second, 7 * time.Second}) {
				t.Errorf("it waited %v\n%s", *list, a.err)
			}
			calls = 0
			r.ancre(append(flags, "stamp", "-q", r.write("b", "b"))...).silent(t, exitDone)
		})
	}
}

// A user's limit is there again after hours, and is waited for. A daemon that stays busy is an
// error.
func TestStampGivesUpOnlyOnADaemonThatStaysBusy(t *testing.T) {
	r, list, calls, code := newRig(t), noWaits(t), 0, -32001
	flags, _ := r.gate(func(w http.ResponseWriter, _ int) bool {
		if calls++; calls > 100 && code == -32001 {
			return false
		}
		refusal(w, code, "86400")
		return true
	})
	r.ancre(append(flags, "stamp", "-q", r.write("a", "a"))...).silent(t, exitDone)
	if len(*list) != 100 || (*list)[0] != time.Hour {
		t.Errorf("it waited %d times", len(*list))
	}
	*list, code = nil, -32000
	r.ancre(append(flags, "stamp", "-q", r.write("b", "b"))...).only(t, exitFailed, "try again later")
	if len(*list) != patience {
		t.Errorf("it asked %d times more, want %d", len(*list), patience)
	}
	if exists(r.path("b.ots")) {
		t.Error("there is a proof")
	}
}

// A limit below the number of files in the tree: the daemon takes no 1,000 digests at once.
func TestStampSubmitsInPartsWhatIsMoreThanALimit(t *testing.T) {
	r, list := newRig(t), noWaits(t)
	for i := range 40 {
		r.write(fmt.Sprintf("t/%02d", i), fmt.Sprint(i))
	}
	flags, passed := r.gate(func(w http.ResponseWriter, n int) bool {
		if n <= 3 {
			return false
		}
		refusal(w, -32001, "") // never
		return true
	})
	r.ancre(append(flags, "stamp", "-r", r.path("t"))...).is(t, exitDone, "In all: 40 stamped.")
	sum := 0
	for _, n := range passed() {
		sum += n
	}
	if sum != 40 || len(*list) != 0 {
		t.Errorf("parts of %v, and waits of %v", passed(), *list)
	}
	for i := range 40 {
		r.proves(fmt.Sprintf("t/%02d.ots", i), fmt.Sprint(i))
	}
}

func TestAnInterruptEndsTheWait(t *testing.T) {
	r := newRig(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	was := pause
	pause = func(time.Duration) <-chan time.Time { interrupt(); return nil }
	t.Cleanup(func() { pause = was })
	flags, _ := r.gate(func(w http.ResponseWriter, _ int) bool { refusal(w, -32001, "3600"); return true })
	r.with(session{ctx: ctx}, append(flags, "stamp", r.write("a", "a"))...).is(t, exitFailed, "interrupted")
	if _, err := os.Stat(r.path("a.ots")); err == nil {
		t.Error("there is a proof")
	}
}
