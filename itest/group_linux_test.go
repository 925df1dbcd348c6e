package itest

import (
	"context"
	"os"
	"strings"
	"testing"

	"ancre/itest/harness"
)

const serviceFile = "/etc/ancre/ancre.conf"

// The members of the group ancre use the service as the guide says: without sudo and without flags.
func TestTheGroupUsesTheService(t *testing.T) {
	m := newMachine(t)
	m.run(greffe, 1, []string{"no cookie for regtest", "systemctl status ancred"}, "ancre", "status")
	stop := m.start(ancre, greffe, "--config", serviceFile)

	m.file("/home/greffe/a.pdf", greffeUID, 0o644, "a")
	m.run(greffe, 0, []string{"stamped"}, "ancre", "stamp", "a.pdf")
	m.run(greffe, 0, []string{"batch 1"}, "ancre", "status", "a.pdf")
	m.run(greffe, 3, []string{"pending"}, "ancre", "verify", "a.pdf.ots")
	m.run(greffe, 0, []string{"open"}, "ancre", "batches")
	m.wantOwner("/home/greffe", greffeUID)

	m.run(greffe, 1, []string{`use "sudo ancre wallet create"`}, "ancre", "wallet", "create")
	m.run(greffe, 1, []string{`use "sudo ancre rpc …"`}, "ancre", "rpc", "stop")
	m.run(greffe, 2, []string{"is a service", serviceFile, "systemctl status ancred", "ancred --datadir ~/.ancre"}, "ancred")

	m.run(bob, 1, []string{"/run/ancre/mainnet.cookie", "drwxr-x---", "ancre:ancre", "sudo usermod -aG ancre bob", "log in again"}, "ancre", "status")
	m.run(earlier, 1, []string{"greffe is a member of the group ancre", "log in again"}, "ancre", "status")
	m.run(bob, 2, []string{"is a service"}, "ancred")
	m.run(greffe, 2, []string{`use "sudo ancred check"`}, "ancred", "check")
	m.run(root, 0, []string{"Checking as ancre", "ancred would start"}, "ancred", "check")

	m.file("/root/passphrase", rootUID, 0o600, passphrase+"\n")
	m.run(root, 0, []string{"words"}, "ancre", "--json", "wallet", "create", "--passphrase-file", "/root/passphrase")
	m.run(root, 2, []string{"not as root"}, "ancred")
	m.wantOwner("/var/lib/ancre", ancreUID)
	m.wantOwner("/run/ancre", ancreUID)

	stop()
	for _, path := range []string{"/run/ancre/regtest.cookie", "/var/lib/ancre/regtest/.cookie"} {
		if _, err := os.Lstat(m.path(path)); err == nil {
			t.Errorf("%s is still there after a stop", path)
		}
	}
}

// A client that runs on while the daemon restarts finds the new cookie.
func TestAWaitingMemberFindsTheNewCookie(t *testing.T) {
	m := newMachine(t)
	stop := m.start(ancre, greffe, "--config", serviceFile)
	m.file("/home/greffe/a.pdf", greffeUID, 0o644, "a")
	waiting := m.command(greffe, "ancre", "stamp", "--wait", "a.pdf")
	m.must(waiting.Start())
	t.Cleanup(func() { _ = waiting.Process.Kill(); _ = waiting.Wait() })
	m.must(harness.Await(m.ctx, "the proof to be written", func(context.Context) (bool, string, error) {
		_, err := os.Stat(m.path("/home/greffe/a.pdf.ots"))
		return err == nil, "", nil
	}))
	before, err := os.ReadFile(m.path("/run/ancre/regtest.cookie"))
	m.must(err)
	stop()
	m.start(ancre, greffe, "--config", serviceFile)
	after, err := os.ReadFile(m.path("/run/ancre/regtest.cookie"))
	m.must(err)
	if string(before) == string(after) {
		t.Error("a restart left the cookie as it was")
	}
	m.run(greffe, 0, []string{"batch 1"}, "ancre", "status", "a.pdf")
}

