// Package mail sends an event of [notify] by SMTP.
//
// It speaks to a mail server over the network, on this machine or another one, and starts no
// program. The unit of ancred forbids what sendmail needs: Postfix's runs a program with the rights
// of a group, and looks at the network's interfaces.
package mail

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"ancre/internal/loopback"
	"ancre/internal/printable"
	"ancre/notify"
)

const (
	portSubmit  = "587" // with a login
	portTLS     = "465" // TLS from the first byte
	portRelay   = "25"
	dialTimeout = 20 * time.Second

	// timeLimit is how long sending may take: less than ancred waits for the command.
	timeLimit = 50 * time.Second
)

// Sender says how mail is sent.
type Sender struct {
	Server   string      // HOST or HOST:PORT; empty: localhost
	From     string      // an address; empty: ancre@ this machine
	Host     string      // the name of this machine
	Login    *Login      // nil: the server takes mail without one
	TLS      *tls.Config // nil: the system's certificates; tests have their own
	received time.Time   // what Date says; zero: now
}

// Login is a user's name and password at the mail server.
type Login struct{ User, Password string }

// ParseLogin reads the two lines of a login file: the user's name, then the password.
func ParseLogin(data []byte) (*Login, error) {
	lines := strings.Split(strings.TrimRight(string(data), "\r\n"), "\n")
	if len(lines) != 2 {
		return nil, errors.New("must have two lines: the user's name, then the password")
	}
	l := &Login{strings.TrimSuffix(lines[0], "\r"), strings.TrimSuffix(lines[1], "\r")}
	if l.User == "" || l.Password == "" {
		return nil, errors.New("must have two lines that are not empty: the user's name, then the password")
	}
	return l, nil
}

// Send sends the event to all addresses. It returns the errors of those that the server refused
// while it took the mail for another one. It fails if the server took it for none.
func (s Sender) Send(ctx context.Context, e notify.Event, to []string) (refused []error, err error) {
	recipients := make([]string, len(to))
	for i, address := range to {
		if recipients[i], err = parseAddress(address); err != nil {
			return nil, err
		}
	}
	if len(recipients) == 0 {
		return nil, errors.New("no address to send to")
	}
	from, err := s.from()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	address := s.address()
	c, err := s.dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("the mail server %s: %w", address, err)
	}
	defer c.Close()
	if refused, err = deliver(c, from, recipients, s.message(e, from, recipients)); err != nil {
		return nil, fmt.Errorf("the mail server %s: %w", address, err)
	}
	return refused, nil
}

// parseAddress returns the bare address.
func parseAddress(s string) (string, error) {
	a, err := netmail.ParseAddress(s)
	if err != nil {
		return "", fmt.Errorf("%q must be a mail address: %w", s, err)
	}
	return a.Address, nil
}

func (s Sender) from() (string, error) {
	if s.From == "" {
		return "ancre@" + s.host(), nil
	}
	return parseAddress(s.From)
}

func (s Sender) host() string {
	if s.Host == "" {
		return "localhost"
	}
	return s.Host
}

// address returns HOST:PORT of the server.
func (s Sender) address() string {
	server := s.Server
	if server == "" {
		server = "localhost"
	}
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server
	}
	port := portRelay
	if s.Login != nil {
		port = portSubmit
	}
	return net.JoinHostPort(strings.Trim(server, "[]"), port)
}

