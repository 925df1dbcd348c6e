package itest

import (
	"maps"
	"slices"
	"testing"
)

const registerGuide = "docs/register.md"

// The sections of docs/register.md that explain JSON, each with the structs that are written.
var explainedByRegister = map[string][]string{
	"For scripts": {"command.tell"},
	"A document: list, show, publish, withdraw": {"control.Document", "control.Documents", "control.Selected"},
	"proof": {"control.Proof"},
	"add":   {"control.AddedDocument", "register.addResult"},
	"A meeting: meeting add, list, show, status, set": {"control.Meeting", "control.AddedMeeting", "control.Meetings", "control.MeetingStatus"},
	"completeness": {"control.Completeness", "control.Item"},
	"status": {
		"control.Status", "control.ProofCount", "control.NodeStatus", "control.PageStatus", "control.DiskStatus", "control.Body", "control.Warning",
		"control.BackupReport",
	},
	"backup, restore, export, check": {"register.backupResult", "register.exportResult", "backup.Summary", "findings.Report", "findings.Finding"},
}

// A script author reads no source. So docs/register.md names each member of each JSON document that
// ancre-register writes, and no other.
func TestRegisterGuideExplainsEveryMember(t *testing.T) {
	structs := structsIn(t, map[string]string{
		"../register/control/types.go": "control", "../cmd/ancre-register/*.go": "register", "../register/backup/backup.go": "backup",
		"../internal/command/command.go": "command", "../internal/findings/findings.go": "findings",
	})
	for _, asked := range []string{"NewMeeting", "MeetingUpdate", "Selection"} { // what the verbs ask the daemon
		delete(structs, "control."+asked)
	}
	delete(structs, "backup.Header") // in the archive: docs/register-format.md has it
	delete(structs, "register.versionCommand")
	if len(structs) < 20 {
		t.Fatalf("only %d structs were found: %q", len(structs), slices.Sorted(maps.Keys(structs)))
	}
	sections := sectionsOf(readFile(t, "../"+registerGuide))
	// What is added is a document.
	wantMembers(t, sections, explainedByRegister, map[string]string{"add": "A document: list, show, publish, withdraw"}, structs)
}

// The words that a script compares are in the guide.
func TestRegisterGuideHasEveryWord(t *testing.T) {
	guide := readFile(t, "../"+registerGuide)
	for file, pattern := range map[string]string{
		"register/control/errors.go":    `(?m)^\tCode\w+ += "(\w+)"`,
		"register/store/proof.go":       `(?m)^\t\w+ +ProofState = "(\w+)"`,
		"register/store/meeting.go":     `(?m)^\t\w+ +MeetingState = "(\w+)"`,
		"register/law/completeness.go":  `(?m)^\t\w+ +State = "(\w+)"`,
		"internal/findings/findings.go": `(?m)^\t\w+ +Level = "(\w+)"`,
	} {
		wantWords(t, guide, file, pattern)
	}
}
