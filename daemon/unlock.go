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
	"ancre/wallet"
)

// credential is the name under which a systemd unit passes the wallet's passphrase
// (LoadCredential=).
const credential = "passphrase"

// unlock opens the wallet with the configured passphrase, if there is one. If that fails, it logs
// why and the daemon goes on: it accepts and seals digests without a wallet.
func (d *node) unlock(ctx context.Context) {
	path := d.cfg.Wallet.PassphraseFile
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		path = filepath.Join(dir, credential)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
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
