package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/itest/harness"
)

// site serves pages by their path, with a content security policy for those below /strict.
func site(t *testing.T, pages map[string]string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/strict") {
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
		}
		fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

const plain = `<!doctype html><html lang="en"><title>Plain</title><link rel="icon" href="data:,"><body><main><h1>Plain</h1>%s</main>`

func document(body string) string { return fmt.Sprintf(plain, body) }

// open opens a page of its own site.
func open(t *testing.T, body string) *Tab {
	t.Helper()
	tab := Start(t).Open(t, Wide)
	if status := tab.Go(site(t, map[string]string{"/": document(body)})); status != 200 {
		t.Fatalf("status %d", status)
	}
	return tab
}

func TestRequestsForOtherHostsAreSeen(t *testing.T) {
	other := site(t, map[string]string{"/": "x"})
	home := site(t, map[string]string{
		"/": document(`<img src="http://images.example/a.png" alt="a"><link rel="stylesheet" href="https://styles.example/b.css">
			<iframe title="c" src="` + other + `"></iframe><script>new Worker('/worker.js')</script>`),
		"/worker.js": `fetch('https://worker.example/').catch(() => {})`,
	})
	tab := Start(t).Open(t, Wide)
	tab.Go(home)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var foreign string
	for _, want := range []string{"images.example", "styles.example", "worker.example", strings.TrimPrefix(other, "http://")} {
		if err := harness.Await(ctx, "a request for "+want, func(context.Context) (bool, string, error) {
			foreign += strings.Join(tab.Forget(), "\n")
			return strings.Contains(foreign, want), foreign, nil
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestErrorsOfThePageAreSeen(t *testing.T) {
	home := site(t, map[string]string{
		"/":       document(`<img src="/missing.png" alt="a"><script>console.error('said'); throw new Error('thrown')</script>`),
		"/strict": document(`<p style="color: red">red</p>`),
	})
	tab := Start(t).Open(t, Wide)
	tab.Go(home)
	tab.Go(home + "/strict")
	all := strings.Join(tab.Errors(), "\n")
	for _, want := range []string{"/missing.png", "said", "thrown", "Content Security Policy"} {
		if !strings.Contains(all, want) {
			t.Errorf("the errors are\n%s\nwant %q among them", all, want)
		}
	}
	for _, r := range tab.Requests() {
		if strings.HasSuffix(r.URL, "/missing.png") && (r.Status != 404 || r.Kind != "Image") {
			t.Errorf("%+v, want an image that is not there", r)
		}
	}
}

func TestTheKeyboardReachesElementsInTheirOrder(t *testing.T) {
	tab := open(t, `<style>#bare:focus { outline: none }</style>
		<a href="#x">First</a> <label>Second <input id="bare"></label> <label>Day <input type="date"></label> <div id="host"></div>
		<button onclick="this.textContent = 'Pressed'">Last</button>
		<script>host.attachShadow({mode: 'open'}).innerHTML = '<button>Inside</button>'</script>`)
	var got []string
	for _, f := range tab.TabThrough() {
		got = append(got, f.String())
		if visible := !strings.Contains(f.HTML, "bare"); f.Visible != visible {
			t.Errorf("the focus on %s is seen: %t", f, f.Visible)
		}
	}
	want := `link "First", textbox "Second", Date "Day", button "Inside", button "Last"`
	if strings.Join(got, ", ") != want {
		t.Errorf("Tab goes to %s, want %s", strings.Join(got, ", "), want)
	}
	tab.TabTo("button", "Last")
	tab.Press("Space")
	tab.AwaitText("main", "Pressed")
	tab.Press("Shift+Tab")
	if f := tab.Focused(); f.Name != "Inside" {
		t.Errorf("Shift+Tab goes to %s", f)
	}
}

func TestFilesReachThePage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "séance <b>.pdf")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	tab := open(t, `<label for="f">File</label> <input type="file" id="f"> <div id="zone">here</div> <output></output>
		<script>
			const say = (how, file) => document.querySelector('output').textContent += how + ' ' + file.name + ' ' + file.size + '; ';
			f.onchange = () => say('chosen', f.files[0]);
			zone.ondragover = (e) => e.preventDefault();
			zone.ondrop = (e) => { e.preventDefault(); say('dropped', e.dataTransfer.files[0]) };
		</script>`)
	tab.Upload("#f", file)
	tab.AwaitText("output", "chosen séance <b>.pdf 5;")
	tab.Drop("#zone", file)
	tab.AwaitText("output", "dropped séance <b>.pdf 5;")
	Eval[any](tab, `document.querySelector('output').textContent = f.value = ''`)
	Eval[any](tab, `f.focus()`)
	tab.Choose(func() { tab.Press("Enter") }, file)
	tab.AwaitText("output", "chosen séance <b>.pdf 5;")
	tab.WantNoErrors()
}

func TestWithoutScriptsNoneRunsButOurs(t *testing.T) {
	tab := Start(t).Open(t, Wide)
	tab.DisableScripts()
	tab.Go(site(t, map[string]string{"/": document(`<p>before</p><noscript>none</noscript><script>document.querySelector('p').textContent = 'after'</script>`)}))
	if text := tab.Text("p"); text != "before" {
		t.Errorf("the page says %q: a script ran", text)
	}
	if !tab.Has("noscript") {
		t.Error("the page does not show what is for browsers without scripts")
	}
}

func TestPagesThatScrollSidewaysAreSeen(t *testing.T) {
	tab := open(t, `<p id="wide" style="width: 400px; margin: 0">wide</p><div style="overflow: auto"><p style="width: 2000px">may</p></div>`)
	if wide := tab.TooWide(); len(wide) != 0 {
		t.Errorf("at 1280 pixels: %q", wide)
	}
	tab.Resize(Narrow)
	if wide := strings.Join(tab.TooWide(), "\n"); !strings.Contains(wide, `id="wide"`) {
		t.Errorf("at 320 pixels: %q", wide)
	}
	path := filepath.Join(t.TempDir(), "a.png")
	tab.Screenshot(path)
	if raw, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(raw), "\x89PNG") {
		t.Errorf("no picture: %v", err)
	}
}

func TestAxeFindsWhatIsWrong(t *testing.T) {
	tab := open(t, `<p style="color: #999; background: #fff">pale</p><img src="data:,">`)
	all := strings.Join(tab.Axe(), "\n")
	for _, want := range []string{"color-contrast (serious)", "image-alt (critical)"} {
		if !strings.Contains(all, want) {
			t.Errorf("axe-core finds\n%s\nwant %s among it", all, want)
		}
	}
	open(t, "<p>fine</p>").WantAccessible()
}
