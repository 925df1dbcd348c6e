package doctor

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestTheUnitOfAProcess(t *testing.T) {
	for cgroup, want := range map[string]string{
		"0::/system.slice/ancred.service\n":                                             "ancred.service",
		"1:name=systemd:/x\n0::/system.slice/ancred.service":                            "ancred.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/ancred.service":     "ancred.service",
		"0::/user.slice/user-1000.slice/session-3.scope":                                "",
		"0::/system.slice/ssh.service":                                                  "",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-0a.scope": "",
		"": "",
	} {
		if got := unitOf(cgroup); got != want {
			t.Errorf("%q: %q, want %q", cgroup, got, want)
		}
	}
}

func TestAProcessInAContainerIsKnownByItsGroup(t *testing.T) {
	for cgroup, want := range map[string]bool{
		"0::/system.slice/ancred.service":                                                false,
		"0::/user.slice/user-1000.slice/session-3.scope":                                 false,
		"0::/machine.slice/systemd-nspawn@a.service/payload/system.slice/ancred.service": true,
		"0::/system.slice/docker-0123.scope":                                             true,
	} {
		if got := isContainer(cgroup); got != want {
			t.Errorf("%s: %t", cgroup, got)
		}
	}
	if inContainer(proc + "/self") {
		t.Error("this process is said to be in a container of this machine")
	}
}

func TestTheNetworkOfACommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"ancred --network regtest": "regtest", "ancred -network=signet": "signet", "ancred --datadir regtest": "", "ancred --network": "", "ancred --network x": "",
	} {
		if got := networkOf(strings.Fields(line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for line, want := range map[string]bool{"ancred check --json": true, "ancred --datadir x restore f": true, "ancred --datadir x": false, "ancred": false} {
		if got := isVerb(strings.Fields(line)); got != want {
			t.Errorf("%s is a verb: %t", line, got)
		}
	}
}

func TestWhoListensIsFound(t *testing.T) {
	const table4 = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:39BC 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 12345 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0 100 0 0 10 0
   2: 0100007F:39BD 0100007F:1234 01 00000000:00000000 00:00000000 00000000     5        0 888 1 0 100 0 0 10 0
`
	const table6 = `  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode
   0: 00000000000000000000000001000000:39BC 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 7 0 999 1 0 100 0 0 10 0
`
	for _, tt := range []struct {
		table, addr string
		port        uint16
		uid         int
		inode       string
	}{
		{table4, "127.0.0.1", 14780, 998, "12345"},
		{table4, "127.0.0.1", 80, 0, "777"}, // of all addresses
		{table4, "127.0.0.2", 14780, 0, ""},
		{table4, "127.0.0.1", 14781, 0, ""}, // a connection
		{table6, "::1", 14780, 7, "999"},
	} {
		if uid, inode, ok := findListener(tt.table, netip.MustParseAddr(tt.addr), tt.port); uid != tt.uid || inode != tt.inode || ok != (inode != "") {
			t.Errorf("%s:%d: user %d, inode %q", tt.addr, tt.port, uid, inode)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := listener(l.Addr().String()); !strings.Contains(got, "doctor.test (process ") {
		t.Errorf("this test listens, and it is said to be %q", got)
	}
	if got := listener("127.0.0.1:1"); got != "" {
		t.Errorf("nothing listens, and it is said to be %q", got)
	}
}
