package export

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"ancre/register/page"
	"ancre/register/page/pagetest"
)

func site(t *testing.T, source page.Source) *page.Page {
	t.Helper()
	p, err := page.New(page.Config{Source: source, URL: "https://preuves.example.fr", Authority: page.Authority{Name: "Ville de Saint-Exemple"}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// exportPage exports to a directory directly.
func exportPage(t *testing.T, p *page.Page, dir string) (map[string]string, Report) {
	t.Helper()
	f, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(context.Background(), p, f, nil); err != nil {
		t.Fatal(err)
	}
	r, err := f.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return tree(t, dir), r
}

func TestTwoExportsAreTheSame(t *testing.T) {
	first, r := exportPage(t, site(t, pagetest.Generate(3, 9)), t.TempDir())
	if r.Files < 2*(3+3*9) {
		t.Errorf("the export has only %d files", r.Files)
	}
	dir := t.TempDir()
	if again, _ := exportPage(t, site(t, pagetest.Generate(3, 9)), dir); !maps.Equal(first, again) {
		for name := range again {
			if first[name] != again[name] {
				t.Errorf("%s differs", name)
			}
		}
		t.Errorf("two exports of one register differ: %d and %d files", len(first), len(again))
	}
	if _, r := exportPage(t, site(t, pagetest.Generate(3, 9)), dir); r.Written != 0 || r.Removed != 0 {
		t.Errorf("an export over itself: %+v", r)
	}

	var stream bytes.Buffer
	a := NewArchive(&stream)
	if err := errors.Join(Write(context.Background(), site(t, pagetest.Generate(3, 9)), a, nil), a.Close()); err != nil {
		t.Fatal(err)
	}
	sent := t.TempDir()
	f, err := OpenFolder(sent)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Read(&stream, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, sent); !maps.Equal(first, got) {
		t.Errorf("an export that was sent differs: %d and %d files", len(first), len(got))
	}
}

var links = regexp.MustCompile(`\s(?:href|src|action|base)="([^"]*)"`)

// Whoever opens any file finds every file that it links to, from a disk as from a server.
func TestEveryLinkOfAnExportLeadsToAFile(t *testing.T) {
	files, _ := exportPage(t, site(t, pagetest.Generate(3, 9)), t.TempDir())
	checked := 0
	for name, body := range files {
		if !strings.HasSuffix(name, ".html") || name == "verifier.html" {
			continue
		}
		for _, m := range links.FindAllStringSubmatch(body, -1) {
			link := strings.ReplaceAll(m[1], "&amp;", "&")
			u, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s links to %q: %v", name, link, err)
				continue
			}
			if u.Scheme != "" || u.Host != "" || u.Path == "" {
				continue
			}
			if strings.HasPrefix(u.Path, "/") {
				t.Errorf("%s links to %q, which is not relative", name, link)
				continue
			}
			to := path.Join(path.Dir(name), u.Path)
			if _, ok := files[to]; !ok && !strings.HasSuffix(u.Path, "/") {
				t.Errorf("%s links to %q, and there is no %s", name, link, to)
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("only %d links were looked at", checked)
	}
}

// Each file of data that the check tool needs has its script beside it, with the same content.
func TestDataHaveTwins(t *testing.T) {
	files, _ := exportPage(t, site(t, pagetest.Generate(3, 9)), t.TempDir())
	lists, windows := 0, 0
	for name, body := range files {
		switch {
		case strings.HasPrefix(name, "empreintes/") && strings.HasSuffix(name, ".json"):
			lists++
			base := strings.TrimSuffix(name, ".json")
			call, ok := strings.CutPrefix(files[base+".js"], `ancreTwin("`+base+`",`)
			call, ok2 := strings.CutSuffix(call, ")\n")
			if !ok || !ok2 || !json.Valid([]byte(call)) || call != strings.TrimSpace(body) {
				t.Errorf("the twin of %s is %.80q", name, files[base+".js"])
			}
		case strings.HasPrefix(name, "entetes/") && strings.HasSuffix(name, ".headers"):
			windows++
			base := strings.TrimSuffix(name, ".headers")
			if want := `ancreTwin("` + base + `","` + base64.StdEncoding.EncodeToString([]byte(body)) + "\")\n"; files[base+".js"] != want {
				t.Errorf("the twin of %s is %.80q", name, files[base+".js"])
			}
		}
	}
	if lists != 256 || windows == 0 {
		t.Errorf("there are %d lists and %d windows", lists, windows)
	}
}

func TestAnExportStopsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	f, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = Write(ctx, site(t, pagetest.Generate(3, 9)), f, func(n int) {
		if n == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an export that was cancelled: %v", err)
	}
	source := pagetest.Generate(1, 1)
	source.Err = errors.New("the disk is gone")
	if err := Write(context.Background(), site(t, source), f, nil); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("an export of a register that fails: %v", err)
	}
}
