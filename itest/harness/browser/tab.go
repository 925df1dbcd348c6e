package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"ancre/itest/harness"
)

// Viewport is the size of a window, in the pixels of its style sheets.
type Viewport struct {
	Width, Height int64
	Scale         float64 // device pixels for each of them
}

// The windows in which a page must work.
var (
	Wide   = Viewport{1280, 800, 1}
	Narrow = Viewport{320, 640, 1}
	// Zoomed is Wide at a zoom of 200 %: half as many pixels, each twice as large.
	Zoomed = Viewport{640, 400, 2}
)

// patience bounds one action in a tab, on a machine that has other things to do.
const patience = 60 * time.Second

// Tab is a tab with a profile of its own. It belongs to one test, and to one goroutine.
type Tab struct {
	testing.TB
	ctx   context.Context
	watch *watch
}

// Open opens an empty tab, which is closed when the test ends. Then the test fails if the tab asked
// another host than the one of its first page and those that [Tab.Allow] names.
func (b *Browser) Open(t testing.TB, v Viewport) *Tab {
	t.Helper()
	w, err := newWatch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(func(p *target.CreateBrowserContextParams) {
		p.ProxyServer = w.proxy.Addr().String()
	}))
	tab := &Tab{TB: t, ctx: ctx, watch: w}
	t.Cleanup(func() {
		cancel()
		for _, foreign := range w.close() {
			t.Errorf("the tab asked another host: %s", foreign)
		}
	})
	// The first action binds the tab's life to its context, so it has no time limit.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	tab.must("watch the tab", chromedp.Listen(ctx, w.see))
	tab.denyDownloads()
	tab.Resize(v)
	return tab
}

// must ends the test if an action of the tab failed.
func (t *Tab) must(what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v%s", what, err, t.watch.said())
	}
}

// do runs actions of chromedp within the time limit.
func (t *Tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	t.must(what, chromedp.Do(ctx, steps...))
}

// command sends one command of the DevTools protocol.
func command[P, R any](t *Tab, cmd cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	return chromedp.Call(ctx, cmd, params)
}

// Resize changes the window.
func (t *Tab) Resize(v Viewport) {
	t.Helper()
	t.do("resize the window", chromedp.EmulateViewport(v.Width, v.Height, chromedp.EmulateScale(v.Scale)))
}

// Enlarge makes the text twice as large, and nothing else, as a person may set in a browser.
func (t *Tab) Enlarge() {
	t.Helper()
	_, err := command(t, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: 32, Fixed: 26}})
	t.must("enlarge the text", err)
}

// DisableScripts lets no script of the pages run from now on.
func (t *Tab) DisableScripts() {
	t.Helper()
	_, err := command(t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	t.must("disable scripts", err)
}

// Offline cuts the tab's network, or mends it.
func (t *Tab) Offline(cut bool) {
	t.Helper()
	_, err := command(t, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: cut, DownloadThroughput: -1, UploadThroughput: -1})
	t.must("cut the network", err)
}

// PrintMedia shows the page as it would be printed.
func (t *Tab) PrintMedia() {
	t.Helper()
	_, err := command(t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	t.must("show the page as printed", err)
}

func (t *Tab) denyDownloads() {
	t.Helper()
	t.must("deny downloads", t.downloads(browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorDeny}))
}

// DownloadTo has files that the page offers written into a directory, with the names that it gives
// them.
func (t *Tab) DownloadTo(dir string) {
	t.Helper()
	t.must("allow downloads", t.downloads(browser.SetDownloadBehaviorParams{Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}))
}

func (t *Tab) downloads(p browser.SetDownloadBehaviorParams) error {
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	p.BrowserContextID = chromedp.FromContext(t.ctx).BrowserContextID
	_, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, p)
	return err
}

// Go opens an address, waits until the page has loaded, and returns the status of the answer; a
// page from a file has none, 0.
func (t *Tab) Go(address string) int {
	t.Helper()
	t.watch.begin(address)
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.NavigateResponse(address))
	t.must("open "+address, err)
	if answer == nil {
		return 0
	}
	return int(answer.Status)
}

// Allow names another origin that the tab may ask, such as that of a page in a frame.
func (t *Tab) Allow(origin string) { t.watch.allow(origin) }

// Address is that of the page which the tab shows.
func (t *Tab) Address() string {
	t.Helper()
	return Eval[string](t, "location.href")
}

// Eval evaluates an expression of JavaScript in the page, and decodes its value. It waits for a
// promise.
func Eval[T any](t *Tab, expression string) (value T) {
	t.Helper()
	value, err := evaluate[T](t, expression)
	t.must("evaluate "+shortened(expression), err)
	return value
}

func evaluate[T any](t *Tab, expression string) (value T, err error) {
	yes := true
	answer, err := command(t, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ReturnByValue: &yes, AwaitPromise: &yes, UserGesture: &yes})
	if err != nil {
		return value, err
	}
	if answer.ExceptionDetails != nil {
		return value, errors.New(thrown(answer.ExceptionDetails))
	}
	if len(answer.Result.Value) == 0 {
		return value, nil // undefined
	}
	return value, json.Unmarshal(answer.Result.Value, &value)
}

