package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ancre/batcher"
	"ancre/internal/humanize"
	"ancre/internal/quota"
	"ancre/rpc"
)

// withQuota allows all users together 15 new digests in ten minutes, and each user 10.
func withQuota(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.server.quota = quota.New(quota.Limits{All: 15, EachUser: 10, Interval: 10 * time.Minute, AllKey: "rpc.max_digests", EachUserKey: "rpc.max_user_digests"})
	return r
}

// batchOf is a call of submitbatch with the digests from one number to another.
func batchOf(from, to int) string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprintf("%064x", i))
	}
	text, _ := json.Marshal(list)
	return `{"id":1,"method":"submitbatch","params":[` + string(text) + `]}`
}

// submitted sends a call as a role, and returns status, Retry-After and the error's code.
func (r *rig) submitted(t *testing.T, role rpc.Role, body string) (status int, after string, e *rpc.Error) {
	t.Helper()
	resp := r.do(t, http.MethodPost, role, strings.NewReader(body))
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var a struct{ Error *rpc.Error }
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Retry-After"), a.Error
}

func TestAUserHandsInNoMoreThanTheQuota(t *testing.T) {
	r := withQuota(t)
	if status, _, e := r.submitted(t, rpc.RoleSubmit, batchOf(0, 8)); status != 200 {
		t.Fatalf("within the quota: %d %v", status, e)
	}
	refusals := []string{
		batchOf(8, 11),
		`{"id":1,"method":"submitbatch","params":{"digests":` + strings.TrimSuffix(strings.TrimPrefix(batchOf(8, 11), `{"id":1,"method":"submitbatch","params":[`), `]}`) + `}}`,
	}
	for _, body := range refusals { // both ways in
		status, after, e := r.submitted(t, rpc.RoleSubmit, body)
		seconds, _ := strconv.Atoi(after)
		if status != 503 || seconds < 30 || seconds > 60 || e == nil || e.Code != rpc.CodeQuota || !strings.Contains(e.Message, "rpc.max_user_digests = 10") || !strings.Contains(e.Message, "try again in ") {
			t.Errorf("one too many: %d, Retry-After %q, %v; want 503 within a minute", status, after, e)
		}
	}
	for _, call := range []string{`{"id":1,"method":"submit","params":["` + fmt.Sprintf("%064x", 8) + `"]}`, `{"id":1,"method":"submit","params":["` + fmt.Sprintf("%064x", 9) + `"]}`} {
		if status, _, e := r.submitted(t, rpc.RoleSubmit, call); status != 200 {
			t.Errorf("the last two: %d %v", status, e)
		}
	}
	if status, _, e := r.submitted(t, rpc.RoleSubmit, `{"id":1,"method":"submit","params":["`+fmt.Sprintf("%064x", 10)+`"]}`); status != 503 || e.Code != rpc.CodeQuota {
		t.Errorf("submit beyond the quota: %d %v", status, e)
	}
	if n := len(r.batcher.at); n != 10 {
		t.Errorf("%d digests were taken, allowed are 10", n)
	}
	// Submitting again is free, even when nothing is left.
	for range 3 {
		if status, _, e := r.submitted(t, rpc.RoleSubmit, batchOf(0, 10)); status != 200 {
			t.Errorf("handing in again: %d %v", status, e)
		}
	}
	// Nor does a call that fails.
	if status, _, e := r.submitted(t, rpc.RoleSubmit, batchOf(20, 31)); status != 503 || e.Code != rpc.CodeQuota || !strings.Contains(e.Message, "submit fewer") {
		t.Errorf("more than the quota at once: %d %v", status, e)
	}
	// In an array the quota holds for each call.
	status, answer := r.post(t, rpc.RoleSubmit, "["+strings.Repeat(batchOf(0, 10)+",", 3)+batchOf(10, 11)+"]")
	if status != 200 || strings.Count(answer, `"error":null`) != 3 || strings.Count(answer, `"code":-32001`) != 1 {
		t.Errorf("an array: %d %s", status, humanize.ClipTo(answer, 300))
	}
	// An administrator has no quota.
	if status, _, e := r.submitted(t, rpc.RoleAdmin, batchOf(100, 200)); status != 200 {
		t.Errorf("an administrator: %d %v", status, e)
	}
	if w := r.server.quota.Warning(); !strings.Contains(w, "submit") {
		t.Errorf("the operator is warned: %q", w)
	}
}

func TestWhatIsNotTakenDoesNotCount(t *testing.T) {
	r := withQuota(t)
	for _, err := range []error{batcher.ErrBusy, batcher.ErrReadOnly} {
		r.batcher.err = err
		for range 3 {
			if _, _, e := r.submitted(t, rpc.RoleSubmit, batchOf(0, 10)); e == nil || e.Code == rpc.CodeQuota {
				t.Errorf("%v: %v", err, e)
			}
		}
	}
	r.batcher.err = nil
	if left := r.server.quota.Left(string(rpc.RoleSubmit)); left != 10 {
		t.Errorf("%d are left, want all 10", left)
	}
	// Known digests among new ones are free too.
	r.submitted(t, rpc.RoleAdmin, batchOf(0, 9))
	if status, _, e := r.submitted(t, rpc.RoleSubmit, batchOf(0, 10)); status != 200 || r.server.quota.Left(string(rpc.RoleSubmit)) != 9 {
		t.Errorf("%d %v, %d are left, want 9", status, e, r.server.quota.Left(string(rpc.RoleSubmit)))
	}
}

func TestAllUsersTogetherHaveAQuota(t *testing.T) {
	r := withQuota(t)
	other, password, err := rpc.NewUser("other", rpc.RoleSubmit)
	if err != nil {
		t.Fatal(err)
	}
	u, err := rpc.ParseUser(other)
	if err != nil {
		t.Fatal(err)
	}
	r.server.users = append(r.server.users, u)
	r.pass["other"] = password
	if status, _, e := r.submitted(t, rpc.RoleSubmit, batchOf(0, 10)); status != 200 {
		t.Fatalf("%d %v", status, e)
	}
	if status, _, e := r.submitted(t, "other", batchOf(10, 20)); status != 503 || e.Code != rpc.CodeQuota || !strings.Contains(e.Message, "rpc.max_digests = 15") {
		t.Errorf("more than all may hand in: %d %v", status, e)
	}
	if status, _, e := r.submitted(t, "other", batchOf(10, 15)); status != 200 {
		t.Errorf("the rest: %d %v", status, e)
	}
}
