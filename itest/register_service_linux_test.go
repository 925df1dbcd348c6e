package itest

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
)

// registerService is a booted Debian with both packages, as docs/register.md has it.
type registerService struct{ *packageLife }

func newRegisterService(ctx context.Context, t *testing.T) *registerService {
	t.Helper()
	path, err := deb()
	if err != nil {
		t.Fatal(err)
	}
	base, err := harness.MachineBase(ctx, "../bin/machine")
	if err != nil {
		t.Fatal(err)
	}
	m, err := harness.BootMachine(ctx, base, t.TempDir(), "ancre-register", map[string]string{filepath.Dir(path): "/mnt"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			journal, _ := m.Root(context.Background(), "journalctl --no-pager --lines=60 --unit=ancred --unit='ancre-*'")
			t.Logf("the end of the journal:\n%s", journal)
		}
		if err := m.PowerOff(); err != nil {
			t.Error(err)
		}
	})
	s := &registerService{&packageLife{T: t, ctx: ctx, m: m}}
	s.root("useradd --create-home --shell /bin/bash clerk && useradd --create-home --shell /bin/bash stranger")
	s.root("dpkg -i /mnt/" + filepath.Base(path))
	s.root(`printf 'network = "regtest"\n' >>/etc/ancre/ancre.conf && systemctl enable --now ancred`)
	register := "/mnt/" + strings.Replace(filepath.Base(path), "ancre_", "ancre-register_", 1)
	if said := s.root("dpkg -i " + register); !strings.Contains(said, "systemctl enable --now ancre-register") {
		t.Errorf("the installation does not say how to start: %s", said)
	}
	return s
}

// as runs a line as a user.
func (s *registerService) as(user, line string) (string, error) {
	return s.m.Root(s.ctx, "su - "+user+" -c '"+line+" 2>&1'")
}

// clerk runs a line as the clerk, and wants it to succeed.
func (s *registerService) clerk(line string) string {
	s.Helper()
	s.Logf("clerk: %s", line)
	out, err := s.as("clerk", line)
	if err != nil {
		s.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

// await waits until a line of the clerk's prints a text.
func (s *registerService) await(line, want string) {
	s.Helper()
	s.Logf("await %q of %s", want, line)
	err := harness.Await(s.ctx, want, func(context.Context) (bool, string, error) {
		out, _ := s.as("clerk", line)
		return strings.Contains(out, want), out, nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// The register as a service finds its node by itself, keeps out of the node's directory, and serves
// the members of its group and nobody else.
func TestTheRegisterAsAService(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	if err := harness.MissingForMachines(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	s := newRegisterService(ctx, t)
	s.root("systemd-analyze verify --man=no /usr/lib/systemd/system/ancre-register.service")
	s.want("id -nG ancre-register", "ancre-register ancre")

	// Before it runs, each verb says what to type; strangers are told how to join.
	s.root("usermod -aG ancre-register clerk")
	if out, err := s.as("clerk", "ancre-register list"); err == nil || !strings.Contains(out, "sudo systemctl start ancre-register") {
		t.Errorf("without the service: %s", out)
	}
	s.root("systemctl enable --now ancre-register")
	s.await("ancre-register status --json", `"reachable": true`)
	var status struct {
		Network string
		Node    struct{ Network string }
	}
	if err := json.Unmarshal([]byte(s.clerk("ancre-register status --json")), &status); err != nil || status.Network != "regtest" || status.Node.Network != "regtest" {
		t.Errorf("%+v, %v", status, err)
	}
	if out, err := s.as("stranger", "ancre-register list"); err == nil || !strings.Contains(out, "sudo usermod -aG ancre-register stranger") {
		t.Errorf("a stranger is told %s", out)
	}

	// A clerk adds what is in a home directory that the service cannot see.
	s.clerk("ancre-register meeting add 2026-12-15 --time 18:30 && chmod 700 . && echo convocation >convocation.txt")
	s.clerk("ancre-register add --meeting 2026-12-15 --kind convocation --publish convocation.txt")
	s.await("ancre-register list", "proof pending")
	s.clerk("ancre-register export site && test -s site/index.html && ancre-register backup register.tar")

	// The watched folder, and the nightly backup, in the unit's sandbox.
	s.root("install -d -m 2775 -g ancre-register /srv/registre && printf '[watch]\\ndir = \"/srv/registre\"\\nsettle = \"1s\"\\nsweep = \"2s\"\\n' >>/etc/ancre/register.conf && systemctl restart ancre-register")
	s.clerk("mkdir -p /srv/registre/2026-12-15/annexe && umask 022 && echo annex >/srv/registre/2026-12-15/annexe/plan.txt")
	s.await("ancre-register list", "plan.txt")
	s.root("ls /var/backups/ancre-register/ancre-register-*.tar && ancre-register restore --check /var/backups/ancre-register/ancre-register-*.tar")
	if out := s.root("ancre-register check"); !strings.Contains(out, "ancre-register would start") {
		t.Errorf("check says %s", out)
	}
	s.want("stat -c '%U:%G %a' /var/lib/ancre-register /run/ancre-register /run/ancre-register/control.sock /etc/ancre/register.conf",
		"ancre-register:ancre-register 700\nancre-register:ancre-register 750\nancre-register:ancre-register 660\nroot:root 644")
	s.want("nsenter -t $(systemctl show -P MainPID ancre-register) -m ls -A /var/lib/ancre", "") // there is something else in its place

	// Restored on an empty machine.
	s.root("systemctl stop ancre-register && mv /var/lib/ancre-register /root/old && install -d -m 700 -o ancre-register -g ancre-register /var/lib/ancre-register")
	s.root("ancre-register restore ~clerk/register.tar && systemctl start ancre-register")
	s.want("stat -c %U /var/lib/ancre-register/register.db", "ancre-register")
	s.await("ancre-register list", "convocation.txt")

	// Removed and purged: the data stays, and purge says so.
	s.root("dpkg -r ancre-register")
	if said := s.root("dpkg -P ancre-register"); !strings.Contains(said, "Kept: /var/lib/ancre-register,") {
		t.Errorf("purge says %s", said)
	}
	s.root("test -s /var/lib/ancre-register/register.db")
}