func shortened(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// deep is a function of JavaScript that finds an element by its selector, in the page and in the
// shadow trees of custom elements.
const deep = `((selector) => {
	const find = (root) => {
		const found = root.querySelector(selector);
		if (found) return found;
		for (const host of root.querySelectorAll('*')) {
			const inside = host.shadowRoot && find(host.shadowRoot);
			if (inside) return inside;
		}
		return null;
	};
	return find(document);
})`

// element is an expression of JavaScript for the first element with a selector.
func element(selector string) string {
	quoted, _ := json.Marshal(selector)
	return deep + "(" + string(quoted) + ")"
}

// object returns the handle of an element, which must be there.
func (t *Tab) object(selector string) runtime.RemoteObjectID {
	t.Helper()
	answer, err := command(t, runtime.Evaluate, runtime.EvaluateParams{Expression: element(selector)})
	t.must("find "+selector, err)
	if answer.Result == nil || answer.Result.ObjectID == "" {
		t.Fatalf("the page %s has no element %q", t.Address(), selector)
	}
	return answer.Result.ObjectID
}

// Has reports whether the page has an element that can be seen.
func (t *Tab) Has(selector string) bool {
	t.Helper()
	return Eval[bool](t, "!!"+element(selector)+"?.checkVisibility()")
}

// Click clicks in the middle of the first element with a selector.
func (t *Tab) Click(selector string) {
	t.Helper()
	x, y := t.middle(selector)
	t.do("click "+selector, chromedp.MouseClickXY(x, y))
}

// Follow clicks a link and waits until its page has loaded. It returns the status of the answer.
func (t *Tab) Follow(selector string) int {
	t.Helper()
	x, y := t.middle(selector)
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, chromedp.MouseClickXY(x, y))
	t.must("follow "+selector, err)
	return int(answer.Status)
}

// middle scrolls an element into view and returns where its middle is.
func (t *Tab) middle(selector string) (x, y float64) {
	t.Helper()
	t.object(selector)
	at := Eval[[]float64](t, `(() => {
		const e = `+element(selector)+`;
		e.scrollIntoView({block: 'center', behavior: 'instant'});
		const r = e.getClientRects()[0] ?? e.getBoundingClientRect();
		return [r.x + r.width/2, r.y + r.height/2];
	})()`)
	return at[0], at[1]
}

// visibleText is a function of JavaScript that returns the text of an element as a person sees it,
// with that of shadow trees.
const visibleText = `((element) => {
	const skip = new Set(['SCRIPT', 'STYLE', 'TEMPLATE', 'NOSCRIPT']);
	const read = (node) => {
		if (node.nodeType === Node.TEXT_NODE) return node.data;
		if (node.nodeType === Node.ELEMENT_NODE && (skip.has(node.tagName) || !node.checkVisibility({visibilityProperty: true}))) return '';
		const children = node.tagName === 'SLOT' && node.assignedNodes().length ? node.assignedNodes() : (node.shadowRoot ?? node).childNodes;
		const text = [...children].map(read).join('');
		const inline = node.nodeType !== Node.ELEMENT_NODE || getComputedStyle(node).display.startsWith('inline');
		return inline ? text : '\n' + text + '\n';
	};
	return element ? read(element).replace(/[ \t\r\f]+/g, ' ').replace(/\s*\n\s*/g, '\n').trim() : '';
})`

// Text returns the text of the first element with a selector as a person sees it, "" if there is
// none.
func (t *Tab) Text(selector string) string {
	t.Helper()
	return Eval[string](t, visibleText+"("+element(selector)+")")
}

// AwaitText waits until the text of an element contains words, and returns all of it.
func (t *Tab) AwaitText(selector, words string) (text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	t.must("await", harness.Await(ctx, fmt.Sprintf("%q in %s", words, selector), func(context.Context) (bool, string, error) {
		var err error
		text, err = evaluate[string](t, visibleText+"("+element(selector)+")")
		if err != nil {
			return false, err.Error(), nil // a page that goes away has no context for a moment
		}
		return strings.Contains(text, words), text, nil
	}))
	return text
}

// AwaitTrue waits until an expression of JavaScript is true.
func (t *Tab) AwaitTrue(what, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, patience)
	defer cancel()
	t.must("await", harness.Await(ctx, what, func(context.Context) (bool, string, error) {
		value, err := evaluate[bool](t, "!!("+expression+")")
		if err != nil {
			return false, err.Error(), nil
		}
		return value, fmt.Sprint(value), nil
	}))
}

// TooWide names the elements that reach over the right edge of the window, if the page can be
// scrolled sideways. Scrolling inside an element, such as a wide table, is allowed.
func (t *Tab) TooWide() []string {
	t.Helper()
	return Eval[[]string](t, `(() => {
		const root = document.documentElement, wide = [];
		if (root.scrollWidth <= root.clientWidth) return wide;
		const look = (tree) => {
			for (const e of tree.querySelectorAll('*')) {
				if (e.shadowRoot) look(e.shadowRoot);
				const right = e.getBoundingClientRect().right;
				if (right > root.clientWidth + 0.5) wide.push(e.outerHTML.slice(0, 120) + ' reaches ' + Math.ceil(right) + ' of ' + root.clientWidth);
			}
		};
		look(document);
		return wide.length ? wide : ['the page is ' + root.scrollWidth + ' wide, of ' + root.clientWidth];
	})()`)
}

// Screenshot writes a picture of the whole page to a file, as PNG.
func (t *Tab) Screenshot(path string) {
	t.Helper()
	yes := true
	// A picture of the whole page has no scroll bars: it is as wide as the window.
	size := Eval[[]float64](t, `[innerWidth, document.documentElement.scrollHeight]`)
	answer, err := command(t, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &yes, Clip: &page.Viewport{Width: size[0], Height: size[1], Scale: 1},
	})
	t.must("take a picture", err)
	t.must("write the picture", os.WriteFile(path, answer.Data, 0o644))
}

// originOf returns the scheme and host of an address, "" if it has no host.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
