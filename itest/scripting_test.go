package itest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ancre/rpc"
)

const scriptingGuide = "docs/scripting.md"

// The sections of docs/scripting.md that explain JSON, each with the struct that is written. A
// struct without a name is called after the function that holds it. A section may explain several.
var explained = map[string][]string{
	"What ends a command":           {"command.tell", "ancred.failure"},
	"stamp, upgrade, verify, prune": {"ancre.fileResult"},
	"headers":                       {"verify.Trust"},
	"calendars":                     {"verify.Answer"},
	"seal":                          {"ancre.sealResult"},
	"receipt":                       {"ancre.receiptResult"},
	"info":                          {"ancre.explained"},
	"steps":                         {"proof.Line"},
	"headers export":                {"ancre.exportResult"},
	"headers window":                {"ancre.windowResult"},
	"headers checkpoints":           {"ancre.checkpointsResult"},
	"backup and `ancred restore`":   {"backup.Report", "ancre.rotationReport"},
	"`ancred check`":                {"findings.Report"},
	"findings":                      {"findings.Finding"},
	"doctor":                        {"ancre.showResults"},
	"results":                       {"doctor.Result"},
	"auth":                          {"ancre.authCommand"},
	"Other verbs":                   {"ancre.showBatch", "ancre.versionCommand"},
	"A digest: submit, submitbatch, getstatus":   {"rpc.Entry"},
	"A proof: getproof":                          {"rpc.Proof"},
	"A verification: verifyproof":                {"rpc.Verification"},
	"A batch: listbatches, getbatch, closebatch": {"rpc.Batch"},
	"Changes: waitchanges":                       {"rpc.Changes", "rpc.Change"},
	"An anchor: listanchors, getanchor":          {"rpc.Anchor"},
	"A version":                                  {"rpc.Version"},
	"The state of the daemon: getinfo":           {"rpc.Info"},
	"chain":                                      {"rpc.ChainInfo"},
	"peers":                                      {"rpc.Peer"},
	"anchors":                                    {"rpc.AnchorCounts"},
	"spending":                                   {"rpc.Spending"},
	"anchoring":                                  {"rpc.Anchoring"},
	"wallet":                                     {"rpc.WalletInfo"},
	"calendar":                                   {"rpc.CalendarInfo"},
	"metrics":                                    {"rpc.MetricsInfo"},
	"last_backup":                                {"rpc.LastBackup"},
	"backup_failure":                             {"rpc.Failure"},
	"A warning":                                  {"rpc.Warning"},
	"An address: getnewaddress":                  {"rpc.Address"},
	"A test: testnotify":                         {"rpc.NotifyTest"},
	"A balance: getbalance":                      {"rpc.Balance", "money.Outlook"},
	"Commands that are told of warnings":         {"notify.Event"},
	"A payment: sendtoaddress":                   {"rpc.Payment"},
	"A changed passphrase: changepassphrase":     {"rpc.ChangedPassphrase"},
	"A transaction: listtransactions":            {"rpc.Transaction"},
	"A created wallet: createwallet":             {"rpc.CreatedWallet"},
	"A fee estimate: estimatefee":                {"rpc.FeeEstimate"},
	"blocks":                                     {"rpc.FeeBlock"},
	"next_anchor":                                {"rpc.FeeStep"},
	"A header: getblockheader":                   {"rpc.HeaderInfo"},
	"The chain: getblockchaininfo":               {"rpc.BlockchainInfo"},
	"The connections: getnetworkinfo":            {"rpc.NetworkInfo"},
	"Error codes":                                {"rpc.Error"},
}

// Sections whose members are explained where they are embedded from.
var embedded = map[string]string{
	"receipt":                   "stamp, upgrade, verify, prune",
	"A proof: getproof":         "A digest: submit, submitbatch, getstatus",
	"wallet":                    "A balance: getbalance",
	"An address: getnewaddress": "A balance: getbalance",
	"Other verbs":               "A batch: listbatches, getbatch, closebatch",
}

// A script author reads no source. So docs/scripting.md names each member of each JSON document
// that the programs write, and no other.
func TestScriptingGuideExplainsEveryMember(t *testing.T) {
	wantMembers(t, sectionsOf(readFile(t, "../"+scriptingGuide)), explained, embedded, jsonStructs(t))
}

