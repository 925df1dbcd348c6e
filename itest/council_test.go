package itest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

// document is a file that a clerk adds to the register.
type document struct {
	meeting string // the name of a meeting in council.meetings
	kind    string
	number  string
	title   string
	name    string // of the file
	content string
	hidden  bool // never published
	listed  bool // published, but the file itself is not offered

	digest string
	path   string
}

// council is an authority with its node, its register and its public page. Its documents are in
// every state that the page can show.
type council struct {
	*world
	register *harness.Register
	meetings map[string]string // "held" to the ID
	docs     []*document

	changed   [2]*document // the first was replaced by the second
	withdrawn *document
}

// The files of the council. Each has a name that no other has, because the tests search for them.
var (
	heldDocuments = []*document{
		{kind: "convocation", title: "Convocation du conseil municipal", name: "convocation.pdf"},
		{kind: "agenda", title: "Ordre du jour", name: "ordre-du-jour.pdf"},
		{kind: "note", title: "Note explicative de synthèse", name: "note-de-synthese.pdf"},
		{kind: "draft", title: "Projet : tarifs de la cantine", name: "projet-tarifs-cantine.pdf"},
		{kind: "deliberation", number: "2026-041", title: "Tarifs de la cantine scolaire", name: "2026-041-tarifs-cantine.pdf"},
		{kind: "deliberation", number: "2026-042", title: "Réfection de la rue de l’Église", name: "2026-042-rue-eglise.pdf"},
		{kind: "deliberation", number: "2026-043", title: "Subventions aux associations", name: "2026-043-subventions.pdf"},
		{kind: "minutes", title: "Procès-verbal de la séance", name: "proces-verbal.pdf"},
		{kind: "annex", title: "Plan de la rue de l’Église", name: "plan-rue-eglise.pdf", listed: true},
		{kind: "annex", title: "Rapport confidentiel sur un agent", name: "rapport-agent-confidentiel.pdf", hidden: true},
	}
	lastYearDocuments = []*document{
		{kind: "deliberation", number: "2025-098", title: "Budget primitif", name: "2025-098-budget.pdf"},
		{kind: "act", number: "2025-A12", title: "Arrêté de voirie", name: "2025-a12-arrete.pdf"},
	}
	nextDocuments = []*document{
		{kind: "convocation", title: "Convocation de la prochaine séance", name: "convocation-prochaine.pdf"},
		{kind: "agenda", title: "Ordre du jour de la prochaine séance", name: "ordre-du-jour-prochaine.pdf"},
		{kind: "draft", title: "Brouillon secret du maire", name: "brouillon-secret.pdf", hidden: true},
	}
	// A meeting that the clerk prepares, and nobody knows of yet.
	secretDocuments = []*document{
		{kind: "agenda", title: "Ordre du jour du comité secret", name: "comite-secret.pdf", hidden: true},
	}
	// Names that try to become markup, an address, another extension, or the whole width of a page.
	oddDocuments = []*document{
		{kind: "annex", title: `<img src=x onerror="document.title='taken'">`, name: `<img src=x onerror=document.title='taken'>.pdf`},
		{kind: "annex", title: `"><script>document.title='taken'</script>`, name: `"><script>document.title='taken'<%2fscript>.html`},
		{kind: "annex", title: "javascript:document.title='taken'", name: "javascript:document.title='taken'"},
		{kind: "annex", title: "{{.Secret}} ${secret} &lt;b&gt;", name: "{{.Secret}}&lt;b&gt;.svg"},
		{kind: "annex", title: strings.Repeat("é", 120), name: strings.Repeat("é", 125) + "a.pdf"},
		{kind: "annex", title: "Trois points", name: "..."},
		{kind: "annex", title: "Sens inverse", name: "plan\u202efdp.exe"},
	}
)

