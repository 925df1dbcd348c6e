package rpc

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestRetryAfterSaysWhichRefusalsPass(t *testing.T) {
	for what, c := range map[string]struct {
		status    int
		body      string
		after     string
		wait      time.Duration
		temporary bool
	}{
		"busy":                      {503, `{"id":1,"error":{"code":-32000,"message":"busy"}}`, "3", 3 * time.Second, true},
		"busy, and no time":         {503, `{"id":1,"error":{"code":-32000,"message":"busy"}}`, "", time.Second, true},
		"a limit":                   {503, `{"id":1,"error":{"code":-32001,"message":"limit"}}`, "60", time.Minute, true},
		"more than a limit allows":  {503, `{"id":1,"error":{"code":-32001,"message":"limit"}}`, "", 0, false},
		"another error":             {500, `{"id":1,"error":{"code":-5,"message":"unknown"}}`, "60", time.Minute, false},
		"a web server":              {503, "busy", "60", time.Minute, true},
		"a web server, and no time": {429, "<html>", "soon", time.Second, true},
		"another service":           {404, "<html>", "60", 0, false},
		"an answer":                 {200, `{"id":1,"result":1}`, "60", 0, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		}))
		client, err := NewClient(server.URL, "user", "password")
		if err != nil {
			t.Fatal(err)
		}
		err = client.Call(t.Context(), MethodGetBlockCount, nil)
		wait, temporary := RetryAfter(fmt.Errorf("wrapped: %w", err))
		if temporary != c.temporary || temporary && wait != c.wait {
			t.Errorf("%s: %v, %t, want %v, %t (%v)", what, wait, temporary, c.wait, c.temporary, err)
		}
		client.Close()
		server.Close()
	}
	if _, temporary := RetryAfter(errors.New("another error")); temporary {
		t.Error("any error passes")
	}
}

func TestRetryAfterMayBeATime(t *testing.T) {
	if got := parseRetryAfter(time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)); got < 50*time.Second || got > time.Minute {
		t.Errorf("%v, want about a minute", got)
	}
	for _, past := range []string{"Thu, 01 Jan 1970 00:00:00 GMT", "-1", "99999999999999999999", ""} {
		if got := parseRetryAfter(past); got != 0 {
			t.Errorf("%q: %v", past, got)
		}
	}
}
