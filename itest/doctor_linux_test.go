package itest

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"ancre/itest/harness"
)

// A machine with the service, as its users and root see it.
func TestDoctorOnAMachineWithTheService(t *testing.T) {
	if testing.Short() {
		t.Skip("end-to-end tests take minutes")
	}
	if err := harness.MissingForMachines(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	w := newWorldFor(t, "btcd", 8*time.Minute)
	m := machineOf(w.ctx, t, "ancre-doctor", w.node)
	w.installService(m)

	d := w.doctorOn(m, "root", 1)
	d.wants(t, "service", "failed", "-> systemctl enable --now ancred.service")
	w.root(m, "systemctl enable --now ancred")
	w.must(harness.Await(w.ctx, "a peer of the service", func(ctx context.Context) (bool, string, error) {
		out, err := m.Root(ctx, "ancre rpc getinfo")
		return err == nil && strings.Contains(out, "127.0.0.1:18444"), out, nil
	}))
	d = w.doctorOn(m, "root", 1)
	d.wants(t, "service", "fine", "ancred.service is enabled and active")
	d.wants(t, "daemons", "fine", "started by ancred.service, runs as ancre in /var/lib/ancre/regtest")
	d.wants(t, "configuration", "fine", "/etc/ancre/ancre.conf; ancred check finds nothing wrong")
	d.wants(t, "rpc", "fine", "ancred (process ")
	d.wants(t, "wallet", "failed", "-> ancre wallet create")
	d.wants(t, "log", "fine", "ancred wrote ")
	d = w.doctorOn(m, officer, 0)
	d.wants(t, "rpc", "unknown", "usermod -aG ancre "+officer)
	d.wants(t, "log", "unknown", "-> sudo ancre doctor")

	w.root(m, "systemctl restart nginx && curl -sS -o /dev/null http://127.0.0.1:8080/")
	w.root(m, "echo '0 1 * * * "+officer+" ancre stamp -q -r /srv' >/etc/cron.d/stamp")
	d = w.doctorOn(m, "root", 1)
	d.wants(t, "calendar", "warning", "calendar.uri")
	d.wants(t, "cron", "failed", "/etc/cron.d/stamp, line 1 calls ancre, and cron looks for it only in /usr/bin:/bin")

	w.root(m, "echo 'interva = 3' >>/etc/ancre/ancre.conf; systemctl restart ancred; true")
	d = w.doctorOn(m, "root", 1)
	d.wants(t, "configuration", "failed", `unknown key "log.interva"`)
	w.must(harness.Await(w.ctx, "systemd to give up a start", func(context.Context) (bool, string, error) {
		d = w.doctorOn(m, "root", 1)
		return strings.Contains(d.printed, "does not start"), d.String(), nil
	}))
	d.wants(t, "service", "failed", `unknown key "log.interva"`)
}

// installService puts what make install would into a machine, and a web server before the calendar.
func (w *world) installService(m *harness.Machine) {
	w.Helper()
	for from, to := range map[string]string{
		bin.Ancre: "/usr/local/bin/ancre", bin.Ancred: "/usr/local/bin/ancred",
		"../contrib/ancred.service": "/etc/systemd/system/ancred.service", "../contrib/sysusers.d/ancre.conf": "/usr/lib/sysusers.d/ancre.conf",
	} {
		raw, err := os.ReadFile(from)
		w.must(err)
		w.must(os.WriteFile(m.Path(to), raw, 0o755))
	}
	w.root(m, `systemd-sysusers && mkdir -p /etc/ancre && systemctl daemon-reload
cat >/etc/ancre/ancre.conf <<END
datadir = "/var/lib/ancre"
network = "regtest"
[spv]
connect = ["127.0.0.1:18444"]
[log]
END
chgrp -R ancre /etc/ancre && chmod 0640 /etc/ancre/ancre.conf
cat >/etc/nginx/conf.d/ancre.conf <<END
server { listen 8080; location / { proxy_pass http://127.0.0.1:14788; proxy_set_header X-Forwarded-For 192.0.2.1; } }
END`)
}

func (w *world) root(m *harness.Machine, line string) {
	w.Helper()
	_, err := m.Root(w.ctx, line)
	w.must(err)
}

// doctorOn runs the doctor on a machine as a user, and wants an exit status.
func (w *world) doctorOn(m *harness.Machine, user string, exit int) (d diagnosis) {
	w.Helper()
	line := "ancre --json doctor"
	if user != "root" {
		line = "runuser -l " + user + " -c '" + line + "'"
	}
	out, err := m.Root(w.ctx, line)
	if exit == 0 || err == nil {
		w.must(err)
	}
	if (err == nil) != (exit == 0) {
		w.Fatalf("%s: want exit status %d: %v\n%s", line, exit, err, out)
	}
	w.must(json.Unmarshal([]byte(out), &d))
	d.printed = out
	return d
}
