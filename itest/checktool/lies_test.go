package checktool

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"ancre/headers"
	"ancre/itest/harness/browser"
	"ancre/proof"
)

// lie is what a hostile server says of the minutes, which are published and anchored. Whatever it
// is, the tool must not call them authentic and anchored.
type lie struct {
	name            string
	tell            func(w *world) behaviour
	result, because string
	says            string // in the report
}

// listLie makes a lie in the entry of the minutes.
func listLie(change func(w *world, e entry)) func(*world) behaviour {
	return wholeListLie(func(w *world, _ string, l map[string]any) {
		if e := entryOf(l, w.minutes); e != nil {
			change(w, e)
		}
	})
}

// wholeListLie makes a lie in a list.
func wholeListLie(change func(w *world, first string, l map[string]any)) func(*world) behaviour {
	return func(w *world) behaviour {
		return behaviour{list: func(first string, l map[string]any) { change(w, first, l) }}
	}
}

// headersLie makes a lie in the headers. The checksum is right again after it.
func headersLie(change func(w *world, win *headers.Window)) func(*world) behaviour {
	return func(w *world) behaviour {
		return behaviour{window: func(data []byte) []byte {
			win, err := headers.ParseWindow(data)
			if err != nil {
				panic(err)
			}
			win.Raw = bytes.Clone(win.Raw)
			change(w, win)
			return win.Encode()
		}}
	}
}

// bytesLie makes a lie in the bytes of a window.
func bytesLie(change func(data []byte) []byte) func(*world) behaviour {
	return func(*world) behaviour { return behaviour{window: change} }
}

// answerLie answers requests for addresses that begin so.
func answerLie(prefix string, answer http.HandlerFunc) func(*world) behaviour {
	return func(*world) behaviour {
		return behaviour{answer: func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, prefix) {
				return false
			}
			answer(rw, r)
			return true
		}}
	}
}

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// at is header h of a window, to be changed in place.
func at(win *headers.Window, height int64) []byte {
	return win.Raw[(height-win.First)*headers.Size:][:headers.Size]
}

// proofLies are about the proof in the list.
func proofLies() []lie {
	return []lie{
		{"the proof of another document", listLie(func(w *world, e entry) { e["ots"] = base64Of(w.budget.proof) }), "invalid", "listed-bad", "of another file"},
		{"another document's proof with this digest written into it", listLie(func(w *world, e entry) {
			forged := bytes.Replace(w.budget.proof, w.budget.digest[:], w.minutes.digest[:], 1)
			e["ots"] = base64Of(forged)
		}), "invalid", "listed-bad", "does not contain it"},
		{"a proof with a changed step", listLie(func(w *world, e entry) {
			nonce := nonceOf(w.minutes)
			changed := nonce
			changed[5] ^= 1
			e["ots"] = base64Of(bytes.Replace(w.minutes.proof, nonce[:], changed[:], 1))
		}), "invalid", "listed-bad", "does not contain it"},
		{"a proof that names the block after", listLie(func(w *world, e entry) {
			p := bytes.Clone(w.minutes.proof)
			p[len(p)-1]++ // the height, in one byte
			e["ots"], e["height"] = base64Of(p), anchoredAt+1
		}), "invalid", "listed-bad", "does not contain it"},
		{"a proof that names a block that is not there", listLie(func(w *world, e entry) {
			p := bytes.Clone(w.budget.proof[:0])
			p = append(p, w.minutes.proof[:len(w.minutes.proof)-2]...)
			e["ots"] = base64Of(append(p, 2, 0xf8, 0x0a)) // block 1400, in two bytes
		}), "invalid", "unchecked", "are missing"},
		{"a proof that is noise", listLie(func(_ *world, e entry) { e["ots"] = base64Of(bytes.Repeat([]byte{0xa5}, 3000)) }), "invalid", "listed-bad", "damaged"},
		{"a proof that is cut", listLie(func(w *world, e entry) { e["ots"] = base64Of(w.minutes.proof[:len(w.minutes.proof)-3]) }), "invalid", "listed-bad", "damaged"},
		{"no proof of a complete document", listLie(func(_ *world, e entry) { delete(e, "ots") }), "invalid", "listed-unproven", ""},
		{"a proof that is no base64", listLie(func(_ *world, e entry) { e["ots"] = "%%%" }), "invalid", "listed-unproven", ""},
		{"a promise in the place of a proof", listLie(func(w *world, e entry) {
			f, _ := proof.Pending(w.minutes.digest, [32]byte{}, "https://liar.example.org")
			p, _ := f.Marshal()
			e["ots"] = base64Of(p)
		}), "pending", "promised", "proves nothing"},
	}
}

