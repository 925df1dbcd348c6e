package rpc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAUserLineIsReadAsRPCAuthIs(t *testing.T) {
	// The line of bitcoin's share/rpcauth/rpcauth.py for the user alice, with a role put in
	// between.
	mac := hmac.New(sha256.New, []byte("99806ea5d32ab13d4a0d0af9dc2b2b3a"))
	mac.Write([]byte("secret"))
	hash := hex.EncodeToString(mac.Sum(nil))
	u, err := ParseUser("alice:read:99806ea5d32ab13d4a0d0af9dc2b2b3a$" + hash)
	if err != nil || u.Name != "alice" || u.Role != RoleRead {
		t.Fatalf("%+v, %v", u, err)
	}
	if got, ok := (users{u}).check("alice", "secret"); !ok || got.Role != RoleRead {
		t.Error("the right password is refused")
	}
}

func TestAWrongUserLineIsRefusedWithWhatIsAllowed(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for _, c := range []struct{ name, line, words string }{
		{"nothing", "", "no colon after the name|name:role:salt$hash"},
		{"no role", "alice", "alice|no colon after the name|name:role:salt$hash"},
		{"bitcoind's own form, without a role", "alice:99$" + hash, "alice|no colon after the role|name:role:salt$hash"},
		{"no name", ":read:99$" + hash, "letters, digits"},
		{"a name with a space", "al ice:read:99$" + hash, "al ice|letters, digits"},
		{"a name too long", strings.Repeat("a", 65) + ":read:99$" + hash, "up to 64"},
		{"the cookie's name", "__cookie__:read:99$" + hash, "__cookie__|another"},
		{"an unknown role", "alice:root:99$" + hash, `alice|"root"|submit, read and admin`},
		{"a role in upper case", "alice:Admin:99$" + hash, `"Admin"|submit, read and admin`},
		{"no salt", "alice:read:$" + hash, "no salt"},
		{"a password instead of a hash", "alice:read:secret", "no salt"},
		{"a hash too short", "alice:read:99$" + hash[2:], "62 characters|64 hexadecimal"},
		{"a hash too long", "alice:read:99$" + hash + "ab", "66 characters|64 hexadecimal"},
		{"a hash with an odd character", "alice:read:99$x" + hash[1:], "64 hexadecimal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseUser(c.line)
			if err == nil {
				t.Fatalf("%q was accepted", c.line)
			}
			for _, w := range strings.Split(c.words, "|") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the message lacks %q: %v", w, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the message holds a password: %v", err)
			}
		})
	}
	if _, _, err := NewUser("al ice", RoleRead); err == nil {
		t.Error("NewUser makes a user that ParseUser refuses")
	}
}

func TestOnlyTheRightNameWithTheRightPasswordMayCall(t *testing.T) {
	r := newRig(t)
	admin := r.pass[RoleAdmin]
	for role := range r.pass { // whose credentials are familiar from now on
		if status, answer := r.post(t, role, `{"method":"help"}`); status != 200 {
			t.Errorf("the right ones: %d %s", status, answer)
		}
	}
	for _, c := range []struct{ name, user, pass string }{
		{"a wrong password", "admin", admin + "x"},
		{"no password", "admin", ""},
		{"the password of another", "admin", r.pass[RoleRead]},
		{"an unknown user", "root", admin},
		{"no user", "", admin},
		{"nobody", "", ""},
		{"a user in another case", "Admin", admin},
		{"a cookie that was not written", CookieUser, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodPost, r.http.URL, strings.NewReader(`{"method":"uptime"}`))
			if c.user+c.pass != "" {
				req.SetBasicAuth(c.user, c.pass)
			}
			resp, err := r.http.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "" || !strings.Contains(string(body), "credentials") {
				t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
			}
		})
	}
	for role := range r.pass {
		want := 403
		if role == RoleAdmin {
			want = 200
		}
		for range 2 {
			if status, answer := r.post(t, role, `{"method":"closebatch"}`); status != want {
				t.Errorf("%s: %d %s, want %d", role, status, answer, want)
			}
		}
	}
}

