package page_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ancre/register/page"
	"ancre/register/page/pagetest"
	"ancre/register/store"
)

// somePaths are paths of every kind of answer.
func somePaths(s *pagetest.Source) []string {
	d := s.EntryList[0].Digest.String()
	return []string{
		"/", "/fr", "/fr/", "/en/", "/fr/seances", "/fr/seances/2026", "/fr/seances/2026-12-15", "/fr/documents", "/fr/documents/" + d, "/documents/" + d,
		"/fr/documents/" + d + "/attestation", "/fr/documents/" + d + "/attestation.pdf", "/fr/verifier", "/fr/recherche", "/fr/recherche?q=a", "/en/method",
		"/documents/" + d + ".ots", "/documents/" + d + ".receipt.json", "/documents/" + d + "/fichier", "/empreintes/ab.json", "/entetes/461.headers",
		"/registre.json", "/registre.csv", "/seances.atom", "/sitemap.xml", "/sitemap-2026.xml", "/robots.txt", "/page.css", "/icone.svg", "/logo", "/ancre-verify.js",
		"/verifier.html", "/embed", "/healthz", "/nothing", "/fr/nothing", "/fr/seances/1999", "/documents/" + strings.Repeat("0", 64) + ".ots", "/entetes/99999.headers",
	}
}

func TestEveryAnswerHasTheHeadersOfSecurity(t *testing.T) {
	s := pagetest.Generate(3, 12)
	p := newPage(t, s)
	for _, path := range somePaths(s) {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "DELETE", "BREW"} {
			r := ask(t, p, method, path)
			h := r.Header
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "base-uri 'none'") || !strings.Contains(csp, "frame-ancestors") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s %s: Content-Security-Policy is %q", method, path, csp)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Set-Cookie") != "" {
				t.Errorf("%s %s: %v", method, path, h)
			}
			if h.Get("Cache-Control") == "" && method == "GET" {
				t.Errorf("%s: no Cache-Control", path)
			}
			if method == "POST" && r.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("POST %s: %s", path, r.Status)
			}
		}
	}
}

func TestFilesAreSavedAndNeverShown(t *testing.T) {
	s := hostileSource()
	p := newPage(t, s)
	for i := range s.EntryList {
		e := s.EntryList[i]
		r := get(t, p, "/documents/"+e.Digest.String()+"/fichier")
		if got := bodyOf(t, r); r.StatusCode != http.StatusOK || !strings.HasPrefix(got, "the bytes") {
			t.Fatalf("%q: %s %q", e.FileName, r.Status, got)
		}
		disposition := r.Header.Get("Content-Disposition")
		if !strings.HasPrefix(disposition, "attachment") || strings.ContainsAny(disposition, "\r\n/\\") || r.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%q is sent as %s, %s", e.FileName, r.Header.Get("Content-Type"), disposition)
		}
		if r.Header.Get("Set-Cookie") != "" {
			t.Errorf("%q wrote a header", e.FileName)
		}
	}
	d := s.EntryList[0].Digest.String()
	if r := get(t, p, "/documents/"+d+"/fichier", "Range", "bytes=4-8"); r.StatusCode != http.StatusPartialContent || bodyOf(t, r) != "bytes" {
		t.Errorf("a part of a file: %s", r.Status)
	}
}

func TestAnswersAreKeptUntilTheRegisterChanges(t *testing.T) {
	s := pagetest.Generate(3, 12)
	p := newPage(t, s)
	const path = "/fr/seances/2026-12-15"
	first := get(t, p, path)
	etag := first.Header.Get("ETag")
	if again := get(t, p, path, "If-None-Match", etag); again.StatusCode != http.StatusNotModified || bodyOf(t, again) != "" {
		t.Errorf("the same page again: %s", again.Status)
	}
	zipped := get(t, p, path, "Accept-Encoding", "gzip, br")
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || string(plain) != bodyOf(t, first) {
		t.Error("the page with gzip is another one")
	}
	if zipped.Header.Get("ETag") == etag || zipped.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("with gzip: %v", zipped.Header)
	}
	if again := get(t, p, path, "If-None-Match", `W/"x", `+zipped.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("the same page with gzip again: %s", again.Status)
	}
	if none := get(t, p, path, "Accept-Encoding", "gzip;q=0, identity"); none.Header.Get("Content-Encoding") != "" {
		t.Error("gzip comes to a visitor who refuses it")
	}

	s.EntryList[0].Title = "Un autre titre"
	if r := get(t, p, path); strings.Contains(bodyOf(t, r), "Un autre titre") {
		t.Error("the page was made again, though the register did not change")
	}
	s.Bump()
	if r := get(t, p, path, "If-None-Match", etag); !strings.Contains(bodyOf(t, r), "Un autre titre") {
		t.Error("the page is an old one")
	}
}

