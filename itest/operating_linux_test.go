package itest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
	"ancre/rpc"
)

// The guides for operators. Each is followed from the first line to the last on an empty Debian.
var operatorsGuides = []string{"docs/operating.md", "docs/fr/exploitation.md"}

// operatorsSteps are the lines that cannot be typed as they are, in both languages.
var operatorsSteps = map[string]step{
	"sudo apt install ./ancre_0.2.0_amd64.deb": {
		why:     "the first time it is an older version, which is upgraded later; apt has nobody to ask",
		instead: "sudo apt-get install --yes -qq ./ancre.deb",
		before:  (*walk).bringNextPackage,
		after:   (*walk).wantInstalled,
	},
	"newgrp ancre":              {why: "each line is typed after a new login"},
	"ancre status":              {after: (*walk).wantRunning},
	"sudo ancre wallet create":  {answers: (*walk).newWallet, after: (*walk).fundAddress},
	"sudo ancre wallet address": {after: (*walk).fundAddress},
	"ancre wallet balance":      {prints: "confirmed  40,000  sat"},
	"sudo ancre wallet unlock":  {before: (*walk).restart, answers: (*walk).passphrase, after: (*walk).wantUnlocked},
	"sudoedit /etc/credstore/ancre.passphrase": {
		why:     "an editor waits for its person",
		instead: "echo '" + passphrase + "' | sudo tee /etc/credstore/ancre.passphrase >/dev/null",
	},
	"sudo systemctl restart ancred":                            {after: (*walk).wantUnlocked},
	"sudo ancre wallet passphrase":                             {answers: (*walk).otherPassphrase, after: (*walk).storePassphrase},
	"sudo ancre wallet send ADDRESS 25000":                     sendSome,
	"sudo ancre wallet send ADRESSE 25000":                     sendSome,
	"sudo ancre wallet send ADDRESS all":                       sendAll,
	"sudo ancre wallet send ADRESSE all":                       sendAll,
	"sudo ancre wallet create --restore --birthday 2026-01-31": {why: "there is a wallet; the second machine restores it, and the chain of the test is younger"},
	`copy = ["/usr/bin/rsync", "{file}", "ancre@backup.example.org:"]`: {
		why:     "there is no such machine",
		instead: `copy = ["/bin/cp", "{file}", "/var/backups/ancre/elsewhere"]`,
	},
	"sudo systemctl start ancre-backup":                                        {after: (*walk).wantBackup},
	`command = ["/usr/lib/ancre/notify-mail", "--server", "mail.example.org",`: {why: "the guide shows it as the other way"},
	"sudo ancre doctor":              {prints: "fine     wallet"},
	"sudo ancre rpc testnotify":      {before: (*walk).runMailServer, after: (*walk).wantMail},
	"sudo apt install nginx certbot": {why: "nginx is installed in the base, and certbot would ask a public service"},
	"sudo certbot certonly --webroot --webroot-path /var/www/html -d ots.example.org": {
		why: "no public service can reach this machine",
		instead: "sudo install -d /etc/letsencrypt/live/ots.example.org && sudo openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ots.example.org" +
			" -addext subjectAltName=DNS:ots.example.org -keyout /etc/letsencrypt/live/ots.example.org/privkey.pem" +
			" -out /etc/letsencrypt/live/ots.example.org/fullchain.pem",
		after: (*walk).trustCertificate,
	},
	"curl https://ots.example.org/":      {prints: "alendar", after: (*walk).wantDigestOfStranger},
	"sudo ancred restore ancre.backup":   {before: (*walk).secondMachine},
	"sudo ancre wallet create --restore": {answers: (*walk).oldWallet, after: (*walk).wantRestored},
	"ancre upgrade test.txt.ots":         {before: (*walk).nextDay},
	"ancre verify test.txt.ots":          {prints: "valid, existed before"},

	"ancre rpc stop":                {why: otherDaemon},
	"sudo systemctl stop ancred":    {why: otherDaemon},
	"sudo ancred move ~NAME/.ancre": {why: otherDaemon},
	"sudo systemctl start ancred":   {why: otherDaemon},
}

const otherDaemon = "this machine never had another daemon: TestMoveToTheService moves one"

// sendSome pays back to the wallet itself.
var sendSome = step{
	why:     "the guide names no address",
	instead: "sudo ancre wallet send \"$(sudo ancre rpc getnewaddress)\" 25000",
	answers: func(*walk) []harness.Typed {
		return []harness.Typed{{Question: "[y/N] ", Answer: func(string) string { return "y" }}}
	},
	after: func(w *walk, _ string) { w.mine(1) },
}

var sendAll = step{why: "the walk would have no money left; TestP3SendAllLeavesTheCoinOfAnAnchor sends all"}

