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
	Visible    bool   // whether the focus can be seen: an outline or another change
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
	f.Visible = Eval[bool](t, `(() => {
		const look = (e) => {
			const s = getComputedStyle(e);
			return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor, s.textDecoration].join();
		};
		const e = `+focused+`;
		if (!e) return false;
		// The mark may be on the label or the box around a field that is not shown itself.
		const marked = [e, ...(e.labels ?? []), e.parentElement].filter(Boolean);
		const outlined = (e) => { const s = getComputedStyle(e); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0; };
		if (marked.some(outlined)) return true;
		const before = marked.map(look).join();
		e.blur();
		const after = marked.map(look).join();
		e.focus({focusVisible: true, preventScroll: true});
		return before !== after;
	})()`)
	return f
}

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
	const most = 500
	for range most {
		t.Press("Tab")
		// Each element is marked, so that the second visit of one is seen whatever the page calls
		// it.
		again := Eval[bool](t, `(() => {
			const e = `+focused+`;
			globalThis.tabbed ??= new Set();
			if (!e || tabbed.has(e)) return true;
			tabbed.add(e);
			return false;
		})()`)
		if again {
			return order
		}
		order = append(order, t.Focused())
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