// wantMembers wants each section of a guide to name each member of the structs that it explains,
// and no other, and each struct to be explained. embedded are sections that explain a part of
// another.
func wantMembers(t *testing.T, sections map[string]string, explained map[string][]string, embedded map[string]string, structs map[string][]string) {
	t.Helper()
	said := make(map[string]bool) // the structs that a section explains
	for heading, names := range explained {
		text, ok := sections[heading]
		if !ok {
			t.Errorf("the guide has no section %q", heading)
			continue
		}
		members, whole := make(map[string]bool), text+sections[embedded[heading]]
		for _, name := range names {
			said[name] = true
			if structs[name] == nil {
				t.Errorf("the section %q explains %s, and there is no such struct", heading, name)
			}
			for _, member := range structs[name] {
				members[member] = true
				if !strings.Contains(whole, "`"+member+"`") {
					t.Errorf("the section %q does not name %q of %s", heading, member, name)
				}
			}
		}
		for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(text, -1) {
			for _, m := range aSpan.FindAllStringSubmatch(row[1], -1) {
				if !members[m[1]] {
					t.Errorf("the section %q explains %q, which %v does not have", heading, m[1], names)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(structs)) {
		if !said[name] {
			t.Errorf("no section of the guide explains %s %q", name, structs[name])
		}
	}
}

// jsonStructs returns the members of each struct that the programs write as JSON.
func jsonStructs(t *testing.T) map[string][]string {
	t.Helper()
	structs := structsIn(t, map[string]string{
		"../rpc/types.go": "rpc", "../rpc/errors.go": "rpc", "../cmd/ancre/*.go": "ancre", "../cmd/ancred/*.go": "ancred",
		"../internal/command/command.go": "command", "../internal/findings/findings.go": "findings", "../cmd/ancre/doctor/doctor.go": "doctor", "../internal/money/outlook.go": "money",
		"../verify/answer.go": "verify", "../verify/source.go": "verify", "../proof/explain.go": "proof", "../batcher/store/backup/report.go": "backup",
		"../notify/event.go": "notify",
	})
	// An embedded explanation has members and lines: only the lines are a document of their own.
	delete(structs, "proof.Explanation")
	if len(structs) < 35 {
		t.Fatalf("only %d structs were found", len(structs))
	}
	return structs
}

// structsIn returns the members of each struct with JSON names in the files that match a pattern.
// Each pattern comes with the name of its package.
func structsIn(t *testing.T, patterns map[string]string) map[string][]string {
	t.Helper()
	r := &structReader{tags: make(map[string][]string), embeds: make(map[string][]string)}
	for pattern, prefix := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %q, %v", pattern, found, err)
		}
		for _, path := range found {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			r.prefix = prefix
			for _, decl := range f.Decls {
				r.read(decl)
			}
		}
	}
	for name, embeds := range r.embeds {
		for _, e := range embeds {
			r.tags[name] = append(r.tags[name], r.tags[e]...)
		}
	}
	return r.tags
}

// structReader collects the JSON names of structs.
type structReader struct {
	prefix string
	tags   map[string][]string
	embeds map[string][]string // names of embedded structs
}

// read collects from one declaration.
func (r *structReader) read(decl ast.Decl) {
	in := ""
	if f, ok := decl.(*ast.FuncDecl); ok {
		in = f.Name.Name
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				r.add(n.Name.Name, s)
				return false
			}
		case *ast.StructType:
			r.add(in, n)
			return false
		}
		return true
	})
}

func (r *structReader) add(name string, s *ast.StructType) {
	name = r.prefix + "." + name
	var embeds []string
	for _, field := range s.Fields.List {
		if field.Tag == nil {
			if len(field.Names) == 0 {
				embeds = append(embeds, r.typeName(field.Type))
			}
			continue
		}
		tag, _ := strconv.Unquote(field.Tag.Value)
		if member, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ","); member != "" && member != "-" {
			r.tags[name] = append(r.tags[name], member)
		}
	}
	if r.tags[name] != nil {
		r.embeds[name] = embeds
	}
}

