package itest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ancre/rpc"
)

// An operator changes the passphrase of a wallet that the daemon unlocks with a file. The command
// says to change the file too. Without that, the wallet is locked after the next start, and nothing
// is lost; with it, the wallet opens by itself again.
func TestThePassphraseIsChangedWithItsFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "btcd")
	w.startQuick(fundSats)
	old, fresh := filepath.Join(w.daemon.Home, "passphrase"), filepath.Join(w.daemon.Home, "fresh")
	w.must(os.WriteFile(fresh, []byte("another battery staple\n"), 0o600))

	res := w.ancre(0, "wallet", "passphrase", "--new-passphrase-file", fresh)
	if !strings.Contains(res.Stderr, "taken from "+old) || !strings.Contains(res.Stderr, "run now: cp "+fresh+" "+old) {
		t.Errorf("the command says %s%s", res.Stdout, res.Stderr)
	}
	w.ancre(1, "wallet", "unlock")        // with the file that is wrong now
	w.awaitState(w.sealed(), "broadcast") // the wallet is open still

	restart := func(state string) {
		w.Helper()
		w.must(w.daemon.Kill9())
		w.must(w.daemon.Start(w.ctx))
		_, err := w.daemon.AwaitInfo(w.ctx, "the wallet to be "+state, func(i rpc.Info) bool { return i.Wallet.State == state })
		w.must(err)
	}
	restart("locked")
	w.ancre(0, "wallet", "unlock", "--passphrase-file", fresh)
	content, err := os.ReadFile(fresh)
	w.must(err)
	w.must(os.WriteFile(old, content, 0o600))
	restart("ready")
}