// What is remembered of right credentials is bounded, and stands for all of the header, not for how
// it begins.
func TestFamiliarCredentialsAreFewAndWhole(t *testing.T) {
	f := newFamiliar()
	for i := range 10 * maxFamiliar {
		f.add(fmt.Sprint("Basic ", i), &User{Name: fmt.Sprint(i)})
	}
	if n := len(*f.users.Load()); n != maxFamiliar {
		t.Errorf("%d are remembered, want %d", n, maxFamiliar)
	}
	if u := f.user("Basic 7"); u == nil || u.Name != "7" {
		t.Errorf("the seventh is %+v", u)
	}
	f = newFamiliar()
	long := strings.Repeat("a", maxHeader)
	f.add(long, &User{Name: "long"})
	f.add(long+"a", &User{Name: "too long"})
	for header, want := range map[string]bool{long: true, long + "a": false, long + "b": false, long[1:]: false, "": false} {
		if u := f.user(header); (u != nil) != want {
			t.Errorf("a header of %d bytes is %+v, familiar: %t", len(header), u, want)
		}
	}
}

// TestWrongNamesAndWrongPasswordsTakeTheSameWork counts allocations, which unlike time do not
// depend on the machine: whatever is wrong, the names are all compared and one hash is computed.
func TestWrongNamesAndWrongPasswordsTakeTheSameWork(t *testing.T) {
	r := newRig(t)
	work := func(user, pass string) float64 {
		return testing.AllocsPerRun(100, func() { r.server.users.check(user, pass) })
	}
	right := work("admin", r.pass[RoleAdmin])
	if right == 0 {
		t.Fatal("a check allocates nothing: this test sees nothing")
	}
	for _, c := range [][2]string{{"admin", "wrong"}, {"submit", "wrong"}, {"unknown", "wrong"}, {"", "wrong"}} {
		if got := work(c[0], c[1]); got != right {
			t.Errorf("%q: %v allocations, the right password takes %v", c, got, right)
		}
	}
}

// TestManyFailedLoginsHoldNobodyUp fills every place of the waiting ones.
func TestManyFailedLoginsHoldNobodyUp(t *testing.T) {
	r := newRig(t)
	for range maxDelayed {
		r.server.delayed <- struct{}{}
	}
	r.pass[RoleRead] = "wrong"
	began := time.Now()
	if status, _ := r.post(t, RoleRead, `{}`); status != 401 {
		t.Errorf("status %d", status)
	}
	if status, _ := r.post(t, RoleAdmin, `{"method":"uptime"}`); status != 200 {
		t.Errorf("status %d", status)
	}
	t.Logf("both took %v", time.Since(began))
	for range maxDelayed {
		<-r.server.delayed
	}
	began = time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if status, _ := r.post(t, RoleRead, `{}`); status != 401 {
				t.Errorf("status %d", status)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < failureDelay {
		t.Errorf("wrong credentials are answered after %v; want %v or more", took, failureDelay)
	}
}

func TestTheCookieOpensAndIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".cookie")
	if err := os.WriteFile(path, []byte("left over"), 0o644); err != nil {
		t.Fatal(err)
	}
	cookie, err := WriteCookie(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	user, pass, err := ReadCookie(path)
	if err != nil || user != "__cookie__" || len(pass) != 64 {
		t.Fatalf("%q %q %v", user, pass, err)
	}
	if u, ok := (users{cookie}).check(user, pass); !ok || u.Role != RoleAdmin {
		t.Error("the cookie's password is refused")
	}
	if strings.Contains(fmt.Sprintf("%+v", cookie), pass[:16]) {
		t.Error("the user holds a piece of the password")
	}

	later, err := WriteCookie(path)
	if err != nil {
		t.Fatal(err)
	}
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