// headerLies are about the window.
func headerLies() []lie {
	return []lie{
		{"a header with another Merkle root", headersLie(func(_ *world, win *headers.Window) { at(win, anchoredAt)[40] ^= 1 }), "invalid", "unchecked", "false or damaged"},
		{"a header without work", headersLie(func(w *world, win *headers.Window) {
			h := w.chain[tip]
			for hasWork(&h) {
				h.Nonce++
			}
			copy(at(win, tip), headers.Raw(&h))
		}), "invalid", "unchecked", "proof of work is missing"},
		{"a chain that is cut before the block", headersLie(func(w *world, win *headers.Window) { *win = *w.window(0, anchoredAt-1) }), "invalid", "unchecked", "are missing"},
		{"a chain that begins after the block", headersLie(func(w *world, win *headers.Window) { *win = *w.window(anchoredAt+1, tip) }), "invalid", "unchecked", "are missing"},
		{"a chain with a broken link", headersLie(func(w *world, win *headers.Window) {
			win.Raw = append(win.Raw[:130*headers.Size], win.Raw[131*headers.Size:]...)
		}), "invalid", "unchecked", "the chain is broken"},
		{"the header of another block in this place", headersLie(func(w *world, win *headers.Window) { copy(at(win, anchoredAt), headers.Raw(&w.chain[newsAt])) }), "invalid", "unchecked", "the chain is broken"},
		{"a shifted height", headersLie(func(_ *world, win *headers.Window) { win.First++ }), "invalid", "listed-bad", "does not contain it"},
		{"too few blocks", headersLie(func(w *world, win *headers.Window) { *win = *w.window(0, anchoredAt+4) }), "pending", "few-blocks", "5 blocks"},
		{"headers of another network", headersLie(func(_ *world, win *headers.Window) { win.Genesis = *chaincfg.SimNetParams.GenesisHash }), "invalid", "unchecked", "of another network"},
		{"a height that no block has", headersLie(func(_ *world, win *headers.Window) { win.First = 1 << 31 }), "invalid", "unchecked", "false or damaged"},
		{"a wrong checksum", bytesLie(func(data []byte) []byte { data[len(data)-1] ^= 1; return data }), "invalid", "unchecked", "checksum"},
		{"a window that is cut", bytesLie(func(data []byte) []byte { return data[:len(data)-50] }), "invalid", "unchecked", "false or damaged"},
		{"an empty window", bytesLie(func([]byte) []byte { return nil }), "invalid", "unchecked", "false or damaged"},
		{"cheap headers, said to be mainnet's", func(w *world) behaviour {
			b := headersLie(func(_ *world, win *headers.Window) { win.Genesis = *chaincfg.MainNetParams.GenesisHash })(w)
			b.list = func(_ string, l map[string]any) { l["network"] = "mainnet" }
			return b
		}, "invalid", "unchecked", "false or damaged"},
		{"a register of another network than the page's", func(*world) behaviour { return behaviour{attributes: `network="mainnet"`} }, "unknown", "other-network", "expects mainnet"},
		{"a network that does not exist", wholeListLie(func(_ *world, _ string, l map[string]any) { l["network"] = "moonnet" }), "invalid", "listed-unproven", ""},
	}
}

// listLies are about the list as a whole.
func listLies() []lie {
	return []lie{
		{"a list that begins with another byte", wholeListLie(func(_ *world, _ string, l map[string]any) { l["first"] = "00" }), "unknown", "no-register", "damaged"},
		{"a digest that does not belong into the list", wholeListLie(func(_ *world, _ string, l map[string]any) {
			l["digests"].(map[string]any)[strings.Repeat("00", 32)] = entry{}
		}), "unknown", "no-register", "damaged"},
		{"a digest that is none", wholeListLie(func(_ *world, first string, l map[string]any) { l["digests"].(map[string]any)[first+"zz"] = entry{} }), "unknown", "no-register", "damaged"},
		{"digests in an array", wholeListLie(func(w *world, _ string, l map[string]any) { l["digests"] = []string{w.minutes.hex()} }), "unknown", "no-register", "damaged"},
		{"a list without the document", wholeListLie(func(_ *world, _ string, l map[string]any) { l["digests"] = entry{} }), "unknown", "not-listed", "No published document"},
		{"an empty answer", answerLie("/empreintes/", func(http.ResponseWriter, *http.Request) {}), "unknown", "no-register", "damaged"},
		{"a list that is missing", answerLie("/empreintes/", http.NotFound), "unknown", "no-register", "404"},
	}
}