func (r *structReader) typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return r.typeName(e.X)
	case *ast.SelectorExpr:
		return fmt.Sprint(e.X) + "." + e.Sel.Name
	}
	return r.prefix + "." + fmt.Sprint(e)
}

// sectionsOf splits a guide at its headings, whatever their level.
func sectionsOf(text string) map[string]string {
	sections := make(map[string]string)
	for part := range strings.SplitSeq("\n"+text, "\n#") {
		heading, body, _ := strings.Cut(part, "\n")
		sections[strings.Trim(heading, "# ")] = body
	}
	return sections
}

// rows returns the first cells of a section's table, without backquotes, and the rest of each row.
func rows(section string) map[string]string {
	found := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+) \|(.*)$`).FindAllStringSubmatch(section, -1) {
		found[strings.Trim(m[1], "`")] = m[2]
	}
	return found
}

func TestScriptingGuideHasEveryMethodWithItsParametersAndRoles(t *testing.T) {
	table := rows(sectionsOf(readFile(t, "../"+scriptingGuide))["Methods"])
	delete(table, "method")
	for _, m := range rpc.Methods() {
		row, ok := table[m.Name]
		delete(table, m.Name)
		if !ok {
			t.Errorf("the guide does not have %s", m.Name)
			continue
		}
		cells := strings.Split(row, "|")
		var params []string
		for _, p := range m.Params {
			params = append(params, p.Name)
		}
		var named []string
		for part := range strings.SplitSeq(cells[0], ",") {
			if name := aSpan.FindStringSubmatch(part); name != nil && slices.Contains(params, name[1]) {
				named = append(named, name[1])
			}
		}
		if !slices.Equal(named, params) {
			t.Errorf("the guide gives %s the parameters %q, it has %q", m.Name, named, params)
		}
		var roles []string
		for _, role := range m.Roles {
			roles = append(roles, string(role))
		}
		if len(roles) == 0 {
			roles = []string{"admin"}
		}
		if got := strings.TrimSpace(cells[2]); got != strings.Join(roles, ", ") {
			t.Errorf("the guide gives %s the roles %q, it has %q", m.Name, got, roles)
		}
	}
	for name := range table {
		if !strings.HasPrefix(name, "-") {
			t.Errorf("the guide has the method %q, the daemon does not", name)
		}
	}
}

// The codes and statuses that the sources name are those of the tables.
func TestScriptingGuideHasEveryCodeAndStatus(t *testing.T) {
	sections := sectionsOf(readFile(t, "../"+scriptingGuide))
	for _, table := range []struct {
		heading  string
		files    []string
		constant string
	}{
		{"Error codes", []string{"../rpc/errors.go"}, `(?m)^\tCode\w+ += (-\d+)`},
		{"Exit status", []string{"../cmd/ancre/root.go", "../internal/command/command.go"}, `(?m)^\t(?:exit\w+|Done|Failed|Usage|Pending) += (\d+)`},
		{"HTTP statuses", []string{"../rpc/server/*.go"}, `http\.(Status[A-Z]\w+)`},
	} {
		var found []string
		for _, pattern := range table.files {
			paths, err := filepath.Glob(pattern)
			if err != nil || len(paths) == 0 {
				t.Fatalf("%s: %q, %v", pattern, paths, err)
			}
			found = append(found, paths...)
		}
		want := make(map[string]bool)
		for _, path := range found {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, m := range regexp.MustCompile(table.constant).FindAllStringSubmatch(readFile(t, path), -1) {
				if number, ok := statuses[m[1]]; ok {
					m[1] = strconv.Itoa(number)
				}
				want[m[1]] = true
			}
		}
		have := make(map[string]bool)
		for cell := range rows(sections[table.heading]) {
			if _, err := strconv.Atoi(cell); err == nil {
				have[cell] = true
			}
		}
		if len(want) < 5 || !maps.Equal(want, have) {
			t.Errorf("the table %q has %v, the source has %v", table.heading, slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(want)))
		}
	}
}