// newCouncil makes an authority whose page has something of everything.
func newCouncil(t *testing.T) *council {
	t.Helper()
	c := &council{world: newWorldFor(t, "btcd", 3*patience), meetings: make(map[string]string)}
	c.startFunded()
	c.newRegister()
	now := time.Now()
	c.meet("last year", now.AddDate(-1, 0, -3), "Conseil municipal : budget", "held")
	c.meet("held", now.AddDate(0, 0, -40), "", "held")
	c.meet("odd", now.AddDate(0, 0, -10), "", "held", "--body", "travaux")
	c.meet("next", now.AddDate(0, 0, 14), "", "convoked")
	c.meetings["secret"] = c.newMeeting(now.AddDate(0, 0, 21), "Comité secret", "planned", "--body", "travaux")

	c.add("held", heldDocuments)
	c.add("last year", lastYearDocuments)
	c.add("odd", oddDocuments)
	c.add("secret", secretDocuments)
	c.add("", []*document{{kind: "act", number: "2026-A07", title: "Arrêté de circulation", name: "2026-a07-arrete.pdf"}})
	c.anchor(6, "complete")

	first := c.named("2026-043-subventions.pdf")
	second := &document{kind: first.kind, number: first.number, title: first.title, name: first.name, content: "corrected"}
	c.add("held", []*document{second})
	c.changed = [2]*document{first, second}
	c.withdrawn = c.named("projet-tarifs-cantine.pdf")
	c.verb("withdraw", c.withdrawn.digest)
	c.anchor(1, "mined")

	c.add("next", nextDocuments)
	c.awaitStates("pending")
	return c
}

// newRegister starts the council's register.
func (c *council) newRegister() {
	c.Helper()
	r, err := harness.NewRegister(bin, c.daemon, c.TempDir(), false)
	c.must(err)
	c.Cleanup(func() {
		if err := r.Kill9(); err != nil {
			c.Error(err)
		}
		if c.Failed() {
			c.Logf("the end of the log of ancre-register:\n%s", r.Log(40))
		}
	})
	r.Set("page", "name", `"Commune de Trébeurnec"`)
	r.Set("body.conseil", "name", `"Conseil municipal"`)
	r.Set("body.conseil", "name_en", `"Municipal council"`)
	r.Set("body.travaux", "name", `"Commission des travaux"`)
	r.Set("body.travaux", "name_en", `"Works committee"`)
	r.Set("body.travaux", "clear_days", "0")
	c.register = r
	c.must(r.Start(c.ctx))
}

// verb runs a verb of ancre-register, which must succeed.
func (c *council) verb(args ...string) string {
	c.Helper()
	res, err := c.register.Run(c.ctx, args...)
	c.must(err)
	if res.Code != 0 {
		c.Fatalf("ancre-register %s: exit status %d\n%s%s", strings.Join(args, " "), res.Code, res.Stdout, res.Stderr)
	}
	return res.Stdout
}

// meet adds a meeting and publishes it.
func (c *council) meet(name string, day time.Time, title, state string, more ...string) {
	c.Helper()
	c.meetings[name] = c.newMeeting(day, title, state, append(more, "--publish")...)
}

func (c *council) newMeeting(day time.Time, title, state string, more ...string) (id string) {
	c.Helper()
	args := append([]string{"meeting", "add", day.Format(time.DateOnly), "--time", "18:30", "--place", "Salle du conseil", "--state", state, "--json"}, more...)
	if title != "" {
		args = append(args, "--title", title)
	}
	var made struct {
		ID string `json:"id"`
	}
	out := c.verb(args...)
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.ID == "" {
		c.Fatalf("meeting add prints %q: %v", out, err)
	}
	return made.ID
}

// add writes documents into files and adds them to a meeting.
func (c *council) add(meeting string, docs []*document) {
	c.Helper()
	dir := c.TempDir()
	for _, from := range docs {
		d := *from // each council has its own
		d.meeting = meeting
		d.path = filepath.Join(dir, d.name)
		if d.content == "" {
			d.content = "%PDF-1.7\n% " + d.title + "\n"
		}
		d.digest = fmt.Sprintf("%x", sha256.Sum256([]byte(d.content)))
		c.must(os.WriteFile(d.path, []byte(d.content), 0o600))
		c.verb(c.addArgs(&d)...)
		*from = d
		c.docs = append(c.docs, from)
	}
}