// Whoever took over the service's user cannot have the members of the group, or root, read a file
// of theirs and send it to him.
func TestAPlantedCookieIsRefused(t *testing.T) {
	m := newMachine(t)
	m.file("/home/greffe/secret", greffeUID, 0o600, "greffe:secret")
	m.file("/etc/shadow", rootUID, 0o600, "root:hash")
	m.must(os.Symlink("/home/greffe/secret", m.path("/run/ancre/regtest.cookie")))
	m.run(greffe, 1, []string{"is a symbolic link"}, "ancre", "status")
	m.dir("/var/lib/ancre/regtest", ancreUID, 0o700)
	m.must(os.Symlink("/etc/shadow", m.path("/var/lib/ancre/regtest/.cookie")))
	m.run(root, 1, []string{"is a symbolic link"}, "ancre", "status")
	m.must(os.Remove(m.path("/var/lib/ancre/regtest/.cookie")))
	m.must(os.Link(m.path("/etc/shadow"), m.path("/var/lib/ancre/regtest/.cookie")))
	m.run(root, 1, []string{"ancred did not write it"}, "ancre", "status")
}

// A daemon of a home directory goes on as the service, with its digests, its wallet and its caps,
// however often the move is killed.
func TestMoveToTheService(t *testing.T) {
	m := newMachine(t)
	conf := strings.Replace(readFile(t, m.path(serviceFile)), "\n\n", "\n\n[anchor]\nmonthly_budget = 60000\n\n", 1)
	m.dir("/home/greffe/.ancre", greffeUID, 0o700)
	m.file("/home/greffe/.ancre/ancre.conf", greffeUID, 0o600, conf)
	stop := m.start(greffe, greffe)
	m.file("/home/greffe/a.pdf", greffeUID, 0o644, "a")
	m.file("/home/greffe/passphrase", greffeUID, 0o600, passphrase+"\n")
	m.run(greffe, 0, nil, "ancre", "stamp", "a.pdf")
	m.run(greffe, 0, nil, "ancre", "--json", "wallet", "create", "--passphrase-file", "/home/greffe/passphrase")
	const from = "/home/greffe/.ancre"
	m.run(root, 1, []string{"is running in " + from + "/regtest"}, "ancred", "move", from)
	stop()
	m.run(greffe, 1, []string{"belongs to ancre", "as root"}, "ancred", "move", from)

	// Enough to be killed while it is copied.
	m.file(from+"/regtest/spv/more", greffeUID, 0o600, strings.Repeat("headers ", 8<<20))
	killed := 0
	for _, path := range []string{"/var/lib/ancre/regtest.moving", "/var/lib/ancre/regtest.moving/spv/more", "/var/lib/ancre/regtest.moving/wallet"} {
		cmd := m.command(root, "ancred", "move", from)
		m.must(cmd.Start())
		m.must(harness.Await(m.ctx, path, func(context.Context) (bool, string, error) {
			_, err := os.Lstat(m.path(path))
			_, moved := os.Lstat(m.path(from + "/regtest.moved"))
			return err == nil || moved == nil, "", nil
		}))
		m.must(cmd.Process.Kill())
		if err := cmd.Wait(); err != nil {
			killed++
		}
		if _, err := os.Lstat(m.path("/var/lib/ancre/regtest")); err == nil && exists(m.path(from+"/regtest/wallet")) {
			marker := readFile(t, m.path(from+"/regtest/ancre.json"))
			if !strings.Contains(marker, "moved_to") {
				t.Error("two daemons can pay")
			}
		}
	}
	if killed == 0 {
		t.Error("no move was killed: is the copy too small?")
	}
	m.run(root, 0, []string{"regtest", "/var/lib/ancre/regtest", "anchor.monthly_budget", from + "/regtest.moved", "systemctl enable --now ancred"}, "ancred", "move", from)
	m.wantOwner("/var/lib/ancre", ancreUID)
	m.run(root, 0, []string{"regtest.moved"}, "ancred", "move", from)

	m.start(ancre, greffe, "--config", serviceFile)
	m.run(greffe, 0, []string{"batch 1"}, "ancre", "status", "a.pdf")
	m.run(greffe, 0, []string{"60000"}, "ancre", "rpc", "getinfo")
	m.run(root, 0, nil, "ancre", "wallet", "unlock", "--passphrase-file", "/home/greffe/passphrase")
	m.run(greffe, 2, []string{"is a service"}, "ancred")
	m.run(greffe, 1, []string{"were moved to /var/lib/ancre/regtest"}, "ancred", "--config", serviceFile, "--datadir", m.renamed(from))
}

// renamed undoes the last step of a move, as someone might, and returns the data directory.
func (m *machine) renamed(dir string) string {
	m.Helper()
	m.must(os.Rename(m.path(dir+"/regtest.moved"), m.path(dir+"/regtest")))
	return dir
}
