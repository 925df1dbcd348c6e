package rpc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// written returns the user and the credentials of a cookie file that was just written.
func written(t *testing.T, path string) (cookie User, user, pass string) {
	t.Helper()
	cookie, err := WriteCookie(path)
	if err != nil {
		t.Fatal(err)
	}
	if user, pass, err = ReadCookie(path); err != nil {
		t.Fatal(err)
	}
	return cookie, user, pass
}

func TestTheCookieIsForTheOwnerAndOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".cookie")
	if err := os.WriteFile(path, []byte("left over"), 0o644); err != nil {
		t.Fatal(err)
	}
	cookie, user, pass := written(t, path)
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if user != "__cookie__" || len(pass) != 64 || cookie.Name != user || !cookie.Roles.Admin() {
		t.Errorf("%q %q is the user %q with the role %s", user, pass, cookie.Name, cookie.Roles)
	}
	if !cookie.HasPassword(pass) || cookie.HasPassword(pass+"x") {
		t.Error("the cookie's password is refused, or another one is not")
	}
	if strings.Contains(fmt.Sprintf("%+v", cookie), pass[:16]) {
		t.Error("the user holds a piece of the password")
	}
}

func TestTheCookieIsRemovedByTheRunThatWroteIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".cookie")
	cookie, _, _ := written(t, path)
	later, _, _ := written(t, path)
	if err := RemoveCookie(path, cookie); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("the cookie of a later start was removed")
	}
	if err := RemoveCookie(path, later); err != nil {
		t.Error(err)
	}
	if err := RemoveCookie(path, later); err != nil {
		t.Errorf("removed twice: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestACookieThatCannotBeUsedIsExplained(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".cookie")
	if _, _, err := ReadCookie(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ancred") || !strings.Contains(err.Error(), path) {
		t.Errorf("no cookie: %v", err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadCookie(path); err == nil || !strings.Contains(err.Error(), "user:password") {
		t.Errorf("a broken cookie: %v", err)
	}
	if _, err := WriteCookie(filepath.Join(path, "x")); err == nil {
		t.Error("written below a file")
	}
}

func TestTheGroupsCookieIsForTheGroup(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no groups")
	}
	path := filepath.Join(t.TempDir(), "mainnet.cookie")
	if err := os.Chmod(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	cookie, err := WriteGroupCookie(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	user, pass, err := ReadLocalCookie(path)
	if err != nil || user != GroupUser || !cookie.HasPassword(pass) {
		t.Errorf("%q, %v", user, err)
	}
	if cookie.Roles.Admin() || cookie.Roles.String() != "submit,verify,read" {
		t.Errorf("the group's roles are %s", cookie.Roles)
	}
	if _, err := ParseUser(GroupUser + ":admin:00$" + strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "reserved") {
		t.Errorf("a user of that name: %v", err)
	}
}

// In a directory in which others write, they could put their own credentials in place of ours.
func TestTheGroupsCookieNeedsADirectoryOfOurs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes")
	}
	dir := t.TempDir()
	for _, mode := range []fs.FileMode{0o770, 0o757} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := WriteGroupCookie(filepath.Join(dir, "mainnet.cookie")); err == nil || !strings.Contains(err.Error(), "other users may write in "+dir) {
			t.Errorf("%v: %v", mode, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteGroupCookie(filepath.Join(link, "mainnet.cookie")); err == nil {
		t.Error("a symbolic link in place of the directory was followed")
	}
}

// The daemon's user must not make root, or a member of his group, send him a file of theirs.
func TestOnlyACookieThatTheDaemonWroteIsRead(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("root:hash"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".cookie")
	if err := os.Symlink(secret, path); err != nil {
		t.Skip(err)
	}
	if _, _, err := ReadLocalCookie(path); err == nil || !strings.Contains(err.Error(), "symbolic link") || !strings.Contains(err.Error(), path) {
		t.Errorf("a symbolic link: %v", err)
	}
	if _, _, err := ReadCookie(path); err != nil {
		t.Errorf("a file that a person names may be a link: %v", err)
	}
	if err := os.WriteFile(secret, []byte("root:hash\ndaemon:hash\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadCookie(secret); err == nil || !strings.Contains(err.Error(), "one line") {
		t.Errorf("a file of several lines: %v", err)
	}
}

func TestACookieOfAnotherUserIsNotRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, ".cookie")
	if err := os.WriteFile(path, []byte("root:hash"), 0o600); err != nil {
		t.Fatal(err)
	}
	const daemon = 65534
	if err := os.Chown(dir, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadLocalCookie(path); err == nil || !strings.Contains(err.Error(), "ancred did not write it") {
		t.Errorf("a file of root in the directory of another user: %v", err)
	}
	if err := os.Chown(path, daemon, daemon); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadLocalCookie(path); err != nil {
		t.Errorf("the daemon's own: %v", err)
	}
	// A directory of another user, behind a link of the daemon's.
	link := filepath.Join(t.TempDir(), "mainnet")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	const other = 65533
	if err := os.Lchown(link, other, other); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadLocalCookie(filepath.Join(link, ".cookie")); err == nil {
		t.Error("a link to the directory of another user was followed")
	}
}
