package httpserve

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestWebPagesAreRefusedAndProgramsAreNot(t *testing.T) {
	guard := Guard{Names: []string{"Ancre.Example", "192.0.2.7:14780"}, Refuse: func(w http.ResponseWriter, status int, why string) {
		http.Error(w, why, status)
	}}
	addr := serves(t, generous(), guard.Wrap(http.HandlerFunc(hello)).ServeHTTP)
	_, port, _ := strings.Cut(addr, ":")
	for _, c := range []struct {
		name, request string
		refused       string // what the refusal names; "": answered
	}{
		{"curl", "GET / HTTP/1.1\r\nHost: " + addr + "\r\n", ""},
		{"localhost", "POST / HTTP/1.1\r\nHost: localhost:" + port + "\r\nContent-Length: 0\r\n", ""},
		{"LOCALHOST with a dot", "GET / HTTP/1.1\r\nHost: LOCALHOST.\r\n", ""},
		{"another loopback address", "GET / HTTP/1.1\r\nHost: 127.9.9.9:1\r\n", ""},
		{"IPv6", "GET / HTTP/1.1\r\nHost: [::1]:14780\r\n", ""},
		{"IPv6 without a port", "GET / HTTP/1.1\r\nHost: [::1]\r\n", ""},
		{"IPv4 as IPv6", "GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]:1\r\n", ""},
		{"a configured name", "GET / HTTP/1.1\r\nHost: ancre.example:443\r\n", ""},
		{"a configured address", "GET / HTTP/1.1\r\nHost: 192.0.2.7\r\n", ""},
		{"HTTP/1.0 without a host", "GET / HTTP/1.0\r\n", ""},
		{"a person who types the address", "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n", ""},
		{"a link on our own page", "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n", ""},

		{"a page elsewhere", "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 100\r\n", "Origin"},
		{"a page of this machine", "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 100\r\n", "Origin"},
		{"a file or a frame", "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n", "Origin"},
		{"an empty origin", "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin:\r\n", "Origin"},
		{"a question before", "OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n", "Origin"},
		{"a picture on a page", "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site"},
		{"a page on another port", "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-site\r\n", "Sec-Fetch-Site"},
		{"a name that was made to point here", "GET / HTTP/1.1\r\nHost: evil.example:" + port + "\r\n", "rpc.hosts"},
		{"a name that begins like ours", "GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n", "rpc.hosts"},
		{"a name that ends like ours", "GET / HTTP/1.1\r\nHost: evil.localhost\r\n", "rpc.hosts"},
		{"an address that is not ours", "GET / HTTP/1.1\r\nHost: 192.0.2.8\r\n", "rpc.hosts"},
		{"a name below a configured one", "GET / HTTP/1.1\r\nHost: x.ancre.example\r\n", "rpc.hosts"},
		{"a foreign host in the first line", "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n", "rpc.hosts"},
		{"a port without a host", "GET / HTTP/1.1\r\nHost: :80\r\n", "rpc.hosts"},
		{"HTTP/1.0 with a foreign host", "GET / HTTP/1.0\r\nHost: evil.example\r\n", "rpc.hosts"},
	} {
		conn := dial(t, addr)
		fmt.Fprint(conn, c.request+"\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		if c.refused == "" && (resp.StatusCode != 200 || string(body) != "hello") {
			t.Errorf("%s is answered with %d %s", c.name, resp.StatusCode, body)
		}
		if c.refused != "" && (resp.StatusCode != 403 || !strings.Contains(string(body), c.refused) || !resp.Close) {
			t.Errorf("%s is answered with %d %s, want it refused for %s", c.name, resp.StatusCode, body, c.refused)
		}
	}
}

func TestPagesOfThisMachineAreKnownByTheirOrigin(t *testing.T) {
	for origin, local := range map[string]bool{
		"http://localhost": true, "http://localhost:3000": true, "https://127.0.0.1:8443": true, "http://[::1]:80": true,
		"null": false, "": false, "https://evil.example": false, "http://localhost.evil.example": false, "file://": false, "localhost": false,
	} {
		if got := LocalOrigin(origin); got != local {
			t.Errorf("%q: %t", origin, got)
		}
	}
}
