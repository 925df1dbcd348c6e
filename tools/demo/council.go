package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ancre/itest/harness"
)

// The documents of the council's meeting.
const (
	convocation = "convocation.txt"
	budget      = "budget.txt"
)

var meetingFiles = []struct{ name, kind, title, text string }{
	{convocation, "convocation", "Convocation", "You are invited to the meeting of the municipal council, at 18:30 in the town hall.\n"},
	{"agenda.txt", "agenda", "Agenda", "1. Approval of the minutes\n2. Budget\n"},
	{budget, "deliberation", "Budget", "The council adopts the budget.\n"},
}

// openRegister starts the second daemon.
func (s *stage) openRegister(ctx context.Context, bin harness.Binaries) (err error) {
	s.heading("A council's register")
	s.say("ancre-register keeps what the hashes are of: meetings, documents and their proofs. It is a client of ancred, has a\n" +
		"public page, and shows there only what the clerk publishes.")
	if s.register, err = harness.NewRegister(bin, s.daemon, filepath.Join(s.state, "register"), s.keep); err != nil {
		return err
	}
	s.register.Set("page", "name", `"Demoville"`)
	if err := s.register.Start(ctx); err != nil {
		return err
	}
	s.show("ancre-register serve --config "+s.register.Config, "")
	day := time.Now().AddDate(0, 0, 14).Format(time.DateOnly)
	out, err := s.clerk(ctx, "meeting", "add", day, "--time", "18:30", "--place", "Town hall", "--state", "convoked", "--publish")
	if err != nil {
		return err
	}
	s.meeting, _, _ = strings.Cut(out, ":")
	return nil
}

// addDocuments is what a clerk does.
func (s *stage) addDocuments(ctx context.Context) error {
	s.heading("The meeting's documents")
	s.say("Each file goes into the register, and its hash to ancred, which anchors it with the next batch. What the verb\n" +
		"reports as added is on disk.")
	for _, f := range meetingFiles {
		if err := os.WriteFile(filepath.Join(s.files, f.name), []byte(f.text), 0o600); err != nil {
			return err
		}
		if _, err := s.clerk(ctx, "add", f.name, "--meeting", s.meeting, "--kind", f.kind, "--title", f.title, "--publish"); err != nil {
			return err
		}
	}
	if err := s.awaitDocuments(ctx, "pending"); err != nil {
		return err
	}
	s.say("The batch is closed now, its payment is mined, and five blocks follow.")
	if err := s.daemon.Call(ctx, nil, "closebatch"); err != nil {
		return err
	}
	if err := s.mineSecond(ctx); err != nil {
		return err
	}
	if err := s.awaitDocuments(ctx, "complete"); err != nil {
		return err
	}
	// The minutes of a meeting to come are awaited: exit status 3.
	res, err := s.register.RunIn(ctx, s.files, nil, "meeting", "status", s.meeting)
	if err != nil {
		return err
	}
	if !strings.Contains(res.Stdout, "convocation") {
		return fmt.Errorf("meeting status: exit status %d\n%s%s", res.Code, res.Stdout, res.Stderr)
	}
	s.show("ancre-register meeting status "+s.meeting, res.Stdout)
	return nil
}

// mineSecond mines the second payment until it is final.
func (s *stage) mineSecond(ctx context.Context) error {
	if err := harness.Await(ctx, "the second payment to reach the node", func(ctx context.Context) (bool, string, error) {
		waiting, err := s.node.Mempool(ctx)
		return len(waiting) > 0, "the mempool is empty", err
	}); err != nil {
		return err
	}
	if err := s.node.Mine(ctx, confirmations, ""); err != nil {
		return err
	}
	return s.daemon.AwaitHeight(ctx, s.node)
}

// awaitDocuments waits until each document's proof is in a state.
func (s *stage) awaitDocuments(ctx context.Context, state string) error {
	return harness.Await(ctx, "the proofs to be "+state, func(ctx context.Context) (bool, string, error) {
		res, err := s.register.Run(ctx, "list", "--json")
		if err != nil {
			return false, "", err
		}
		var list struct {
			Documents []struct{ Proof struct{ State string } }
		}
		if err := json.Unmarshal([]byte(res.Stdout), &list); err != nil {
			return false, "", fmt.Errorf("list prints %q: %w", res.Stdout, err)
		}
		ready := len(list.Documents) == len(meetingFiles)
		for _, d := range list.Documents {
			ready = ready && d.Proof.State == state
		}
		return ready, res.Stdout, nil
	})
}

