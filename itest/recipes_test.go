package itest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ancre/itest/harness"
)

// block is an indented block of a guide: what a reader copies.
type block struct {
	line int // of the guide, counted from 1
	text string
}

// blocksOf returns the indented blocks of a guide, without their indentation. An empty line ends a
// block only if the next line is not indented.
func blocksOf(text string) (list []block) {
	var lines []string
	first := 0
	flush := func() {
		if len(lines) > 0 {
			list = append(list, block{first, strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"})
		}
		lines = nil
	}
	for i, line := range strings.Split(text, "\n") {
		switch indented, ok := strings.CutPrefix(line, "    "); {
		case ok:
			if len(lines) == 0 {
				first = i + 1
			}
			lines = append(lines, indented)
		case line == "" && len(lines) > 0:
			lines = append(lines, "")
		default:
			flush()
		}
	}
	flush()
	return list
}

// trailing matches a comment behind a command.
var trailing = regexp.MustCompile(`\s+# .*$`)

// commandsOf splits a block into the lines that a person types, without comments.
func commandsOf(text string) (lines []string) {
	text = strings.ReplaceAll(text, "\\\n", "")
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(trailing.ReplaceAllString(strings.TrimRight(line, "\n"), "")); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// recipe returns the block of a section. There must be n in it.
func recipe(t *testing.T, guide, heading string, i, n int) string {
	t.Helper()
	found := blocksOf(sectionsOf(readFile(t, "../"+guide))[heading])
	if len(found) != n {
		t.Fatalf("the section %q of %s has %d blocks, want %d", heading, guide, len(found), n)
	}
	return found[i].text
}

// A recipe that does not work costs its reader an hour. Each is run as the guide prints it: on a
// new file, and again on the same file once its proof is complete.
func TestRecipesOfTheScriptingGuideWork(t *testing.T) {
	w := newLonelyWorld(t)
	w.node = w.newNode("btcd")
	w.daemon = w.newDaemon(w.node)
	w.startFunded()

	recipes := []struct {
		heading, file string
		needs         []string
		run           []string
	}{
		{"bash, with curl", "stamp.sh", []string{"bash", "curl", "jq"}, []string{"bash"}},
		{"Python, with the standard library", "stamp.py", []string{"python3"}, []string{"python3"}},
		{"PHP, with curl", "stamp.php", []string{"php"}, []string{"php"}},
	}
	missing := make(map[string]string)
	for _, r := range recipes {
		w.writeFile(r.file, recipe(t, scriptingGuide, r.heading, 0, 1))
		w.writeFile(r.file+".txt", "a file for "+r.file+"\n")
		for _, program := range r.needs {
			if _, err := exec.LookPath(program); err != nil {
				missing[r.file] = program + " is not on PATH"
			}
		}
		if missing[r.file] == "" {
			w.shell(0, strings.Join(r.run, " ")+" "+r.file+" "+r.file+".txt")
			w.ancre(3, "--json", "upgrade", filepath.Join(w.daemon.Home, r.file+".txt.ots"))
		}
	}
	w.call(nil, "closebatch")
	w.mineUntilFinal()
	for _, r := range recipes {
		t.Run(r.file, func(t *testing.T) {
			w := w.in(t)
			if missing[r.file] != "" {
				t.Skip(missing[r.file])
			}
			if out := w.shell(0, strings.Join(r.run, " ")+" "+r.file+" "+r.file+".txt"); !strings.Contains(out, "complete") && !strings.Contains(out, "final") {
				t.Errorf("the second run says %q, want complete", out)
			}
			w.ancre(0, "upgrade", filepath.Join(w.daemon.Home, r.file+".txt.ots"))
			w.ancre(0, "verify", filepath.Join(w.daemon.Home, r.file+".txt.ots"))
		})
	}
}

func TestCommandsOfTheScriptingGuideWork(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("jq is not on PATH")
	}
	w := newLonelyWorld(t)
	w.node = w.newNode("btcd")
	w.daemon = w.newDaemon(w.node)
	w.startFunded()
	w.writeFile("convocation.pdf", "a convocation\n")
	command := func(i int) string { return recipe(t, scriptingGuide, "With the command", i, 3) }
	if out := w.shell(0, command(0)); out != "accepted\n" {
		t.Errorf("stamp says %q", out)
	}
	if out := w.shell(0, command(1)); out != "not yet\n" {
		t.Errorf("upgrade says %q", out)
	}
	w.call(nil, "closebatch")
	w.mineUntilFinal()
	if out := w.shell(0, command(1)); !strings.HasPrefix(out, "complete: block 1") {
		t.Errorf("upgrade says %q", out)
	}
	if out := w.shell(0, command(2)); !strings.HasPrefix(out, "valid\n20") {
		t.Errorf("verify says %q", out)
	}
	w.must(os.WriteFile(filepath.Join(w.daemon.Home, "convocation.pdf.ots"), []byte("no proof"), 0o600))
	if out := w.shell(0, command(1)); !strings.Contains(out, "not an OpenTimestamps") {
		t.Errorf("upgrade of a damaged proof says %q", out)
	}
}

// shell runs a line as a person on the daemon's machine would: `ancre` finds the daemon by itself.
func (w *world) shell(want int, line string) string {
	w.Helper()
	res, err := w.shellIn(w.ctx, line)
	w.must(err)
	if res.Code != want {
		w.Fatalf("%s: exit status %d, want %d\n%s%s", line, res.Code, want, res.Stdout, res.Stderr)
	}
	return res.Stdout
}

// shellIn runs a line in the daemon's home. Where the guides say `ancre`, the program under test
// runs, with the flags that name this daemon.
func (w *world) shellIn(ctx context.Context, line string, more ...string) (harness.Result, error) {
	tools := filepath.Join(w.daemon.Home, "tools")
	w.must(os.MkdirAll(tools, 0o700))
	script := "#!/bin/sh\nexec '" + bin.Ancre + "' --config '" + w.daemon.Config + "' --datadir '" + w.daemon.DataDir + "' --network " + harness.Network + ` "$@"` + "\n"
	w.must(os.WriteFile(filepath.Join(tools, "ancre"), []byte(script), 0o700))
	more = append(more, "PATH="+tools+":"+os.Getenv("PATH"), "ANCRE_URL=http://"+w.daemon.Addr()+"/", "COOKIE="+filepath.Join(w.daemon.NetDir(), ".cookie"))
	return w.daemon.Shell(ctx, line, more...)
}
