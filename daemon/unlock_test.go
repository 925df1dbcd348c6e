package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/rpc"
)

// Whoever changes the passphrase is told of a file that makes the next start fail.
func TestAFileWithTheOldPassphraseIsToldOf(t *testing.T) {
	dir := t.TempDir()
	file, credentials := filepath.Join(dir, "pass"), filepath.Join(dir, credential)
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := new(output)
	d := &node{log: slog.New(slog.NewTextHandler(log, nil))}
	changed := func(what string, want rpc.ChangedPassphrase) {
		t.Helper()
		if got := d.changedPassphrase("the new one"); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	changed("no file", rpc.ChangedPassphrase{})
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	changed("no credential", rpc.ChangedPassphrase{})
	write(credentials, "the old one\n")
	changed("an old credential", rpc.ChangedPassphrase{UnlockFile: credentials, Credential: true, UpdateFile: true})
	write(credentials, "the new one\n")
	changed("a new credential", rpc.ChangedPassphrase{UnlockFile: credentials, Credential: true})
	d.cfg.Wallet.PassphraseFile = file
	changed("a file that is missing", rpc.ChangedPassphrase{UnlockFile: file, UpdateFile: true})
	write(file, "the old one")
	changed("an old file", rpc.ChangedPassphrase{UnlockFile: file, UpdateFile: true})
	write(file, "the new one")
	changed("a new file", rpc.ChangedPassphrase{UnlockFile: file})
	if s := log.String(); strings.Count(s, "does not hold it") != 3 || strings.Contains(s, "the new one") || strings.Contains(s, "the old one") {
		t.Errorf("logged %s", s)
	}
}
