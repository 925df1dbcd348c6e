package itest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
)

// packageLife is a machine on which a package comes and goes.
type packageLife struct {
	*testing.T
	ctx context.Context
	m   *harness.Machine
}

// root runs a line as root, wants it to succeed, and returns what it printed without spaces around.
func (p *packageLife) root(line string) string {
	p.Helper()
	out, err := p.m.Root(p.ctx, line)
	if err != nil {
		p.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// want compares what a line prints.
func (p *packageLife) want(line, want string) {
	p.Helper()
	if got := p.root(line); got != want {
		p.Errorf("%s printed\n%s\nwant\n%s", line, got, want)
	}
}

// repack makes the same package with another version.
func (p *packageLife) repack(version string) {
	p.Helper()
	p.root("rm -rf /root/r && dpkg-deb -R /root/ancre.deb /root/r && sed -i 's/^Version: .*/Version: " + version + "/' /root/r/DEBIAN/control" +
		" && dpkg-deb -Znone --root-owner-group -b /root/r /root/ancre_" + version + ".deb")
}

// wantKept wants everything there that is a person's and not the package's.
func (p *packageLife) wantKept(configuration string) {
	p.Helper()
	p.want("cat /var/lib/ancre/regtest/mine /var/backups/ancre/mine /etc/credstore/ancre.passphrase", "data\nbackup\nsecret")
	p.want("stat -c '%U:%G %a' /var/lib/ancre /etc/credstore", "ancre:ancre 700\nroot:root 700")
	if configuration != "" {
		p.want("stat -c '%U:%G %a' /etc/ancre/ancre.conf; tail -n 1 /etc/ancre/ancre.conf", configuration+"\n# mine")
	}
}

// newPackageLife boots a machine with the same package in two versions.
func newPackageLife(ctx context.Context, t *testing.T) *packageLife {
	t.Helper()
	path, err := deb()
	if err != nil {
		t.Fatal(err)
	}
	base, err := harness.MachineBase(ctx, "../bin/machine")
	if err != nil {
		t.Fatal(err)
	}
	m, err := harness.BootMachine(ctx, base, t.TempDir(), "ancre-package", map[string]string{filepath.Dir(path): "/mnt"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.PowerOff(); err != nil {
			t.Error(err)
		}
	})
	p := &packageLife{T: t, ctx: ctx, m: m}
	p.root("cp /mnt/" + filepath.Base(path) + " /root/ancre.deb")
	for _, version := range []string{"9.0.0", "9.1.0"} {
		p.repack(version)
	}
	return p
}

// A package comes and goes, upwards and downwards. It starts nothing that did not run, and stops
// nothing that ran. It never touches what belongs to a person.
func TestThePackageComesAndGoesWithoutTouchingData(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	if err := harness.MissingForMachines(); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	p := newPackageLife(ctx, t)
	const pid = "systemctl show -P MainPID ancred"

	// Installed: a user, a configuration, manual pages, and nothing runs.
	if said := p.root("dpkg -i /root/ancre_9.0.0.deb"); !strings.Contains(said, "systemctl enable --now ancred") {
		t.Errorf("the installation does not say how to start: %s", said)
	}
	p.want("systemctl is-enabled ancred; systemctl is-active ancred; true", "disabled\ninactive")
	p.want("stat -c '%U:%G %a' /etc/ancre/ancre.conf /etc/credstore", "root:ancre 640\nroot:root 700")
	p.want("id -nG ancre", "ancre")
	p.root(`systemd-analyze verify $(dpkg -L ancre | grep -E '^/usr/lib/systemd/.*\.(service|timer)$')`)

	p.root(`printf '%s\n' 'network = "regtest"' '# mine' >>/etc/ancre/ancre.conf; echo secret >/etc/credstore/ancre.passphrase`)
	p.root("systemctl enable --now ancred; echo data >/var/lib/ancre/regtest/mine; mkdir -p /var/backups/ancre; echo backup >/var/backups/ancre/mine")
	first := p.root(pid)

	// Upgraded and downgraded: it runs on, as another process.
	p.root("dpkg -i /root/ancre_9.1.0.deb")
	second := p.root(pid)
	p.wantKept("root:ancre 640")
	p.root("dpkg -i /root/ancre_9.0.0.deb")
	third := p.root(pid)
	p.want("systemctl is-active ancred", "active")
	if first == second || second == third {
		t.Errorf("the processes were %s, %s and %s", first, second, third)
	}
	p.wantKept("root:ancre 640")

	// Stopped by its operator, it stays so.
	p.root("systemctl stop ancred && dpkg -i /root/ancre_9.1.0.deb")
	p.want("systemctl is-active ancred; true", "inactive")

	// Removed: the configuration stays. Installed again, it is as before.
	p.root("systemctl start ancred && dpkg -r ancre")
	p.want("systemctl is-active ancred; true", "inactive")
	p.wantKept("root:ancre 640")
	p.root("dpkg -i /root/ancre_9.1.0.deb && systemctl start ancred")
	p.want("systemctl is-enabled ancred", "enabled")
	p.wantKept("root:ancre 640")

	// Purged: only the configuration goes, and purge says what stays.
	said := p.root("dpkg -P ancre")
	for _, kept := range []string{"/var/lib/ancre", "/var/backups/ancre", "/etc/credstore/ancre.passphrase"} {
		if !strings.Contains(said, "Kept: "+kept+",") {
			t.Errorf("purge does not say that %s stays: %s", kept, said)
		}
	}
	p.wantKept("")
	p.want("ls -d /etc/ancre /usr/bin/ancre* /etc/systemd/system/*.wants/ancre* 2>/dev/null; true", "")
	p.root("dpkg -i /root/ancre_9.1.0.deb && ancre --version && systemctl enable --now ancred")
	p.wantKept("")

	// A unit of "make install" would go on to start the programs in /usr/local.
	const older = "/usr/local/lib/systemd/system/ancred.service"
	if said := p.root("install -D /usr/lib/systemd/system/ancred.service " + older + " && dpkg -i /root/ancre_9.1.0.deb"); !strings.Contains(said, older+" hides") {
		t.Errorf("the package does not say that another unit hides its own: %s", said)
	}
}
