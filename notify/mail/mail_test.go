package mail

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ancre/notify"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a mail server for one connection at a time.
type server struct {
	address  string
	starttls bool   // it offers STARTTLS
	auth     string // the methods of AUTH that it offers, once encrypted
	cert     tls.Certificate
	roots    *x509.CertPool

	mu        sync.Mutex
	commands  []string // without the mail itself
	mail      string
	encrypted bool
}

// serve starts a server on loopback, which ends with the test.
func serve(t *testing.T, s *server) *server {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate
	s.cert, s.roots = web.TLS.Certificates[0], x509.NewCertPool()
	s.roots.AddCert(web.Certificate())
	web.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = ln.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.session(conn)
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return s
}

// session answers one client.
func (s *server) session(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	text := textproto.NewConn(conn)
	say := func(line string) { _ = text.PrintfLine("%s", line) }
	say("220 mail.example.org ESMTP")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, line)
		encrypted := s.encrypted
		s.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "EHLO":
			say("250-mail.example.org")
			for _, extension := range s.extensions(encrypted) {
				say("250-" + extension)
			}
			say("250 OK")
		case "STARTTLS":
			say("220 go on")
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.cert}})
			if secure.Handshake() != nil {
				return
			}
			conn, text = secure, textproto.NewConn(secure)
			s.mu.Lock()
			s.encrypted = true
			s.mu.Unlock()
		case "AUTH":
			s.login(text, line)
		case "RCPT":
			if strings.Contains(line, "nobody") {
				say("550 no such user")
				continue
			}
			say("250 OK")
		case "MAIL":
			if strings.Contains(line, "refused@") {
				say("553 not yours")
				continue
			}
			say("250 OK")
		case "DATA":
			say("354 go on")
			data, _ := io.ReadAll(text.DotReader())
			s.mu.Lock()
			s.mail = string(data)
			s.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what?")
		}
	}
}

func (s *server) extensions(encrypted bool) (list []string) {
	if s.starttls && !encrypted {
		list = append(list, "STARTTLS")
	}
	if s.auth != "" && encrypted {
		list = append(list, "AUTH "+s.auth)
	}
	return list
}

// login takes the name "anna" with the password "s3cret é".
func (s *server) login(text *textproto.Conn, line string) {
	ok := line == "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00anna\x00s3cret é"))
	if line == "AUTH LOGIN" {
		var got []string
		for _, question := range []string{"Username:", "Password:"} {
			_ = text.PrintfLine("334 %s", base64.StdEncoding.EncodeToString([]byte(question)))
			answer, _ := text.ReadLine()
			plain, _ := base64.StdEncoding.DecodeString(answer)
			got = append(got, string(plain))
		}
		ok = slices.Equal(got, []string{"anna", "s3cret é"})
	}
	if !ok {
		_ = text.PrintfLine("535 wrong")
		return
	}
	_ = text.PrintfLine("235 welcome")
}

func (s *server) sent() (commands []string, mail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands), s.mail
}

// event has words of every kind.
var event = notify.Event{Subject: "Ancre sur mairie: épuisé\r\nBcc: all@example.org", Message: "Ligne é\n.\n.point\n\x1b[31m" + strings.Repeat("long ", 40) + "\n"}

