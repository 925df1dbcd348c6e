package server

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/rpc"
)

func TestOnlyTheRightNameWithTheRightPasswordMayCall(t *testing.T) {
	r := newRig(t)
	admin := r.pass[rpc.RoleAdmin]
	for role := range r.pass { // whose credentials are cached from now on
		if status, answer := r.post(t, role, `{"method":"help"}`); status != 200 {
			t.Errorf("the right ones: %d %s", status, answer)
		}
	}
	for _, c := range []struct{ name, user, pass string }{
		{"a wrong password", "admin", admin + "x"},
		{"no password", "admin", ""},
		{"the password of another", "admin", r.pass[rpc.RoleRead]},
		{"an unknown user", "root", admin},
		{"no user", "", admin},
		{"nobody", "", ""},
		{"a user in another case", "Admin", admin},
		{"a cookie that was not written", rpc.CookieUser, ""},
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
		if role == rpc.RoleAdmin {
			want = 200
		}
		for range 2 {
			if status, answer := r.post(t, role, `{"method":"closebatch"}`); status != want {
				t.Errorf("%s: %d %s, want %d", role, status, answer, want)
			}
		}
	}
}

// The cache is bounded, and an entry stands for a whole header, not for its beginning.
func TestCachedCredentialsAreFewAndWhole(t *testing.T) {
	f := newAuthCache()
	for i := range 10 * maxCached {
		f.add(fmt.Sprint("Basic ", i), &rpc.User{Name: fmt.Sprint(i)})
	}
	if n := len(*f.users.Load()); n != maxCached {
		t.Errorf("%d are remembered, want %d", n, maxCached)
	}
	if u := f.user("Basic 7"); u == nil || u.Name != "7" {
		t.Errorf("the seventh is %+v", u)
	}
	f = newAuthCache()
	long := strings.Repeat("a", maxHeader)
	f.add(long, &rpc.User{Name: "long"})
	f.add(long+"a", &rpc.User{Name: "too long"})
	for header, want := range map[string]bool{long: true, long + "a": false, long + "b": false, long[1:]: false, "": false} {
		if u := f.user(header); (u != nil) != want {
			t.Errorf("a header of %d bytes is %+v, familiar: %t", len(header), u, want)
		}
	}
}

// Whatever is wrong, all names are compared and one hash is computed. The test counts allocations:
// unlike time, they do not depend on the machine.
func TestWrongNamesAndWrongPasswordsTakeTheSameWork(t *testing.T) {
	r := newRig(t)
	work := func(user, pass string) float64 {
		return testing.AllocsPerRun(100, func() { r.server.users.check(user, pass) })
	}
	right := work("admin", r.pass[rpc.RoleAdmin])
	if right == 0 {
		t.Fatal("a check allocates nothing: this test sees nothing")
	}
	for _, c := range [][2]string{{"admin", "wrong"}, {"submit", "wrong"}, {"unknown", "wrong"}, {"", "wrong"}} {
		if got := work(c[0], c[1]); got != right {
			t.Errorf("%q: %v allocations, the right password takes %v", c, got, right)
		}
	}
}

// While as many refused logins wait as may, others are answered at once.
func TestManyFailedLoginsHoldNobodyUp(t *testing.T) {
	r := newRig(t)
	for range maxDelayed {
		r.server.delayed <- struct{}{}
	}
	r.pass[rpc.RoleRead] = "wrong"
	began := time.Now()
	if status, _ := r.post(t, rpc.RoleRead, `{}`); status != 401 {
		t.Errorf("status %d", status)
	}
	if status, _ := r.post(t, rpc.RoleAdmin, `{"method":"uptime"}`); status != 200 {
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
			if status, _ := r.post(t, rpc.RoleRead, `{}`); status != 401 {
				t.Errorf("status %d", status)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took < failureDelay {
		t.Errorf("wrong credentials are answered after %v; want %v or more", took, failureDelay)
	}
}
