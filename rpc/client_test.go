package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestNobodyThereIsToldWithWhatToDo(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	c, err := NewClient("http://alice:hidden@"+addr, "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Info(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "http://"+addr) || !strings.Contains(err.Error(), "is ancred running?") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Info(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
	c, err = NewCookieClient(addr, filepath.Join(t.TempDir(), ".cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "no cookie file") {
		t.Errorf("no cookie: %v", err)
	}
	for _, addr := range []string{"ftp://x", "http://", "http://a:b@c:d:e", "%zz"} {
		if _, err := NewClient(addr, "", ""); err == nil || strings.Contains(err.Error(), "a:b@") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestAnswersOfSomethingElseAreTold(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		words   string
	}{
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "no JSON-RPC|<html>|status 200"},
		{"nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "no JSON-RPC|status 204"},
		{"JSON of another kind", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":1}`) }, "no JSON-RPC"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "no JSON-RPC|status 307"},
		{"the answer to another call", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":1,"error":null,"id":99}`) }, `call 1|"99"`},
		{"another type", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"result":"x","error":null,"id":1}`) }, "another type"},
		{"a connection that breaks", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			fmt.Fprint(w, `{`)
		}, "no answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(c.handler)
			defer s.Close()
			client, err := NewClient(s.URL, "u", "hidden")
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_, err = client.BlockCount(t.Context())
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range append(strings.Split(c.words, "|"), s.URL) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("the message lacks %q: %v", w, err)
				}
			}
		})
	}
}

func TestAnAnswerWithoutEndIsNotReadToTheEnd(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}))
	defer s.Close()
	c, err := NewClient(s.URL, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.BlockCount(t.Context()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
}