// What visitors ask leaves nothing behind: neither in memory nor in the log.
func TestNothingThatAVisitorSendsIsKeptOrLogged(t *testing.T) {
	var log bytes.Buffer
	s := pagetest.Generate(2, 3)
	p := newPage(t, s, func(c *page.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	digest := strings.Repeat("ab", 32)
	s.Err = errors.New("broken: " + digest)
	for _, path := range []string{"/fr/documents/" + digest, "/fr/recherche?q=visitor-text", "/documents/" + digest + ".ots", "/visitor-text", "/fr/visitor-text?visitor-text=1"} {
		r := get(t, p, path, "User-Agent", "visitor-agent", "Referer", "https://visitor-referer.example/", "Cookie", "visitor=1")
		if r.StatusCode < 400 {
			t.Errorf("%s: %s", path, r.Status)
		}
		if body := bodyOf(t, r); strings.Contains(body, "broken") {
			t.Errorf("%s shows the error: %s", path, body)
		}
	}
	if strings.Contains(log.String(), "visitor") || strings.Contains(log.String(), digest) || !strings.Contains(log.String(), "broken") {
		t.Errorf("the log is %s", log.String())
	}
}

func TestTheHostOfARequestIsNotUsed(t *testing.T) {
	s := pagetest.Generate(2, 3)
	p := newPage(t, s)
	for _, path := range somePaths(s) {
		r := get(t, p, path, "Host", "evil.example", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "evil")
		if strings.Contains(bodyOf(t, r), "evil") || strings.Contains(fmt.Sprint(r.Header), "evil") {
			t.Errorf("%s uses the host of the request", path)
		}
	}
}

func TestPathsThatAreNoAddressAreNotFound(t *testing.T) {
	p := newPage(t, pagetest.Generate(2, 3))
	for _, path := range []string{
		"/..", "/fr/../..", "/fr/%2e%2e/%2e%2e/etc/passwd", "/documents/..%2f..%2fetc%2fpasswd", "/fr/seances/../2026", "/fr/seances/2026-12-15%00", "/fr//seances",
		"//evil.example/", "/%5cevil.example", "/entetes/-1.headers", "/entetes/00.headers", "/empreintes/AB.json", "/empreintes/a.json", "/fr/seances/2026-13-99x",
		"/" + strings.Repeat("a", 7000), "/fr/documents/" + strings.Repeat("A", 64), "/FR/", "/page.css/", "/.git/config", "/fr/seances/2026-12-15-" + strings.Repeat("b", 100),
	} {
		r := get(t, p, path)
		if r.StatusCode != http.StatusNotFound && (r.StatusCode/100 != 3 || !strings.HasPrefix(r.Header.Get("Location"), "/") || strings.HasPrefix(r.Header.Get("Location"), "//")) {
			t.Errorf("%.60s: %s to %q", path, r.Status, r.Header.Get("Location"))
		}
	}
}

// Browsers ask for the icon of a page that names none, verifier.html for one, at an address of
// their own choice.
func TestBrowsersFindAnIcon(t *testing.T) {
	p := newPage(t, pagetest.Generate(2, 3))
	r := get(t, p, "/favicon.ico")
	if r.StatusCode != http.StatusPermanentRedirect {
		t.Fatalf("/favicon.ico: %s", r.Status)
	}
	icon := r.Header.Get("Location")
	if r := get(t, p, icon); r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%s: %s, %s", icon, r.Status, r.Header.Get("Content-Type"))
	}
	for _, path := range []string{"/fr/", "/fr/verifier", "/embed?lang=fr"} {
		if html := bodyOf(t, get(t, p, path)); !strings.Contains(html, `<link rel="icon" type="image/svg+xml" href="`) {
			t.Errorf("%s names no icon", path)
		}
	}
}

func TestLanguagesAreChosenByTheVisitor(t *testing.T) {
	s := pagetest.Generate(2, 3)
	p := newPage(t, s)
	d := s.EntryList[0].Digest.String()
	for _, tt := range []struct{ path, accept, want string }{
		{"/", "", "/fr/"},
		{"/", "en-GB,en;q=0.9,fr;q=0.8", "/en/"},
		{"/", "de, fr;q=0.5, en;q=0.4", "/fr/"},
		{"/", "en;q=0, fr;q=0.1", "/fr/"},
		{"/documents/" + d, "en", "/en/documents/" + d},
		{"/seances/2026", "en", "/en/meetings/2026"},
		{"/meetings/2026-12-15", "fr", "/fr/seances/2026-12-15"},
		{"/verifier", "en", "/en/check"},
		{"/search?q=a+b", "fr", "/fr/recherche?q=a+b"},
	} {
		r := get(t, p, tt.path, "Accept-Language", tt.accept)
		if got := r.Header.Get("Location"); got != tt.want || !strings.Contains(r.Header.Get("Vary"), "Accept-Language") {
			t.Errorf("%s in %q leads to %q, want %q", tt.path, tt.accept, got, tt.want)
		}
	}
}

func TestASearch(t *testing.T) {
	s := pagetest.Generate(9, 12)
	p := newPage(t, s)
	d := s.EntryList[0].Digest.String()
	for _, tt := range []struct{ query, want string }{
		{"q=" + d, "see " + "/fr/documents/" + d},
		{"q=" + strings.ToUpper(d), "see " + "/fr/documents/" + d},
		{"q=" + strings.Repeat("0", 64), "n’est pas dans ce registre"},
		{"q=deliberation-005", "Résultats 1 à 9"},
		{"q=zzz", "Aucun résultat"},
		{"kind=deliberation", "Résultats 1 à 25"},
		{"kind=deliberation&page=2", "Résultats 26 à 45"},
		{"kind=deliberation&page=99", "Résultats 1 à 25"},
		{"kind=nonsense&q=Document", "Résultats 1 à 25"},
		{"from=2026-12-15&to=2026-12-15", "Résultats 1 à 12"},
		{"from=15/12/2026", "Résultats 1 à 12"},
		{"from=2026-02-30", "La première date n’existe pas"},
		{"to=yesterday", "La seconde date n’existe pas"},
		{"from=2026-12-15&to=2026-12-14", "précède"},
		{"q=" + strings.Repeat("x", 101), "au plus 100 caractères"},
		{"q=%ff", "au plus 100 caractères"},
		{strings.Repeat("q=a&", 1000), "au plus 100 caractères"},
		{"q=", "Une empreinte SHA-256"},
	} {
		r := get(t, p, "/fr/recherche?"+tt.query)
		got := bodyOf(t, r)
		if to := r.Header.Get("Location"); to != "" {
			got = "see " + to
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%.60s: no %q in %d bytes", tt.query, tt.want, len(got))
		}
		if r.StatusCode == http.StatusOK && r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%.60s may be kept: %s", tt.query, r.Header.Get("Cache-Control"))
		}
	}
}

