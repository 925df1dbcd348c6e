package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"ancre/config"
	"ancre/rpc"
	"ancre/wallet"
)

// credential is the name under which a systemd unit passes the wallet's passphrase
// (LoadCredential=).
const credential = "passphrase"

// unlock opens the wallet with the configured passphrase, if there is one. If that fails, it logs
// why and the daemon goes on: it accepts and seals digests without a wallet.
func (d *node) unlock(ctx context.Context) {
	path, _ := d.passphraseFile()
	if s := d.wallet.State(); path == "" || s == wallet.None || s == wallet.Unusable {
		return
	}
	passphrase, err := readPassphrase(path, d.log)
	if err == nil {
		err = d.wallet.Unlock(ctx, passphrase)
	}
	if err != nil && ctx.Err() == nil {
		d.log.Error("the wallet could not be unlocked with the configured passphrase", "file", path, "err", err)
	}
}

// passphraseFile returns the file with which the daemon unlocks the wallet at its start; empty:
// there is none.
func (d *node) passphraseFile() (path string, isCredential bool) {
	if path = d.cfg.Wallet.PassphraseFile; path != "" {
		return path, false
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", false
	}
	path = filepath.Join(dir, credential)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	return path, true
}

// changedPassphrase says whether the file with which the daemon unlocks the wallet has to be
// changed too, now that the wallet opens with this passphrase.
func (d *node) changedPassphrase(passphrase string) rpc.ChangedPassphrase {
	path, isCredential := d.passphraseFile()
	if path == "" {
		return rpc.ChangedPassphrase{}
	}
	stored, err := config.ReadPassphrase(path)
	stale := err != nil || string(stored) != passphrase
	if stale {
		d.log.Warn("the wallet has a new passphrase, and the file with which ancred unlocks it at each start does not hold it: write it there", "file", path)
	}
	return rpc.ChangedPassphrase{UnlockFile: path, Credential: isCredential, UpdateFile: stale}
}

// readPassphrase reads the configured file. It warns if other users can read it too.
func readPassphrase(path string, log *slog.Logger) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		log.Warn("other users of this machine can read the wallet's passphrase: run chmod 600 on the file", "file", path)
	}
	passphrase, err := config.ReadPassphrase(path)
	if note := config.PassphraseNote(passphrase); note != "" {
		log.Warn(note, "file", path)
	}
	return passphrase, err
}