// dial connects, and begins TLS and a session as the server allows.
//
// With a login, the connection must be encrypted and the server's certificate valid. Without one
// there is no secret: then any encryption is better than none, as between all mail servers
// (RFC 7435). A server on this machine needs none.
func (s Sender) dial(ctx context.Context, address string) (c *smtp.Client, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: does it run there? Name another one with --server HOST:PORT", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer func() {
		if err != nil {
			stop()
			conn.Close()
		}
	}()
	conf := &tls.Config{}
	if s.TLS != nil {
		conf = s.TLS.Clone()
	}
	conf.ServerName = host
	if s.Login == nil && port != portTLS {
		conf.InsecureSkipVerify = true // see above
	}
	var stream = conn
	if port == portTLS {
		stream = tls.Client(conn, conf)
	}
	if c, err = smtp.NewClient(stream, host); err != nil {
		return nil, err
	}
	if err = c.Hello(s.host()); err != nil {
		return nil, err
	}
	if offered, _ := c.Extension("STARTTLS"); offered && port != portTLS && (s.Login != nil || !loopback.IsHost(host)) {
		if err = c.StartTLS(conf); err != nil {
			return nil, fmt.Errorf("encryption: %w", err)
		}
	}
	if s.Login != nil {
		if err = s.login(c, host); err != nil {
			return nil, fmt.Errorf("the login: %w", err)
		}
	}
	return c, nil
}

// login authenticates by PLAIN, or by LOGIN where a server has only that.
func (s Sender) login(c *smtp.Client, host string) error {
	if _, encrypted := c.TLSConnectionState(); !encrypted && !loopback.IsHost(host) {
		return errors.New("the server offers no encryption, so the password was not sent")
	}
	offered, methods := c.Extension("AUTH")
	if !offered {
		return errors.New("the server takes none here: leave --login out, or name its port for clients, such as 587")
	}
	for method := range strings.FieldsSeq(strings.ToUpper(methods)) {
		if method == "PLAIN" {
			return c.Auth(smtp.PlainAuth("", s.Login.User, s.Login.Password, host))
		}
	}
	return c.Auth(&loginAuth{*s.Login})
}

// loginAuth is the method LOGIN, which Microsoft's servers offer: the server asks for the name,
// then for the password.
type loginAuth struct{ Login }

func (l *loginAuth) Start(*smtp.ServerInfo) (method string, first []byte, err error) {
	return "LOGIN", nil, nil
}

func (l *loginAuth) Next(asked []byte, more bool) (answer []byte, err error) {
	switch question := strings.ToLower(string(asked)); {
	case !more:
		return nil, nil
	case strings.HasPrefix(question, "user"):
		return []byte(l.User), nil
	case strings.HasPrefix(question, "pass"):
		return []byte(l.Password), nil
	}
	return nil, errors.New("the server asks neither for a name nor for a password")
}

// deliver sends one message. It ends the session.
func deliver(c *smtp.Client, from string, to []string, message []byte) (refused []error, err error) {
	if err := c.Mail(from); err != nil {
		return nil, fmt.Errorf("it refuses the sender %s: %w; name another one with --from", from, said(err))
	}
	for _, address := range to {
		if err := c.Rcpt(address); err != nil {
			refused = append(refused, fmt.Errorf("it refuses the recipient %s: %w", address, said(err)))
		}
	}
	if len(refused) == len(to) {
		return nil, errors.Join(refused...)
	}
	w, err := c.Data()
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(message); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	_ = c.Quit() // the server has taken the mail
	return refused, nil
}

// said returns an answer of the server as it wrote it. The error of the library quotes it.
func said(err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return fmt.Errorf("%d %s", answer.Code, strings.ReplaceAll(answer.Msg, "\n", " "))
	}
	return err
}

// message writes a mail of RFC 5322.
func (s Sender) message(e notify.Event, from string, to []string) []byte {
	date := s.received
	if date.IsZero() {
		date = time.Now()
	}
	var m bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&m, "%s: %s\r\n", name, printable.Line(value)) }
	header("From", "Ancre <"+from+">")
	header("To", strings.Join(to, ", "))
	header("Subject", mime.QEncoding.Encode("utf-8", printable.Line(e.Subject)))
	header("Date", date.Format(time.RFC1123Z))
	header("Message-ID", "<"+rand.Text()+"@"+s.host()+">")
	header("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	m.WriteString("\r\n")
	body := quotedprintable.NewWriter(&m)
	_, _ = body.Write([]byte(strings.ReplaceAll(printable.Text(e.Message), "\n", "\r\n")))
	_ = body.Close()
	return m.Bytes()
}
