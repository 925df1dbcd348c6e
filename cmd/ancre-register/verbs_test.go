package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/register/control"
)

const digestOfHello = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03" // "hello\n"

// decode reads the JSON that a call printed.
func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.out), &v); err != nil {
		t.Fatalf("%v: %q, %q", err, a.out, a.err)
	}
	return v
}

// A clerk prepares a meeting, adds its documents, replaces one, publishes, and withdraws.
func TestAMeetingFromItsCreationOn(t *testing.T) {
	r := newRig(t, "")
	r.call("meeting", "add", "2026-12-15", "--time", "18:30", "--place", "Salle du conseil").is(0, "2026-12-15: added, 2026-12-15 18:30, conseil, Salle du conseil, planned, not on line")
	r.call("meeting", "add", "2026-12-15", "--time", "18:30").is(0, "2026-12-15: already there")
	r.call("meeting", "add", "2026-02-30").is(1, "there is no day 2026-02-30")
	r.call("meeting", "add", "2026-12-15", "--body", "bureau").is(1, `"bureau" is not a configured body`)
	r.call("meeting", "set", "2026-12-15", "--state", "convoked", "--title", "Budget").is(0, "Budget", "convoked")
	r.call("meeting", "set", "2026-12-15", "--state", "over").is(1, `"over"`, "planned, convoked, held")
	r.call("meeting", "list", "--from", "2026-01-01", "--to", "2026-12-15").is(0, "2026-12-15  2026-12-15 18:30")
	r.call("meeting", "list", "--to", "2026-12-14").is(0, "no meetings").lacks("18:30")

	convocation, d112 := r.write("convocation.pdf", "%PDF-1.4 1"), r.write("d112.pdf", "%PDF-1.4 2")
	r.call("add", "--meeting", "2026-12-15", "--kind", "Convocation", convocation).is(0, "added, convocation of meeting 2026-12-15, waits for the node")
	r.call("add", "--meeting", "2026-12-15", "--kind", "délibération", "--number", "2026-112", "--title", "Budget 2027", d112).is(0, "added, deliberation")
	r.call("add", "--meeting", "2026-12-15", "--kind", "deliberation", d112).is(0, "already there since")
	r.call("add", "--meeting", "2026-12-16", "--kind", "annex", d112).is(1, `there is no meeting "2026-12-16"`, "near that day there is 2026-12-15")

	first := decode[control.Documents](t, r.call("--json", "list", "--kind", "deliberation")).Documents[0]
	r.write("d112.pdf", "%PDF-1.4 3")
	r.call("add", "--meeting", "2026-12-15", "--kind", "deliberation", "--publish", d112).is(0, "added", "replaces d112.pdf", first.Digest, "meeting 2026-12-15 is on line now")
	r.call("show", first.Digest).is(3, "replaced", "by entry 3")
	all := decode[control.Documents](t, r.call("--json", "list", "--meeting", "2026-12-15"))
	if len(all.Documents) != 3 || all.Documents[1].ReplacedBy != 3 || all.Documents[2].Replaces != 2 || !all.Documents[2].Published || all.Documents[0].Published {
		t.Errorf("%+v", all)
	}
	r.call("publish", "--meeting", "2026-12-15", "--list-only").is(0, "listed")
	r.call("withdraw", d112).is(0, "1 document taken off line", "withdrawn")
	r.call("withdraw", d112).is(0, "0 documents taken off line")
	r.call("meeting", "show", "2026-12-15").is(0, "2026-112 Budget 2027 (d112.pdf)", "withdrawn", "not on line, replaced")
	r.call("meeting", "status", "2026-12-15").is(3, "5 clear days", "agenda", "awaited", "not complete: ").lacks("panic")
	if c := decode[control.MeetingStatus](t, r.call("--json", "meeting", "status", "2026-12-15")).Completeness; c.Complete || c.ConvokeBy != "2026-12-09" || len(c.Items) < 4 {
		t.Errorf("%+v", c)
	}
}