// slow is a source whose meetings come when the test lets them.
type slow struct {
	*pagetest.Source
	entered chan struct{}
	leave   chan struct{}
}

func (s slow) Meeting(ctx context.Context, id string) (store.Meeting, error) {
	s.entered <- struct{}{}
	<-s.leave
	return s.Source.Meeting(ctx, id)
}

func TestRequestsForTheSamePageShareItsMaking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := slow{pagetest.Generate(2, 3), make(chan struct{}, 100), make(chan struct{})}
		p := newPage(t, source.Source, func(c *page.Config) { c.Source = source })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if r := get(t, p, "/fr/seances/2026-12-15"); r.StatusCode != http.StatusOK {
					t.Error(r.Status)
				}
			})
		}
		synctest.Wait()
		close(source.leave)
		wg.Wait()
		if n := len(source.entered); n != 1 {
			t.Errorf("the page was made %d times", n)
		}
	})
}

// Many visitors who ask for many slow pages get an answer in bounded time.
func TestABusyPageSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := slow{pagetest.Generate(400, 1), make(chan struct{}, 1000), make(chan struct{})}
		p := newPage(t, source.Source, func(c *page.Config) { c.Source = source })
		var wg sync.WaitGroup
		var mu sync.Mutex
		status := map[int]int{}
		for i := range 400 {
			wg.Go(func() {
				r := get(t, p, "/fr/seances/"+source.MeetingList[i].ID)
				mu.Lock()
				defer mu.Unlock()
				if status[r.StatusCode]++; r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			})
		}
		time.Sleep(time.Minute) // of the fake clock: those who wait have given up
		synctest.Wait()
		close(source.leave)
		wg.Wait()
		if status[http.StatusServiceUnavailable] < 300 || status[http.StatusOK] == 0 {
			t.Errorf("answers by status: %v", status)
		}
	})
}