func TestAMailArrives(t *testing.T) {
	s := serve(t, &server{})
	sender := Sender{Server: s.address, Host: "mairie.example.org", received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	refused, err := sender.Send(t.Context(), event, []string{"IT <it@example.org>", "nobody@example.org", "b@example.org"})
	if err != nil || len(refused) != 1 || !strings.Contains(refused[0].Error(), "it refuses the recipient nobody@example.org: 550") {
		t.Fatalf("%v, %v", refused, err)
	}
	commands, raw := s.sent()
	if want := []string{"EHLO mairie.example.org", "MAIL FROM:<ancre@mairie.example.org>", "RCPT TO:<it@example.org>", "RCPT TO:<nobody@example.org>", "RCPT TO:<b@example.org>", "DATA", "QUIT"}; !slices.Equal(commands, want) {
		t.Errorf("the session %q, want %q", commands, want)
	}
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != `Ancre sur mairie: épuisé\r\nBcc: all@example.org` || m.Header.Get("Bcc") != "" {
		t.Errorf("the subject %q, %v; Bcc %q", subject, err, m.Header.Get("Bcc"))
	}
	for name, want := range map[string]string{"From": "Ancre <ancre@mairie.example.org>", "To": "it@example.org, nobody@example.org, b@example.org",
		"Date": "Fri, 02 Jan 2026 03:04:05 +0000", "Auto-Submitted": "auto-generated"} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	got := strings.ReplaceAll(string(body), "\r\n", "\n")
	if want := strings.ReplaceAll(event.Message, "\x1b", `\x1b`); err != nil || got != want {
		t.Errorf("the body %q, %v; want %q", got, err, want)
	}
	for line := range strings.Lines(raw) {
		if len(line) > 78+2 {
			t.Errorf("a line of %d bytes: %q", len(line), line)
		}
	}
}

func TestALoginIsEncrypted(t *testing.T) {
	for _, methods := range []string{"PLAIN LOGIN", "LOGIN XOAUTH2"} {
		s := serve(t, &server{starttls: true, auth: methods})
		sender := Sender{Server: s.address, From: "ancre@example.org", Login: &Login{"anna", "s3cret é"}, TLS: &tls.Config{RootCAs: s.roots}}
		if _, err := sender.Send(t.Context(), event, []string{"it@example.org"}); err != nil {
			t.Errorf("%s: %v", methods, err)
		}
		if _, mail := s.sent(); mail == "" || !s.encrypted {
			t.Errorf("%s: nothing arrived, or it was not encrypted", methods)
		}
		// A certificate that nobody vouches for could be anybody's.
		s = serve(t, &server{starttls: true, auth: methods})
		sender.Server, sender.TLS = s.address, nil
		if _, err := sender.Send(t.Context(), event, []string{"it@example.org"}); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: a strange certificate: %v", methods, err)
		}
		if commands, _ := s.sent(); slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, "AUTH") }) {
			t.Errorf("%s: the password was sent: %q", methods, commands)
		}
	}
}

func TestAPasswordIsNotSentInTheClear(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		in := bufio.NewReader(theirs)
		fmt.Fprint(theirs, "220 hello\r\n")
		if _, err := in.ReadString('\n'); err == nil {
			fmt.Fprint(theirs, "250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
		}
	}()
	c, err := smtp.NewClient(ours, "mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	s := Sender{Login: &Login{"anna", "s3cret"}}
	if err := s.login(c, "mail.example.org"); err == nil || !strings.Contains(err.Error(), "no encryption, so the password was not sent") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := ln.Addr().String()
	ln.Close()
	s := serve(t, &server{})
	for _, tt := range []struct {
		sender Sender
		to     []string
		want   string
	}{
		{Sender{Server: free}, []string{"it@example.org"}, "the mail server " + free + ": dial tcp " + free + ": connect: connection refused: does it run there? Name another one with --server"},
		{Sender{Server: s.address}, []string{"nobody@example.org", "nobody2@example.org"}, "it refuses the recipient nobody@example.org: 550 no such user"},
		{Sender{Server: s.address}, []string{"it"}, `"it" must be a mail address`},
		{Sender{Server: s.address}, []string{"it@example.org\r\nRCPT TO:<b@example.org>"}, "must be a mail address"},
		{Sender{Server: s.address}, nil, "no address"},
		{Sender{Server: s.address, From: "me"}, []string{"it@example.org"}, `"me" must be a mail address`},
		{Sender{Server: s.address, From: "refused@example.org"}, []string{"it@example.org"}, "it refuses the sender refused@example.org: 553 not yours; name another one with --from"},
		{Sender{Server: s.address, Login: &Login{"anna", "b"}}, []string{"it@example.org"}, "the login: the server takes none here"},
	} {
		if _, err := tt.sender.Send(t.Context(), event, tt.to); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v to %q: %v, want %s", tt.sender, tt.to, err, tt.want)
		}
	}
}

func TestServersHaveTheirPorts(t *testing.T) {
	login := &Login{"a", "b"}
	for _, tt := range []struct {
		sender Sender
		want   string
	}{
		{Sender{}, "localhost:25"},
		{Sender{Server: "mail.example.org"}, "mail.example.org:25"},
		{Sender{Server: "mail.example.org", Login: login}, "mail.example.org:587"},
		{Sender{Server: "mail.example.org:465", Login: login}, "mail.example.org:465"},
		{Sender{Server: "2001:db8::1"}, "[2001:db8::1]:25"},
		{Sender{Server: "[2001:db8::1]"}, "[2001:db8::1]:25"},
	} {
		if got := tt.sender.address(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.sender, got, tt.want)
		}
	}
}

func TestALoginFileHasTwoLines(t *testing.T) {
	for text, want := range map[string]Login{"anna\ns3cret é\n": {"anna", "s3cret é"}, "anna\r\nb c \r\n": {"anna", "b c "}, "a\nb": {"a", "b"}} {
		if got, err := ParseLogin([]byte(text)); err != nil || *got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "anna", "anna\n\n", "\nb\n", "a\nb\nc"} {
		if got, err := ParseLogin([]byte(text)); err == nil || strings.Contains(err.Error(), "anna") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
