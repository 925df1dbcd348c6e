package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"ancre/internal/atomicfile"
	"ancre/internal/printable"
	"ancre/notify"
	"ancre/notify/mail"
)

const mailUsage = `ancred mail sends an event, which ancred gives to notify.command, to mail addresses.

Usage: ancred mail [--server HOST[:PORT]] [--from ADDRESS] [--login FILE] ADDRESS...

  --server HOST[:PORT]   the mail server (default localhost; the port is 25, or 587 with
                         --login; on port 465, TLS begins at once)
  --from ADDRESS         the sender (default ancre@ the name of this machine)
  --login FILE           a file with two lines, the user's name and the password at the mail
                         server; it should have the mode 0400 and the owner ancre

It reads the event as JSON from standard input, and speaks SMTP. With --login, the
connection is encrypted and the server's certificate must be valid.

/usr/lib/ancre/notify-mail calls it. In ancre.conf:

  [notify]
  command = ["/usr/lib/ancre/notify-mail", "--server", "mail.example.org", "it@example.org"]

Exit status: 0 the server took the mail, 1 it did not, 2 wrong usage.
`

// maxEvent is far longer than any event.
const maxEvent = 1 << 20

// runMail does what args say, and returns the exit status.
func runMail(args []string, w world) int {
	var sender mail.Sender
	var login string
	set := flag.NewFlagSet("ancred mail", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&sender.Server, "server", "", "")
	set.StringVar(&sender.From, "from", "", "")
	set.StringVar(&login, "login", "", "")
	err := set.Parse(args)
	if err == nil && set.NArg() == 0 {
		err = errors.New("no address to send to")
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return w.print(mailUsage)
	case err != nil:
		return w.wrongUsage(mailUsage, err)
	}
	if err := sendMail(sender, login, set.Args(), w); err != nil {
		fmt.Fprintf(w.err, "ancred mail: %s\n", printable.Text(err.Error()))
		return exitFailed
	}
	return exitDone
}

func sendMail(sender mail.Sender, login string, to []string, w world) error {
	if login != "" {
		data, err := atomicfile.ReadInput(login, maxEvent)
		if err != nil {
			return fmt.Errorf("--login: %w", atomicfile.Denied(err))
		}
		if sender.Login, err = mail.ParseLogin(data); err != nil {
			return fmt.Errorf("--login %s: %w", login, err)
		}
	}
	data, err := io.ReadAll(io.LimitReader(w.in, maxEvent))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	var e notify.Event
	if err := json.Unmarshal(data, &e); err != nil || e.Subject == "" {
		return errors.New("standard input must hold an event of ancred as JSON: \"ancre rpc testnotify\" runs notify.command with one")
	}
	sender.Host, _ = os.Hostname()
	refused, err := sender.Send(w.begin(), e, to)
	if err != nil {
		return err
	}
	for _, err := range refused {
		fmt.Fprintf(w.err, "ancred mail: %s\n", printable.Line(err.Error()))
	}
	fmt.Fprintf(w.out, "the mail server took the mail for %d of %d addresses\n", len(to)-len(refused), len(to))
	return nil
}