func TestOperatorsGuidesWorkOnAnEmptyMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	if err := harness.MissingForMachines(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	for _, guide := range operatorsGuides {
		t.Run(guide, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			node, err := harness.StartBtcd(ctx, bin.Btcd, t.TempDir(), false)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = node.Kill9() })
			began := time.Now()
			w := &walk{T: t, ctx: ctx, guide: guide, node: node, mails: new(mailServer), secret: passphrase}
			w.m = machineOf(ctx, t, "town-hall", node)
			w.follow(operatorsSteps)
			w.wantCronHasWorked()
			t.Logf("%d commands in %s", w.ran, time.Since(began).Round(time.Second))
			if w.ran < 10 {
				t.Errorf("the guide shows only %d commands", w.ran)
			}
		})
	}
}

// A step that no guide shows any more tests nothing.
func TestStepsOfTheWalkAreInTheGuides(t *testing.T) {
	var lines []string
	for _, guide := range operatorsGuides {
		for _, b := range blocksOf(readFile(t, "../"+guide)) {
			lines = append(lines, commandsOf(b.text)...)
		}
	}
	for _, line := range slices.Sorted(maps.Keys(operatorsSteps)) {
		if !slices.Contains(lines, line) {
			t.Errorf("no guide shows %q", line)
		}
	}
}

// bringPackage puts the package into the officer's home.
func (w *walk) bringPackage() {
	w.Helper()
	path, err := deb()
	w.must(err)
	w.must(copyTo(w.m, path, "ancre.deb"))
}

// bringOlderPackage puts the package there as if it were of an older version.
func (w *walk) bringOlderPackage() {
	w.Helper()
	w.bringPackage()
	w.root("cd /tmp && rm -rf older && dpkg-deb -R /home/" + officer + "/ancre.deb older && sed -i 's/^Version: .*/Version: 0.1.0/' older/DEBIAN/control &&" +
		" dpkg-deb -Znone -b older /home/" + officer + "/ancre.deb")
}

// bringNextPackage brings an older version to an empty machine, and this one to upgrade it.
func (w *walk) bringNextPackage() {
	w.Helper()
	if w.installed = !w.installed; w.installed {
		w.bringOlderPackage()
	} else {
		w.bringPackage()
	}
}

// wantInstalled wants nothing to run on a new machine, and everything to go on after an upgrade.
func (w *walk) wantInstalled(string) {
	w.Helper()
	if w.installed {
		w.regtest()
		return
	}
	w.wantUnlocked("")
	if info := w.info(); info.Digests == 0 || info.UptimeSeconds > 60 {
		w.Errorf("after the upgrade the daemon has %d digests, up for %d s", info.Digests, info.UptimeSeconds)
	}
}

func (w *walk) wantRunning(printed string) {
	w.Helper()
	if !strings.Contains(printed, "regtest") {
		w.Errorf("status prints %q", printed)
	}
	if out := w.root("systemctl show --property=User,ActiveState ancred"); out != "ActiveState=active\nUser=ancre\n" && out != "User=ancre\nActiveState=active\n" {
		w.Errorf("the service is %q", out)
	}
}

// newWallet answers as a person who writes the words down.
func (w *walk) newWallet() []harness.Typed {
	return append(w.newPassphrase(), harness.Typed{Question: "as you wrote it down: ", Answer: w.word}, harness.Typed{Question: "as you wrote it down: ", Answer: w.word})
}

func (w *walk) newPassphrase() []harness.Typed {
	say := func(string) string { return w.secret }
	return []harness.Typed{{Question: "assphrase", Answer: say}, {Question: "The same again: ", Answer: say}}
}

// otherPassphrase answers with the old passphrase, and then with another one.
func (w *walk) otherPassphrase() []harness.Typed {
	old := w.passphrase()
	was := w.secret
	old[0].Answer = func(string) string { return was }
	w.secret += " again"
	return append(old, w.newPassphrase()...)
}

// storePassphrase gives systemd the passphrase, as the guide says after changing it.
func (w *walk) storePassphrase(string) {
	w.Helper()
	w.root("echo '" + w.secret + "' >/etc/credstore/ancre.passphrase")
}

func (w *walk) passphrase() []harness.Typed { return w.newPassphrase()[:1] }

// word returns the word that was asked for last, from what is on the screen.
func (w *walk) word(printed string) string {
	words := make(map[string]string)
	w.words = ""
	for _, m := range regexp.MustCompile(`(?:^|\s)(\d+) ([a-z]{3,8})\b`).FindAllStringSubmatch(printed, -1) {
		words[m[1]] = m[2]
	}
	for i := range 24 {
		w.words += words[fmt.Sprint(i+1)] + " "
	}
	asked := regexp.MustCompile(`type word (\d+)`).FindAllStringSubmatch(printed, -1)
	return words[asked[len(asked)-1][1]]
}

// fundAddress pays to the address that was printed, and waits until the wallet has the coins.
func (w *walk) fundAddress(printed string) {
	w.Helper()
	address := regexp.MustCompile(`bcrt1\w+`).FindString(printed)
	have := w.info().Wallet.ConfirmedSats
	w.must(w.node.Fund(w.ctx, address, 20_000))
	w.awaitInfo("the coins", func(i rpc.Info) bool { return i.Wallet.ConfirmedSats == have+20_000 })
}