func (c *council) addArgs(d *document) []string {
	args := []string{"add", d.path, "--kind", d.kind, "--title", d.title}
	if d.meeting != "" {
		args = append(args, "--meeting", c.meetings[d.meeting])
	}
	if d.number != "" {
		args = append(args, "--number", d.number)
	}
	switch {
	case d.hidden:
	case d.listed:
		args = append(args, "--publish", "--list-only")
	default:
		args = append(args, "--publish")
	}
	return args
}

// named returns a document by the name of its file.
func (c *council) named(name string) *document {
	c.Helper()
	i := slices.IndexFunc(c.docs, func(d *document) bool { return d.name == name })
	if i < 0 {
		c.Fatalf("no document %q", name)
	}
	return c.docs[i]
}

// anchor has the node pay for everything, and mines blocks on it until the page shows a state.
func (c *council) anchor(blocks int, state string) {
	c.Helper()
	c.awaitStates("pending")
	for range blocks {
		c.closeAndMine()
	}
	c.awaitStates(state)
}

// closeAndMine mines a block with the payment of all batches.
func (c *council) closeAndMine() {
	c.Helper()
	c.call(nil, "closebatch")
	c.must(harness.Await(c.ctx, "every payment to be in a block or on its way", func(ctx context.Context) (bool, string, error) {
		// First the batches: one that has a payment by now has it among the anchors too.
		sealed := slices.ContainsFunc(c.batches(), func(b rpc.Batch) bool { return b.State == "sealed" })
		anchors, err := c.anchorsNow(ctx)
		if err != nil {
			return false, "", err
		}
		txids, err := c.node.Mempool(ctx)
		for _, a := range anchors {
			if a.State == "broadcast" && !slices.Contains(txids, a.TxID) {
				return false, "not in the mempool: " + a.TxID, err
			}
		}
		return !sealed, fmt.Sprintf("a batch waits for its payment: %t", sealed), err
	}))
	c.mine(1)
}

// byte256 is the answer to a look-up by the first byte of a digest.
type byte256 struct {
	First, Network string
	Digests        map[string]listedDigest
}

// listedDigest is what the register tells the check tool of a digest.
type listedDigest struct {
	Kind, Title, State, Page, OTS string
	FileName                      string `json:"file_name"`
	Meeting                       string
	OnlineSince                   string `json:"online_since"`
	Withdrawn                     any
	ReplacedBy                    string `json:"replaced_by"`
	Height                        int
}

// lookUp asks the page for a digest as the check tool does.
func (c *council) lookUp(ctx context.Context, digest string) (d listedDigest, found bool, err error) {
	a, err := fetch(ctx, c.register.URL(), "/empreintes/"+digest[:2]+".json")
	if err != nil {
		return d, false, err
	}
	var list byte256
	if err := json.Unmarshal(a.body, &list); err != nil {
		return d, false, fmt.Errorf("%s: %w: %.200s", a.path, err, a.body)
	}
	d, found = list.Digests[digest]
	return d, found, nil
}

// order of the states: a proof that is further is as good.
var stateOrder = []string{"waiting", "pending", "mined", "complete"}

// awaitStates waits until the page shows each published document in a state, or further.
func (c *council) awaitStates(state string) {
	c.Helper()
	for _, d := range c.docs {
		if d.hidden {
			continue
		}
		c.must(harness.Await(c.ctx, d.name+" to be "+state+" on the page", func(ctx context.Context) (bool, string, error) {
			have, found, err := c.lookUp(ctx, d.digest)
			if err != nil || !found {
				return false, "not listed", err
			}
			at := slices.Index(stateOrder, have.State)
			if at < 0 {
				return false, "", errors.New("no such state: " + have.State)
			}
			return at >= slices.Index(stateOrder, state), have.State, nil
		}))
	}
}
