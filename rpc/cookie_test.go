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