// wantBackup wants the backup to be rehearsed and copied, and the daemon to know it.
func (w *walk) wantBackup(string) {
	w.Helper()
	if last := w.info().LastBackup; last == nil || !last.Rehearsed || !last.Copied || last.Digests == 0 {
		w.Errorf("the last backup is %+v", last)
	}
	w.root("test -s /var/backups/ancre/elsewhere")
}

// runMailServer starts the mail server of this machine.
func (w *walk) runMailServer() {
	w.Helper()
	l, err := w.m.Listen("127.0.0.1:25")
	w.must(err)
	w.Cleanup(func() { l.Close() })
	go w.mails.serve(l)
}

func (w *walk) wantMail(string) {
	w.Helper()
	w.must(w.mails.await(w.ctx, "it@example.org"))
}

// trustCertificate makes the machine know the name and the certificate, as the world would.
func (w *walk) trustCertificate(string) {
	w.Helper()
	w.root("echo 127.0.0.1 ots.example.org >>/etc/hosts")
	w.root("cp /etc/letsencrypt/live/ots.example.org/fullchain.pem /usr/local/share/ca-certificates/ots.crt && update-ca-certificates")
}

// wantDigestOfStranger submits a digest through nginx, as an OpenTimestamps client elsewhere would.
func (w *walk) wantDigestOfStranger(string) {
	w.Helper()
	have := w.info().Digests
	w.root("head -c 32 /dev/urandom | curl --fail --silent --show-error --data-binary @- -o /tmp/answer https://ots.example.org/digest && grep -q https://ots.example.org /tmp/answer")
	if now := w.info().Digests; now != have+1 {
		w.Errorf("the daemon has %d digests, want %d", now, have+1)
	}
}

// secondMachine is what remains after a fire: the newest backup, and the words.
func (w *walk) secondMachine() {
	w.Helper()
	w.wantCronHasWorked()
	w.nextDay()
	w.digests = w.info().Digests
	w.root("ancre backup --force /var/backups/ancre/last.backup")
	backup, err := os.ReadFile(w.m.Path("/var/backups/ancre/last.backup"))
	w.must(err)
	kept := make(map[string][]byte)
	for _, name := range []string{"test.txt", "test.txt.ots"} {
		kept[name], err = os.ReadFile(w.m.Path("/home/" + officer + "/" + name))
		w.must(err)
	}
	w.root("systemctl stop ancred")
	w.m = machineOf(w.ctx, w.T, "second-town-hall", w.node)
	w.bringPackage()
	w.root("apt-get install --yes -qq /home/" + officer + "/ancre.deb")
	w.regtest()
	kept["ancre.backup"] = backup
	for name, content := range kept {
		w.must(os.WriteFile(w.m.Path("/home/"+officer+"/"+name), content, 0o644))
	}
	w.words, w.oldWords = "", w.words
}

func (w *walk) oldWallet() []harness.Typed {
	words := harness.Typed{Question: "The words, on one line: ", Answer: func(string) string { return w.oldWords }}
	return append([]harness.Typed{words}, w.newPassphrase()...)
}

// wantRestored wants the coins, every digest, and no second payment.
func (w *walk) wantRestored(string) {
	w.Helper()
	w.words = w.oldWords
	payments, err := w.node.Payments(w.ctx)
	w.must(err)
	w.awaitInfo("the restored daemon", func(i rpc.Info) bool {
		return i.Wallet.State == "ready" && i.Wallet.ConfirmedSats > 0 && i.Digests == w.digests
	})
	w.mine(2)
	if now, err := w.node.Payments(w.ctx); err != nil || len(now) != len(payments) {
		w.Errorf("the restored daemon paid again: %d payments, had %d, %v", len(now), len(payments), err)
	}
	w.root("ancre verify /home/" + officer + "/test.txt.ots")
}

func (w *walk) restart() {
	w.Helper()
	w.root("systemctl restart ancred")
	w.awaitInfo("a locked wallet", func(i rpc.Info) bool { return i.Wallet.State == "locked" })
}

// wantUnlocked wants a wallet that can pay, as soon as there is one.
func (w *walk) wantUnlocked(string) {
	w.Helper()
	w.awaitInfo("an unlocked wallet", func(i rpc.Info) bool { return i.Wallet.State == "ready" || i.Wallet.State == "none" && w.words == "" })
}

// wantCronHasWorked waits until cron has stamped what lies in the folder.
func (w *walk) wantCronHasWorked() {
	w.Helper()
	if w.crontab == nil {
		return
	}
	w.must(harness.Await(w.ctx, "cron to stamp", func(ctx context.Context) (bool, string, error) {
		out, err := w.m.Root(ctx, "ls -l /home/"+officer+"/documents; ls /var/mail")
		return strings.Contains(out, "minutes.txt.ots"), out, err
	}))
	w.crontab = nil // the next machine has none
}
