package browser

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keys are the keys that [Tab.Press] knows by name.
var keys = map[string]string{
	"Tab": kb.Tab, "Enter": kb.Enter, "Space": " ", "Escape": kb.Escape, "Home": kb.Home, "End": kb.End,
	"Up": kb.ArrowUp, "Down": kb.ArrowDown, "Left": kb.ArrowLeft, "Right": kb.ArrowRight,
}

// Press presses keys one after the other: Tab, Enter, Space, Escape, Home, End, Up, Down, Left,
// Right, and any of them after Shift+.
func (t *Tab) Press(names ...string) {
	t.Helper()
	for _, name := range names {
		plain, shifted := strings.CutPrefix(name, "Shift+")
		key, known := keys[plain]
		if !known {
			t.Fatalf("no key is called %q", name)
		}
		var options []chromedp.KeyOption
		if shifted {
			options = append(options, chromedp.KeyModifiers(chromedp.ModifierShift))
		}
		t.do("press "+name, chromedp.KeyEvent(key, options...))
	}
}

// Type types a text where the focus is.
func (t *Tab) Type(text string) {
	t.Helper()
	t.do("type", chromedp.KeyEvent(text))
}

// Focus is the element that has the focus, as a screen reader hears it.
type Focus struct {
	Role, Name string // "", "": nothing has it
	HTML       string // the beginning of the element, for messages
	Visible    bool   // whether the focus can be seen; only TabThrough knows
}

func (f Focus) String() string { return fmt.Sprintf("%s %q", f.Role, f.Name) }

// focused is an expression for the element with the focus, in shadow trees too; null if none has
// it.
const focused = `(() => {
	let e = document.activeElement;
	while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
	return e === document.body || e === document.documentElement ? null : e;
})()`

// Focused returns the element that has the focus.
func (t *Tab) Focused() (f Focus) {
	t.Helper()
	answer, err := command(t, runtime.Evaluate, runtime.EvaluateParams{Expression: focused})
	t.must("find the focus", err)
	if answer.Result == nil || answer.Result.ObjectID == "" {
		return Focus{}
	}
	no := false
	tree, err := command(t, accessibility.GetPartialAXTree, accessibility.GetPartialAXTreeParams{ObjectID: answer.Result.ObjectID, FetchRelatives: &no})
	t.must("read the accessibility tree", err)
	for _, node := range tree.Nodes {
		f.Role, f.Name = valueOf(node.Role), valueOf(node.Name)
		break
	}
	f.HTML = Eval[string](t, focused+`?.outerHTML.slice(0, 160) ?? ''`)
	f.Visible = Eval[bool](t, `(`+looks+`)(`+focused+`, globalThis.unfocused?.get(`+focused+`) ?? '')`)
	return f
}

// looks is a function of JavaScript that says whether the focus on an element is seen: it has an
// outline, or looks otherwise than before. Without a look to compare with, it returns its own. The
// mark may be on the label or the box around a field that is not shown itself.
const looks = `((e, before) => {
	if (!e) return false;
	const marked = [e, ...(e.labels ?? []), e.parentElement].filter(Boolean).map((m) => getComputedStyle(m));
	if (before !== undefined && marked.some((s) => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0)) return true;
	const now = marked.map((s) => [s.outline, s.boxShadow, s.borderColor, s.backgroundColor, s.textDecoration].join()).join();
	return before === undefined ? now : before !== now;
})`

// rememberLooks is an expression that keeps how everything looks that may get the focus.
const rememberLooks = `(() => {
	const looks = ` + looks + `, kept = globalThis.unfocused = new Map();
	const look = (root) => {
		for (const e of root.querySelectorAll('*')) {
			if (e.shadowRoot) look(e.shadowRoot);
			if (e.tabIndex >= 0) kept.set(e, looks(e));
		}
	};
	look(document);
	return true;
})()`

func valueOf(v *accessibility.Value) (text string) {
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // a role or name is a string
	}
	return text
}

// TabThrough presses Tab from the beginning of the page until the focus has been everywhere, and
// returns the elements in their order.
func (t *Tab) TabThrough() (order []Focus) {
	t.Helper()
	Eval[bool](t, `(document.activeElement?.blur?.(), getSelection().removeAllRanges(), scrollTo(0, 0), delete globalThis.lastTabbed, delete globalThis.tabbed)`)
	Eval[bool](t, rememberLooks)
	const most = 500
	for range most {
		t.Press("Tab")
		// Elements are remembered, so that the second visit of one is seen whatever the page calls
		// it. A field for a date takes several Tabs.
		visit := Eval[string](t, `(() => {
			const e = `+focused+`;
			globalThis.tabbed ??= new Set();
			if (!e) return 'end';
			const known = tabbed.has(e), stays = globalThis.lastTabbed === e;
			tabbed.add(globalThis.lastTabbed = e);
			return stays ? 'stays' : known ? 'end' : 'next';
		})()`)
		switch visit {
		case "end":
			return order
		case "next":
			order = append(order, t.Focused())
		}
	}
	t.Fatalf("Tab does not come back to the beginning of %s after %d elements", t.Address(), most)
	return nil
}

// TabTo presses Tab until an element with a name and a role has the focus.
func (t *Tab) TabTo(role, name string) {
	t.Helper()
	const most = 500
	var seen []string
	for range most {
		t.Press("Tab")
		f := t.Focused()
		if f.Role == role && strings.Contains(f.Name, name) {
			return
		}
		if seen = append(seen, f.String()); f.Role == "" && len(seen) > 1 && seen[len(seen)-2] == f.String() {
			break
		}
	}
	t.Fatalf("Tab reaches no %s %q on %s; it reaches %s", role, name, t.Address(), strings.Join(seen, ", "))
}
