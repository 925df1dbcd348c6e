package metrics

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// scrape asks a server without a listener.
func scrape(t *testing.T, s *Server, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestADaemonThatStartsTellsThatItDoes(t *testing.T) {
	s := NewServer(Config{Version: "1.2", Network: "regtest"})
	status, text := scrape(t, s, "/metrics")
	if status != http.StatusOK || !strings.Contains(text, "\nancre_started 0\n") || strings.Contains(text, "ancre_chain_height") || !strings.Contains(text, `version="1.2"`) {
		t.Errorf("while it starts: %d\n%s", status, text)
	}
	s.Provide(func(_ context.Context, emit Emit) { emit(Height, 7); emit(Batches, 2, "open") })
	s.Observer(CommitSeconds).Observe(0.03)
	_, text = scrape(t, s, "/metrics")
	for _, want := range []string{"\nancre_started 1\n", "\nancre_chain_height 7\n", "\nancre_batches{state=\"open\"} 2\n", "\nancre_group_commit_seconds_bucket{le=\"0.05\"} 1\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// A bug in reading the metrics must not end the daemon.
func TestASourceThatPanicsEndsNothing(t *testing.T) {
	var log strings.Builder
	s := NewServer(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.Provide(func(_ context.Context, emit Emit) { emit(Height, 7); panic("a defect") })
	status, text := scrape(t, s, "/metrics")
	if status != http.StatusOK || !strings.Contains(text, "ancre_chain_height 7") || !strings.Contains(text, "go_goroutines") || !strings.Contains(log.String(), "a defect") {
		t.Errorf("%d, what can be told should be: %s\nthe log: %s", status, text, log.String())
	}
	// The same for labels that a metric does not have.
	s.Provide(func(_ context.Context, emit Emit) { emit(Batches, 1) })
	if status, _ := scrape(t, s, "/metrics"); status != http.StatusOK {
		t.Errorf("a value without its label is answered with %d", status)
	}
}

func TestAReaderHasABoundedTime(t *testing.T) {
	s := NewServer(Config{})
	bounded := false
	s.Provide(func(ctx context.Context, _ Emit) { _, bounded = ctx.Deadline() })
	if scrape(t, s, "/metrics"); !bounded {
		t.Error("a wallet that hangs would keep the connections of all scrapes")
	}
}

// stuckWriter is a caller who reads nothing until the test releases him.
type stuckWriter struct {
	*httptest.ResponseRecorder
	entered, leave chan struct{}
}

func (s *stuckWriter) Write(p []byte) (int, error) {
	s.entered <- struct{}{}
	<-s.leave
	return s.ResponseRecorder.Write(p)
}

// Callers who do not read their answers do not occupy the places of others.
func TestScrapesThatAreNotReadHoldNobodyUp(t *testing.T) {
	s := NewServer(Config{Version: "1.2"})
	entered, leave := make(chan struct{}), make(chan struct{})
	var stuck sync.WaitGroup
	for range maxScrapes {
		stuck.Go(func() {
			s.ServeHTTP(&stuckWriter{httptest.NewRecorder(), entered, leave}, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		})
		<-entered
	}
	if status, text := scrape(t, s, "/metrics"); status != http.StatusOK || !strings.Contains(text, `version="1.2"`) {
		t.Errorf("one more is answered with %d %.200s", status, text)
	}
	close(leave)
	stuck.Wait()
}

func TestFewProfilesAreTakenAtOnce(t *testing.T) {
	s := NewServer(Config{Profile: true})
	entered, leave := make(chan struct{}), make(chan struct{})
	var stuck sync.WaitGroup
	for range maxProfiles {
		stuck.Go(func() {
			s.ServeHTTP(&stuckWriter{httptest.NewRecorder(), entered, leave}, httptest.NewRequest(http.MethodGet, "/debug/pprof/goroutine?debug=1", nil))
		})
		<-entered
	}
	if status, text := scrape(t, s, "/debug/pprof/heap"); status != http.StatusServiceUnavailable || !strings.Contains(text, "try again") {
		t.Errorf("one too many is answered with %d %.200s", status, text)
	}
	if status, _ := scrape(t, s, "/metrics"); status != http.StatusOK {
		t.Errorf("metrics meanwhile: %d", status)
	}
	go func() { // each write of theirs
		for range entered {
		}
	}()
	close(leave)
	stuck.Wait()
	close(entered)
	if status, _ := scrape(t, s, "/debug/pprof/heap"); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

func TestProfilesAreShort(t *testing.T) {
	s := NewServer(Config{Profile: true})
	for _, path := range []string{"profile?seconds=61", "profile?seconds=1e9", "trace?seconds=3600", "heap?seconds=3600", "profile?seconds=NaN", "profile?seconds=x", "profile?seconds=-1"} {
		if status, text := scrape(t, s, "/debug/pprof/"+path); status != http.StatusBadRequest || !strings.Contains(text, "60") {
			t.Errorf("%s is answered with %d %q, want a refusal that names the bound", path, status, text)
		}
	}
	if status, text := scrape(t, s, "/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(text, "goroutine profile") {
		t.Errorf("%d %q, want a profile", status, text)
	}
}

// net/http/pprof reads forms, and a form may be the body of any request: seconds that are not in
// the address would not be bounded.
func TestABodySaysNothingOfAProfile(t *testing.T) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := errors.Join(form.WriteField("seconds", "3600"), form.Close()); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/debug/pprof/trace", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	brief(func(_ http.ResponseWriter, r *http.Request) {
		if got := r.FormValue("seconds"); got != "" {
			t.Errorf("the profile is asked to take %s seconds", got)
		}
	})(httptest.NewRecorder(), r)
}

func TestOtherPathsAndVerbsAreRefused(t *testing.T) {
	s := NewServer(Config{})
	for path, want := range map[string]int{"/": 200, "/metrics": 200, "/metric": 404, "/metrics/x": 404, "/debug/pprof/": 404, "/debug/pprof/heap": 404} {
		if status, text := scrape(t, s, path); status != want {
			t.Errorf("%s is answered with %d %q, want %d", path, status, text, want)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", strings.NewReader("x")))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is answered with %d", w.Code)
	}
}