// transportLies are about how answers come.
func transportLies() []lie {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	drip := func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, `{"first":`)
		rw.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	elsewhere := func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "http://elsewhere.example.org"+r.URL.Path, http.StatusFound)
	}
	page := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, "<h1>Authentic and anchored</h1>")
	}
	refuse := func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusServiceUnavailable) }
	quick := func(tell func(*world) behaviour) func(*world) behaviour {
		return func(w *world) behaviour {
			b := tell(w)
			b.attributes = `timeout="1"`
			return b
		}
	}
	return []lie{
		{"a list that does not come", quick(answerLie("/empreintes/", hang)), "unknown", "no-register", "in time"},
		{"a list that comes slowly", quick(answerLie("/empreintes/", drip)), "unknown", "no-register", "in time"},
		{"headers that do not come", quick(answerLie("/entetes/", hang)), "invalid", "unchecked", "in time"},
		{"a list at another address", answerLie("/empreintes/", elsewhere), "unknown", "no-register", "does not answer"},
		{"headers at another address", answerLie("/entetes/", elsewhere), "invalid", "unchecked", "does not answer"},
		{"a page instead of a list", answerLie("/empreintes/", page), "unknown", "no-register", "web page"},
		{"a page instead of headers", answerLie("/entetes/", page), "invalid", "unchecked", "web page"},
		{"a refused list", answerLie("/empreintes/", refuse), "unknown", "no-register", "503"},
		{"refused headers", answerLie("/entetes/", refuse), "invalid", "unchecked", "503"},
		{"a list without end", answerLie("/empreintes/", func(rw http.ResponseWriter, _ *http.Request) { flood(rw) }), "unknown", "no-register", "more data"},
		{"headers without end", answerLie("/entetes/", func(rw http.ResponseWriter, _ *http.Request) { flood(rw) }), "invalid", "unchecked", "more data"},
		{"a list that is a bomb", answerLie("/empreintes/", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			flood(z)
			_ = z.Close()
		}), "unknown", "no-register", "more data"},
		{"a list that breaks off", answerLie("/empreintes/", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			fmt.Fprint(rw, `{"first":`)
		}), "unknown", "no-register", "does not answer"},
	}
}

// flood writes much more than the tool may read.
func flood(w interface{ Write([]byte) (int, error) }) {
	block := bytes.Repeat([]byte(" "), 1<<16)
	for range (64 << 20) / len(block) {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestNoLieIsCalledAuthenticAndAnchored(t *testing.T) {
	b := browser.Start(t)
	w := newWorld(t)
	for kind, lies := range map[string][]lie{"proofs": proofLies(), "headers": headerLies(), "lists": listLies(), "transport": transportLies()} {
		t.Run(kind, func(t *testing.T) {
			s := serve(t, w)
			tab := b.Open(t, browser.Wide)
			for _, l := range lies {
				s.behave(l.tell(w))
				tab.Go(s.URL + "/en/")
				tab.Upload(input, w.minutes.path)
				l.refuted(t, one(tab))
			}
		})
	}
}

// refuted wants the lie refused, as it says.
func (l lie) refuted(t *testing.T, f finding) {
	t.Helper()
	if f.Result == "anchored" || strings.Contains(f.Heading, "anchored") {
		t.Errorf("%s: the tool believes it: %s", l.name, f.Heading)
	}
	if f.Result != l.result || f.Because != l.because || !strings.Contains(f.Text, l.says) {
		t.Errorf("%s: the tool says %s, because %s, want %s, because %s, with %q:\n%s", l.name, f.Result, f.Because, l.result, l.because, l.says, f.Text)
	}
	// What could not be checked does not pass for a finding.
	if unsure := f.Because == "unchecked" || f.Because == "no-register"; unsure && !strings.Contains(f.Heading, "cannot be checked") {
		t.Errorf("%s: the heading is %q", l.name, f.Heading)
	}
}
