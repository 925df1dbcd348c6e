package main

import (
	"context"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mailServer takes one mail, and returns its address and what it was told.
func mailServer(t *testing.T) (address string, told chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	told = make(chan string, 1)
	go func() {
		defer close(told)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		text := textproto.NewConn(conn)
		var all strings.Builder
		for answer := "220 hello"; ; {
			_ = text.PrintfLine("%s", answer)
			line, err := text.ReadLine()
			if err != nil || line == "QUIT" {
				told <- all.String()
				return
			}
			all.WriteString(line + "\n")
			switch answer = "250 ok"; {
			case strings.HasPrefix(line, "RCPT TO:<nobody"):
				answer = "550 no such user"
			case line == "DATA":
				_ = text.PrintfLine("354 go on")
				lines, _ := text.ReadDotLines()
				all.WriteString(strings.Join(lines, "\n") + "\n")
			}
		}
	}()
	return ln.Addr().String(), told
}

func TestMailSendsAnEvent(t *testing.T) {
	const event = `{"event":"raised","subject":"Ancre on host: warning","message":"What to do: nothing.\n"}`
	address, told := mailServer(t)
	callIn(context.Background(), strings.NewReader(event), "mail", "--server", address, "--from", "ancre@example.org", "it@example.org", "nobody@example.org").
		is(t, exitDone, "the mail server took the mail for 1 of 2 addresses", "it refuses the recipient nobody@example.org: 550 no such user")
	got := <-told
	for _, want := range []string{"MAIL FROM:<ancre@example.org>\n", "RCPT TO:<it@example.org>\n", "\nSubject: Ancre on host: warning\n", "\n\nWhat to do: nothing.\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the server was not told %q:\n%s", want, got)
		}
	}
}

func TestMailSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	login := filepath.Join(dir, "login")
	if err := os.WriteFile(login, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call("mail", "--help").is(t, exitDone, "Usage: ancred mail")
	call("mail").is(t, exitUsage, "no address to send to")
	call("mail", "--bogus", "a@b").is(t, exitUsage, "bogus")
	call("mail", "it@example.org").is(t, exitFailed, "standard input must hold an event", "testnotify")
	call("mail", "--login", filepath.Join(dir, "none"), "it@example.org").is(t, exitFailed, "--login: ", "no such file")
	if a := call("mail", "--login", login, "it@example.org").is(t, exitFailed, "--login "+login+": must have two lines"); strings.Contains(a.err, "s3cret") {
		t.Errorf("the password is shown: %s", a.err)
	}
}
