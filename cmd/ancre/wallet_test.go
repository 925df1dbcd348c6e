package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ancre/config"
)

// knowsWords answers with the words that the fake wallet has.
func knowsWords(said string) string {
	asked := regexp.MustCompile(`type word (\d+)`).FindAllStringSubmatch(said, -1)
	n, err := strconv.Atoi(asked[len(asked)-1][1])
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("word%c", 'a'+n-1)
}

func TestTheWordsAreConfirmedBeforeTheAddressIsShown(t *testing.T) {
	r := newRig(t)
	secrets := []string{"correct horse", "correct horse"}
	person := func(answer func(string) string) session {
		return session{person: true, terminal: true, secrets: append([]string(nil), secrets...), answer: answer}
	}
	a := r.with(person(knowsWords), "wallet", "create").is(t, exitDone, testAddress)
	if n := strings.Count(a.err, "type word "); n != 2 {
		t.Errorf("%d words are asked for, want 2:\n%s", n, a.err)
	}
	// A typing error is no drama, and upper case is none.
	mistyped := false
	r.with(person(func(said string) string {
		if !mistyped {
			mistyped = true
			return "wrod"
		}
		return strings.ToUpper(knowsWords(said))
	}), "wallet", "create").is(t, exitDone, "That is not word", testAddress)

	for name, answer := range map[string]func(string) string{
		"wrong":   func(string) string { return "abandon" },
		"nothing": func(string) string { return "" },
	} {
		a := r.with(person(answer), "wallet", "create").is(t, exitFailed, "wallet create --replace", "worda")
		if strings.Contains(a.out, testAddress) {
			t.Errorf("%s: the address is shown: %s", name, a.out)
		}
	}
	for _, args := range [][]string{{"wallet", "create", "--yes"}, {"--json", "wallet", "create"}} {
		a := r.with(person(nil), args...).is(t, exitDone, testAddress)
		if strings.Contains(a.err, "type word") {
			t.Errorf("%q asks for words", args)
		}
	}
}

func TestAWalletWithoutWordsIsReplaced(t *testing.T) {
	r := newRig(t)
	file := r.write("pass", "from a file\n")
	full := &fullDevice{0, os.ErrClosed}
	for _, flags := range [][]string{nil, {"--json"}} {
		var said bytes.Buffer
		args := append([]string{"--datadir", r.data}, append(flags, "wallet", "create", "--passphrase-file", file)...)
		if status := callTo(full, &said, args); status != exitFailed || !strings.Contains(said.String(), "wallet create --replace") {
			t.Errorf("%q, when the words cannot be shown: exit status %d, %s", flags, status, said.String())
		}
	}
	var said bytes.Buffer
	r.daemon.wallet.asked = ""
	status := run(t.Context(), []string{"--datadir", r.data, "wallet", "create", "--passphrase-file", file}, &terminal{in: strings.NewReader(""), out: &said, err: &said, outNull: true})
	if status != exitUsage || r.daemon.wallet.asked != "" {
		t.Errorf("with standard output that leads nowhere: exit status %d, the daemon was asked to %q", status, r.daemon.wallet.asked)
	}

	r.daemon.wallet.state = "locked"
	r.ancre("wallet", "create", "--passphrase-file", file).is(t, exitFailed, "has a wallet already", "--replace")
	r.ancre("wallet", "create", "--replace", "--passphrase-file", file).is(t, exitDone, "worda")
	if want := `recreate "from a file" 0 words 0001-01-01`; r.daemon.wallet.asked != want {
		t.Errorf("asked to %s, want %s", r.daemon.wallet.asked, want)
	}
	r.daemon.wallet.state = "unusable"
	r.ancre("wallet", "create", "--passphrase-file", file).is(t, exitDone, "worda") // the daemon decides
}

func TestTheNullDeviceIsKnown(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if !isNull(null) || isNull(file) {
		t.Errorf("the null device is one: %v, a file is one: %v", isNull(null), isNull(file))
	}
}