// checkAsCitizen does by hand what the check tool does in a browser: it looks the file's hash up by
// its first byte, takes the proof and the headers from the page, and verifies them.
func (s *stage) checkAsCitizen(ctx context.Context) error {
	s.heading("A citizen checks a file")
	s.say("The page is at %s\nA citizen picks a file in its check tool. The browser then does what follows here by hand: it asks for all hashes\n"+
		"that begin with the same byte, so that the server does not learn which file it is, and it takes the proof and the\n"+
		"block headers from the page. The file stays with the citizen.", s.pageAddress())
	content, err := os.ReadFile(filepath.Join(s.files, budget))
	if err != nil {
		return err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(content))
	s.show("sha256sum "+budget, digest+"  "+budget)
	list, err := s.fetch(ctx, "/empreintes/"+digest[:2]+".json", "")
	if err != nil {
		return err
	}
	if !strings.Contains(list, digest) {
		return fmt.Errorf("the page does not list %s: %s", digest, list)
	}
	for _, from := range []struct{ path, file string }{{"/documents/" + digest + ".ots", budget + ".ots"}, {"/entetes/0.headers", windowFile}} {
		if _, err := s.fetch(ctx, from.path, from.file); err != nil {
			return err
		}
	}
	if err := s.ancre(ctx, 0, "valid", "verify", "--headers", windowFile, budget+".ots"); err != nil {
		return err
	}
	s.say("Somebody changes one word. The hash is another one: the register does not know it, and the proof does not fit.")
	changed, other := filepath.Join(s.files, changedFile), []byte(strings.Replace(string(content), "adopts", "rejects", 1))
	if err := os.WriteFile(changed, other, 0o600); err != nil {
		return err
	}
	digest = fmt.Sprintf("%x", sha256.Sum256(other))
	if list, err = s.fetch(ctx, "/empreintes/"+digest[:2]+".json", ""); err != nil {
		return err
	}
	if strings.Contains(list, digest) {
		return fmt.Errorf("the page lists %s, the digest of a changed file", digest)
	}
	if err := s.ancre(ctx, 1, "invalid", "verify", "--headers", windowFile, "-f", changedFile, budget+".ots"); err != nil {
		return err
	}
	return os.Remove(changed)
}

const (
	windowFile  = "0.headers" // a window of block headers, from the page
	changedFile = "changed.txt"
)

func (s *stage) pageAddress() string { return s.register.URL() + "/en/meetings/" + s.meeting }

// fetch asks the page, shows how, and keeps the answer in a file unless that has no name.
func (s *stage) fetch(ctx context.Context, path, file string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.register.URL()+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s\n%s", path, resp.Status, body)
	}
	if file == "" {
		const most = 100
		answer := string(body)
		if len(answer) > most {
			answer = answer[:most] + "…"
		}
		s.show("curl "+s.register.URL()+path, answer)
		return string(body), nil
	}
	s.show("curl -o "+file+" "+s.register.URL()+path, "")
	return string(body), os.WriteFile(filepath.Join(s.files, file), body, 0o600)
}

// clerk runs a verb of ancre-register in the folder of the files, and shows it.
func (s *stage) clerk(ctx context.Context, args ...string) (string, error) {
	res, err := s.register.RunIn(ctx, s.files, nil, args...)
	if err != nil {
		return "", err
	}
	command := "ancre-register " + typed(args)
	if res.Code != 0 {
		return "", fmt.Errorf("%s: exit status %d\n%s%s", command, res.Code, res.Stdout, res.Stderr)
	}
	s.show(command, res.Stdout)
	return res.Stdout, nil
}

// typed returns arguments as a person types them in a shell.
func typed(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		if words[i] = arg; strings.Contains(arg, " ") {
			words[i] = `"` + arg + `"`
		}
	}
	return strings.Join(words, " ")
}
