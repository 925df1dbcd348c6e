package rpc

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ancre/internal/atomicfile"
)

// Users whose credentials are in cookie files. Their passwords are valid until the daemon stops.
const (
	// CookieUser is the user name in .cookie in the data directory of a network, as in bitcoind's.
	// Its role is [RoleAdmin].
	CookieUser = "__cookie__"

	// GroupUser is the user name in the cookie of a service, which the members of a group may read.
	// Its roles are those of [groupRoles].
	GroupUser = "__group__"
)

// groupRoles may cost the fees of what they submit, at most, and may change nothing else.
var groupRoles = Roles{RoleSubmit, RoleVerify, RoleRead}

// WriteCookie makes new credentials for this run of the daemon and writes them to path, readable by
// the owner alone. The file is replaced in one step: a client reads the old one or the new one.
// Remove it with [RemoveCookie].
func WriteCookie(path string) (User, error) {
	return writeCookie(path, CookieUser, Roles{RoleAdmin}, 0o600)
}

// WriteGroupCookie is WriteCookie for the members of this process's group, who may read the file.
// It refuses a directory in which others could change the file.
func WriteGroupCookie(path string) (User, error) {
	dir := filepath.Dir(path)
	info, err := os.Lstat(dir)
	if err != nil {
		return User{}, fmt.Errorf("write the cookie file of the group: %w", err)
	}
	const othersWrite = 0o022
	uid, known := atomicfile.OwnerOf(info)
	switch {
	case !info.IsDir():
		return User{}, fmt.Errorf("write the cookie file of the group: %s is not a directory", dir)
	case known && (uid != os.Geteuid() || info.Mode().Perm()&othersWrite != 0):
		return User{}, fmt.Errorf("write the cookie file of the group: other users may write in %s, which has the mode %s and belongs to %s",
			dir, info.Mode(), atomicfile.UserName(uid))
	}
	return writeCookie(path, GroupUser, groupRoles, 0o640)
}

// writeCookie writes a new password of the user to path. The file has that mode, whatever the umask
// is.
func writeCookie(path, user string, roles Roles, mode fs.FileMode) (User, error) {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	password := hex.EncodeToString(b[:])

	if err := atomicfile.PutMode(path, []byte(user+":"+password), mode); err != nil {
		return User{}, fmt.Errorf("write the cookie file: %w; whatever is at %s may be removed", err, path)
	}
	// Any salt will do: the password has 256 random bits, and the hash stays in memory.
	return User{Name: user, Roles: roles, salt: dummySalt, hash: saltedHash(dummySalt, password)}, nil
}

// RemoveCookie removes the file that was written for this user. It leaves alone a file that
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

// ReadCookie returns the credentials in a cookie file that a person named, ancred's or bitcoind's.
func ReadCookie(path string) (user, password string, err error) {
	b, err := atomicfile.ReadInput(path, maxCookie)
	if err != nil {
		return "", "", unreadableCookie(err)
	}
	return parseCookie(path, b)
}

// ReadLocalCookie is ReadCookie for a file at the place where ancred puts it. The owner of the
// directory writes there, and may be another user than the reader: he must not make root, or a
// member of his group, read a file of theirs and send it to him. So the file must belong to whoever
// made its directory, and is no symbolic link.
func ReadLocalCookie(path string) (user, password string, err error) {
	dir, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return "", "", unreadableCookie(atPath(err, path))
	}
	parent, name, err := atomicfile.OpenParent(path)
	if err != nil {
		return "", "", unreadableCookie(atPath(err, path))
	}
	defer parent.Close()
	f, info, err := parent.Open(name)
	if err != nil {
		return "", "", unreadableCookie(atPath(err, path))
	}
	defer f.Close()
	maker, known := atomicfile.OwnerOf(dir)
	owner, _ := atomicfile.OwnerOf(info)
	if known && maker != 0 && owner != maker {
		return "", "", fmt.Errorf("the cookie file %s belongs to %s, and its directory to %s: ancred did not write it", path,
			atomicfile.UserName(owner), atomicfile.UserName(maker))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCookie))
	if err != nil {
		return "", "", unreadableCookie(err)
	}
	return parseCookie(path, b)
}

// atPath gives an error of a directory's file the whole path.
func atPath(err error, path string) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return &fs.PathError{Op: at.Op, Path: path, Err: at.Err}
	}
	return err
}

// maxCookie is enough for a name and a password.
const maxCookie = 4 << 10

func unreadableCookie(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no cookie file, so the daemon does not seem to run: %w; start `ancred`, or name "+
			"its data directory or network with --datadir or --network", err)
	}
	return fmt.Errorf("cannot read the cookie file; run this as the daemon's user: %w", err)
}

// parseCookie accepts one line: the rest of any other file is nobody's business.
func parseCookie(path string, b []byte) (user, password string, err error) {
	user, password, ok := strings.Cut(strings.TrimSpace(string(b)), ":")
	if !ok || user == "" || password == "" || strings.ContainsAny(password, "\r\n") {
		return "", "", fmt.Errorf("the cookie file %s does not hold user:password on one line", path)
	}
	return user, password, nil
}