// A passphrase is bytes from the file to the wallet, whatever they are.
func TestPassphrasesStayBytes(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ name, content, want, note string }{
		{"Latin-1", "r\xe9sum\xe9 1234\n", "r\xe9sum\xe9 1234", "is not UTF-8"},
		{"all bytes that are not ASCII", "\x80\xbf\xc0\xf5\xfe\xff\xed\xa0\x80", "\x80\xbf\xc0\xf5\xfe\xff\xed\xa0\x80", "is not UTF-8"},
		{"UTF-8", "r\u00e9sum\u00e9 1234\r\n", "r\u00e9sum\u00e9 1234", ""},
		{"U+FFFD itself", "r\ufffdsum\ufffd 1234\n", "r\ufffdsum\ufffd 1234", ""},
		{"spaces", " two  spaces \n", " two  spaces ", ""},
	} {
		file := r.write("pass", c.content)
		a := r.ancre("wallet", "create", "--passphrase-file", file).is(t, exitDone, c.note)
		if want := fmt.Sprintf("create %q 0 words 0001-01-01", c.want); r.daemon.wallet.asked != want {
			t.Errorf("%s: asked to %s, want %s", c.name, r.daemon.wallet.asked, want)
		}
		if c.note == "" && strings.Contains(a.err, "Note:") {
			t.Errorf("%s: %s", c.name, a.err)
		}
		r.ancre("wallet", "unlock", "--passphrase-file", file).is(t, exitFailed, "wrong passphrase")
		if want := fmt.Sprintf("unlock %q", c.want); r.daemon.wallet.asked != want {
			t.Errorf("%s: asked to %s, want %s", c.name, r.daemon.wallet.asked, want)
		}
	}
	// At a terminal with another encoding.
	typed := "r\xe9sum\xe9 1234"
	r.with(session{person: true, secrets: []string{typed, typed}}, "wallet", "create").is(t, exitDone)
	if want := fmt.Sprintf("create %q 0 words 0001-01-01", typed); r.daemon.wallet.asked != want {
		t.Errorf("asked to %s, want %s", r.daemon.wallet.asked, want)
	}
	r.ancre("rpc", "unlockwallet", typed).is(t, exitUsage, "not UTF-8", "ancre wallet")
}

// What an editor adds unasked is told before a wallet is made with it. A wallet that was made with
// it opens.
func TestUnusualPassphraseFilesAreTold(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct{ name, content, says string }{
		{"UTF-16 with a byte order mark", "\xff\xfel\x00o\x00n\x00g\x00 \x00o\x00n\x00e\x00", "UTF-16"},
		{"UTF-16, the other order", "\xfe\xff\x00l\x00o\x00n\x00g\x00 \x00o\x00n\x00e", "UTF-16"},
		{"UTF-16 without a mark", "l\x00o\x00n\x00g\x00 \x00o\x00n\x00e\x00", "UTF-16"},
		{"UTF-8 with a byte order mark", "\xef\xbb\xbflong enough\r\n", "byte order mark"},
		{"a NUL byte", "long\x00enough", "NUL"},
	} {
		file := r.write("pass", c.content)
		r.daemon.wallet.asked = ""
		r.ancre("wallet", "create", "--passphrase-file", file).is(t, exitFailed, c.says, "save")
		if r.daemon.wallet.asked != "" {
			t.Errorf("%s: the daemon was asked to %s", c.name, r.daemon.wallet.asked)
		}
		r.ancre("wallet", "unlock", "--passphrase-file", file).is(t, exitFailed, c.says, "wrong passphrase")
		if want := fmt.Sprintf("unlock %q", strings.TrimSuffix(c.content, "\r\n")); r.daemon.wallet.asked != want {
			t.Errorf("%s: asked to %s, want %s", c.name, r.daemon.wallet.asked, want)
		}
	}
	for _, c := range []struct{ name, content, says string }{
		{"UTF-16 with an end of line", "\xff\xfel\x00o\x00n\x00g\x00\r\x00\n\x00", "UTF-16"},
		{"two lines", "one\ntwo\n", "more than one line"},
		{"too long", strings.Repeat("x", 4097), "longer than 4096"},
		{"empty", "\r\n", "is empty"},
	} {
		file := r.write("pass", c.content)
		for _, verb := range []string{"create", "unlock"} {
			r.ancre("wallet", verb, "--passphrase-file", file).is(t, exitFailed, c.says)
		}
	}
	long := strings.Repeat("x", 4097)
	r.with(session{person: true, secrets: []string{long, long}}, "wallet", "create").is(t, exitFailed, "longer than 4096")
	if config.PassphraseNote([]byte("correct horse")) != "" {
		t.Error("an ordinary passphrase has a note")
	}
}
