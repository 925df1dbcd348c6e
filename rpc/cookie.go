package rpc

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"ancre/internal/atomicfile"
)

// CookieUser is the user name in a cookie file, as in bitcoind's. Its role is [RoleAdmin]. The file
// is .cookie in the data directory of the network. Its password is valid until the daemon stops.
const CookieUser = "__cookie__"

// WriteCookie makes new credentials for this run of the daemon and writes them to path, readable by
// the owner alone. The file is replaced in one step: a client reads the old one or the new one.
// Remove it with [RemoveCookie].
func WriteCookie(path string) (User, error) {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	password := hex.EncodeToString(b[:])

	if err := atomicfile.Put(path, []byte(CookieUser+":"+password), 0o600); err != nil {
		return User{}, fmt.Errorf("write the cookie file: %w; whatever is at %s may be removed", err, path)
	}
	// Any salt will do: the password has 256 random bits, and the hash stays in memory.
	return User{Name: CookieUser, Roles: Roles{RoleAdmin}, salt: dummySalt, hash: saltedHash(dummySalt, password)}, nil
}

// RemoveCookie removes the file that [WriteCookie] wrote for this user. It leaves alone a file that
// a later start has written.
func RemoveCookie(path string, cookie User) error {
	name, password, err := ReadCookie(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if name != cookie.Name || !cookie.HasPassword(password) {
		return nil
	}
	return os.Remove(path)
}

// ReadCookie returns the credentials in a cookie file, ancred's or bitcoind's.
func ReadCookie(path string) (user, password string, err error) {
	const enough = 64 << 10 // for a name and a password
	b, err := atomicfile.ReadInput(path, enough)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("there is no cookie file, so the daemon does not seem to run: %w; start `ancred`, or name "+
			"its data directory or network with --datadir or --network", err)
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot read the cookie file; run this as the daemon's user: %w", err)
	}
	user, password, ok := strings.Cut(strings.TrimSpace(string(b)), ":")
	if !ok || user == "" || password == "" {
		return "", "", fmt.Errorf("the cookie file %s does not hold user:password", path)
	}
	return user, password, nil
}