func TestAddTakesFoldersAndStandardInput(t *testing.T) {
	r := newRig(t, "")
	r.call("meeting", "add", "2026-12-15").is(0)
	for name, content := range map[string]string{
		"s/convocation/c.pdf": "1", "s/Procès-verbal/pv.pdf": "2", "s/convocation/c.pdf.ots": "x", "s/convocation/.hidden": "x", "s/misc/notes.txt": "3", "s/annexes/empty": "",
	} {
		r.write(name, content)
	}
	if err := os.Symlink("/etc/passwd", r.path("s/convocation/link")); err != nil {
		t.Fatal(err)
	}
	r.call("add", "-r", "--meeting", "2026-12-15", r.path("s")).is(1,
		"c.pdf: added, convocation", "pv.pdf: added, minutes", `notes.txt: without --kind, the folder of a file names its kind: "misc" is not a kind`,
		"empty: is empty: there is nothing to prove", "2 added, 0 already there, 2 failed, 3 left out")
	r.callIn(strings.NewReader("hello\n"), "add", "--kind", "act", "--name", "decision.txt", "-").is(0, "-: added, act of no meeting")
	r.callIn(strings.NewReader("hello\n"), "add", "--kind", "act", "--name", "decision.txt", "-").is(0, "-: already there")
	r.call("list", "--meeting", "none").is(0, "decision.txt").lacks("c.pdf")
	r.call("show", digestOfHello).is(3, "waits for the node", "decision.txt", "on line  no")
	r.call("add", "--kind", "act", r.path("nowhere"), r.write("good", "good")).is(1, "nowhere: no such file", "good: added")

	lines := strings.Split(strings.TrimSpace(r.call("--json", "add", "--kind", "act", r.path("nowhere"), r.path("good")).is(1).out), "\n")
	var failed, already addResult
	if len(lines) != 2 || json.Unmarshal([]byte(lines[0]), &failed) != nil || json.Unmarshal([]byte(lines[1]), &already) != nil {
		t.Fatalf("%q", lines)
	}
	if failed.Result != "failed" || failed.Reason == "" || already.Result != "already" || already.Kind != "act" || already.Proof.State != "waiting" {
		t.Errorf("%+v, %+v", failed, already)
	}
	if a := r.call("add", "-q", "--kind", "act", r.path("good")).is(0); a.out+a.err != "" {
		t.Errorf("-q says %q, %q", a.out, a.err)
	}
}

// Names of files come from strangers.
func TestHostileNames(t *testing.T) {
	r := newRig(t, "")
	evil := r.write("a\n<img src=x onerror=alert(1)>\x1b[2J\u202efdp.exe", "x")
	r.call("add", "--kind", "act", evil).lacks("\x1b", "\u202e")
	r.call("add", "--kind", "act", "--name", "../../etc/passwd", evil).is(1, "passwd")
	r.call("add", "--kind", "act", "--name", strings.Repeat("é", 200), evil).is(1, "bytes")
	r.call("list").lacks("\x1b", "\u202e")
}

func TestBackupRestoreAndExport(t *testing.T) {
	r := newRig(t, "")
	r.call("meeting", "add", "2026-12-15").is(0)
	r.call("add", "--meeting", "2026-12-15", "--kind", "act", "--publish", r.write("a.txt", "hello\n")).is(0)
	file := r.path("b.tar")
	r.call("backup", file).is(0, "1 document in 1 meeting")
	r.call("backup", file).is(1, "is there already", "--force")
	r.call("backup", "--force", file).is(0)
	r.call("status").is(0, "backup     ", file)
	raw := r.call("backup", "-").is(0)
	r.call("restore", "--check", file).is(0, "whole backup of a register")
	r.callIn(strings.NewReader(raw.out), "restore", "--check", "-").is(0, "standard input is a whole backup")
	r.callIn(strings.NewReader(raw.out[:len(raw.out)-600]), "restore", "--check", "-").is(1, "not whole")
	r.call("restore", file).is(1, "there already is a register")
	r.call("--datadir", r.path("new"), "restore", file).is(0, "restored to "+r.path("new"), "Now start the register")
	if _, err := os.Stat(filepath.Join(r.path("new"), "files", "58", digestOfHello)); err != nil {
		t.Error(err)
	}

	site := r.path("site")
	r.call("export", site).is(0, "0 removed")
	r.call("export", site).is(0, " 0 new or changed, 0 removed")
	if page, err := os.ReadFile(filepath.Join(site, "fr", "documents", digestOfHello+".html")); err != nil || !strings.Contains(string(page), digestOfHello) {
		t.Errorf("the page of the document: %v", err)
	}
	r.call("export", r.dir).is(1) // it holds other files
}

func TestCheckSaysWhetherItWouldStart(t *testing.T) {
	r := prepareRig(t, "")
	r.call("check").is(0, "fine     datadir: ", "will be made", "warning  node: ", "does not run", "ancre-register would start.")
	if a := r.call("check", "-q").is(0); strings.Contains(a.out, "fine ") {
		t.Errorf("-q says %q", a.out)
	}
	r.start()
	r.call("check").is(0, "a register runs in ", "not tried, a register runs")
	r.stop()
	r.write("register.conf", "datadir = \"data\"\nnetwork = \"regtest\"\n[page]\nlisten = \"off\"\nlogo = \"nowhere.png\"\n[watch]\ndir = \"nowhere\"\n[node]\nrpc = \"192.0.2.1:1\"\n")
	r.call("check").is(1, "warning  watch.dir: ", "error    node: ", "on another machine", "would not start")
	r.write("register.conf", "datadir = \"data\"\nnetwork = \"regtest\"\n[page]\nlogo = \"nowhere.png\"\n")
	r.call("--json", "check").is(1, `"starts": false`, `"about": "page"`, "nowhere.png")
	r.write("register.conf", "datadir = \"data\"\n[control]\nsocket = \"/"+strings.Repeat("x", 120)+"\"\n")
	r.call("check").is(1, "error    control.socket: ", "set control.socket to a shorter one")
}
