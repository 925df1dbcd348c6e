package main

import (
	"strings"
	"testing"

	"ancre/rpc"
)

func TestThePassphraseIsChanged(t *testing.T) {
	r := newRig(t)
	asked := func(want string) {
		t.Helper()
		if r.daemon.wallet.asked != want {
			t.Errorf("asked to %s, want %s", r.daemon.wallet.asked, want)
		}
		r.daemon.wallet.asked = ""
	}
	a := r.with(session{person: true, secrets: []string{"right", "new and long", "new and long"}}, "wallet", "passphrase").
		is(t, exitDone, "The old passphrase", "The new passphrase, of 8", "The same again", "opens with the new passphrase")
	asked(`change "right" to "new and long"`)
	if strings.Contains(a.out+a.err, "new and long") || strings.Contains(a.err, "Change /") {
		t.Errorf("a passphrase is shown, or a file that there is not: %s%s", a.out, a.err)
	}
	r.with(session{person: true, secrets: []string{"wrong", "new and long", "new and long"}}, "wallet", "passphrase").
		is(t, exitFailed, "nothing was changed", "old passphrase", "wrong passphrase")
	r.daemon.wallet.asked = ""
	r.with(session{person: true, secrets: []string{"right", "new and long", "new and other"}}, "wallet", "passphrase").is(t, exitFailed, "differ")
	r.ancre("wallet", "passphrase").is(t, exitUsage, "--old-passphrase-file")
	old := r.write("old", "right\n")
	r.ancre("wallet", "passphrase", "--old-passphrase-file", old).is(t, exitUsage, "--new-passphrase-file")
	r.ancre("wallet", "passphrase", "--old-passphrase-file", old, "--new-passphrase-file", r.write("utf16", "\xff\xfel\x00o\x00")).is(t, exitFailed, "UTF-16")
	asked("")

	// The daemon says which file is now wrong.
	fresh := r.write("fresh", "n\xe9w and long\n")
	change := []string{"wallet", "passphrase", "--old-passphrase-file", old, "--new-passphrase-file", fresh}
	r.daemon.wallet.changed = rpc.ChangedPassphrase{UnlockFile: "/srv/pass", UpdateFile: true}
	r.ancre(change...).is(t, exitDone, "Change /srv/pass too: run now: cp "+fresh+" /srv/pass.", "stays locked after the next start")
	asked(`change "right" to "n\xe9w and long"`)
	r.with(session{person: true, secrets: []string{"right", "new and long", "new and long"}}, "wallet", "passphrase").
		is(t, exitDone, "Change /srv/pass too: write the new passphrase into it now.")
	r.daemon.wallet.changed = rpc.ChangedPassphrase{UnlockFile: "/run/credentials/ancred.service/passphrase", Credential: true, UpdateFile: true}
	r.ancre(change...).is(t, exitDone, "Change "+serviceCredential+" too", "systemd-creds")
	r.ancre(append([]string{"--json"}, change...)...).is(t, exitDone, `"credential": true`, `"update_file": true`)
	r.daemon.wallet.changed = rpc.ChangedPassphrase{UnlockFile: "/srv/pass"}
	if a := r.ancre(change...).is(t, exitDone); strings.Contains(a.err, "/srv/pass") {
		t.Errorf("the file holds the new passphrase already: %s", a.err)
	}
}