var statuses = map[string]int{
	"StatusOK": http.StatusOK, "StatusNoContent": http.StatusNoContent, "StatusBadRequest": http.StatusBadRequest,
	"StatusUnauthorized": http.StatusUnauthorized, "StatusForbidden": http.StatusForbidden, "StatusNotFound": http.StatusNotFound,
	"StatusMethodNotAllowed": http.StatusMethodNotAllowed, "StatusRequestEntityTooLarge": http.StatusRequestEntityTooLarge,
	"StatusInternalServerError": http.StatusInternalServerError, "StatusServiceUnavailable": http.StatusServiceUnavailable,
}

// Each limit, as the source writes it and as the guide does.
func TestScriptingGuideHasEveryLimit(t *testing.T) {
	section := sectionsOf(readFile(t, "../"+scriptingGuide))["Limits"]
	for _, limit := range []struct{ file, source, guide string }{
		{"rpc/server/server.go", "maxBody = 4 << 20\n", "| one request | 4 MiB | status 413 |"},
		{"rpc/types.go", "const MaxDigests = 10_000\n", "| digests in one `submitbatch` | 10,000 |"},
		{"rpc/server/server.go", "maxCalls = 1_000\n", "| calls in one array | 1,000 |"},
		{"rpc/server/server.go", "maxAnswerBytes = 32 << 20\n", "| answers to one array together | 32 MiB |"},
		{"rpc/server/server.go", "maxArrays = 16\n", "| arrays answered at the same time | 16 |"},
		{"rpc/methods.go", "maxListed          = 1_000\n", "| entries of one list (`limit`, `count`) | 1,000 |"},
		{"rpc/server/request.go", "const maxDepth = 16\n", "| nested arrays and objects | 16 levels |"},
		{"rpc/server/request.go", "const maxMembers = 32\n", "| members of a call, and of named parameters | 32 |"},
		{"rpc/server/serve.go", "HeaderBytes: 16 << 10,", "| headers of a request | 16 KiB |"},
		{"rpc/server/serve.go", "Connections: 1_024,\n\tReserve:     64,", "| connections, all together | 1,024, of which 64 are kept for this machine |"},
		{"rpc/server/serve.go", "PerAddress:  256,", "| connections of one other address | 256 |"},
		{"rpc/server/serve.go", "Read:        time.Minute,", "| sending a request | 1 minute |"},
		{"rpc/server/serve.go", "Write:       5 * time.Minute,", "| running a call | 5 minutes |"},
		{"rpc/server/serve.go", "Idle:        2 * time.Minute,", "| an idle connection | 2 minutes |"},
		{"rpc/server/auth.go", "failureDelay = 250 * time.Millisecond\n", "answered after a quarter of a second"},
	} {
		if !strings.Contains(readFile(t, "../"+limit.file), limit.source) {
			t.Errorf("%s has no %q: change this test and the guide together", limit.file, limit.source)
		}
		if !strings.Contains(section, limit.guide) {
			t.Errorf("the guide does not have the limit %q", limit.guide)
		}
	}
}

// The words that a script compares are in the guide.
func TestScriptingGuideHasEveryWord(t *testing.T) {
	guide := readFile(t, "../"+scriptingGuide)
	for file, pattern := range map[string]string{
		"cmd/ancre/result.go":           `(?m)^\t\w+ +outcome = "(\w+)"`,
		"verify/answer.go":              `(?m)^\tAnswer\w+ +AnswerResult = "(\w+)"`,
		"internal/findings/findings.go": `(?m)^\t\w+ +Level = "(\w+)"`,
		"rpc/types.go":                  `(?m)^\t(?:Version|Format|Passphrase)\w+ += "(\w+)"`,
	} {
		wantWords(t, guide, file, pattern)
	}
}

// wantWords wants a guide to have each word that a file of the source has where a pattern finds it.
func wantWords(t *testing.T, guide, file, pattern string) {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(readFile(t, "../"+file), -1)
	if len(found) < 3 {
		t.Errorf("%s has only %d words", file, len(found))
	}
	for _, m := range found {
		if !strings.Contains(guide, "`"+m[1]+"`") {
			t.Errorf("the guide does not have %q of %s", m[1], file)
		}
	}
}
