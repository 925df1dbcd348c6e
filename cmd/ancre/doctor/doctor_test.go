package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ancre/internal/datadir"
	"ancre/internal/warning"
	"ancre/rpc"
)

func init() { time.Local = time.UTC } // what people read has the zone of this machine

var testTime = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// well returns the facts of a machine on which all is fine: a service on mainnet.
func well() *Facts {
	closes := testTime.Add(2 * time.Hour)
	info := rpc.Info{
		Version: "0.2.0", Network: "mainnet", DataDir: "/var/lib/ancre/mainnet", UptimeSeconds: 86400, Ready: true,
		Chain:  rpc.ChainInfo{Synced: true, Height: 900_000, TargetHeight: 900_000, Peers: manyPeers(8)},
		Batch:  &rpc.Batch{ID: 12, State: "open", Digests: 34, Closes: &closes},
		Wallet: rpc.WalletInfo{State: "ready", Balance: rpc.Balance{ConfirmedSats: 50_000, SpendableSats: 50_000}},
		LastBackup: &rpc.LastBackup{
			Taken: testTime.Add(-5 * time.Hour), Digests: 300, Rehearsed: true, Copied: true,
		},
		Digests: 334,
	}
	return &Facts{
		Now: testTime, Client: "0.2.0", Me: Me{User: "clerk", Service: true, Ancre: "ancre"},
		Settings: Known(Settings{File: "/etc/ancre/ancre.conf", Dir: "/var/lib/ancre/mainnet", Network: "mainnet", RPC: "127.0.0.1:14780",
			Calendar: "127.0.0.1:14788", CalendarURI: "https://ancre.example", Interval: 6 * time.Hour, Target: 6 * time.Hour, Notify: "/usr/lib/ancre/notify-mail"}),
		Programs:  Known([]Program{{"/usr/bin/ancred", "0.2.0"}}),
		Check:     Known([]Finding{{"datadir", "fine", "ready"}}),
		Service:   Known(Service{Unit: "ancred.service", Load: "loaded", Enabled: "enabled", Active: "active", Sub: "running", Since: testTime.Add(-24 * time.Hour)}),
		Timer:     Known(Service{Unit: "ancre-backup.timer", Load: "loaded", Enabled: "enabled", Active: "active", Sub: "waiting"}),
		Processes: Known([]Process{theService()}),
		DataDirs:  Known([]DataDir{{Path: "/var/lib/ancre/mainnet", Network: "mainnet", InUse: true, HasWallet: true}}),
		RPC:       Known(Port{Address: "127.0.0.1:14780", State: Answers}),
		Calendar:  Known(Port{Address: "127.0.0.1:14788", State: Answers}),
		Public:    Known(""),
		Info:      Known(info),
		Fees:      Known(rpc.FeeEstimate{AnchorSats: 612, NextAnchor: []rpc.FeeStep{{AnchorSats: 153}, {AfterSeconds: 21600, AnchorSats: 612}}}),
		NTP:       Known(NTP{On: true, Synced: true}),
		Disk:      Known(Disk{Path: "/var/lib/ancre", FreeBytes: 100e9, Inodes: 1e6, FreeInodes: 9e5}),
		Unlock:    Known("the systemd credential"),
		Jobs:      Known([]Job{}),
		Log:       Known(12),
	}
}

func theService() Process {
	return Process{PID: 812, User: "ancre", Unit: "ancred.service", Dir: "/var/lib/ancre/mainnet", Network: "mainnet"}
}

func byAlice() Process {
	return Process{PID: 4711, User: "alice", Dir: "/home/alice/.ancre/mainnet", Network: "mainnet"}
}

func manyPeers(n int) (all []rpc.Peer) {
	for range n {
		all = append(all, rpc.Peer{Address: "192.0.2.1:8333", Filters: true})
	}
	return all
}

// change returns a fact with its value changed.
func change[T any](f *Fact[T], how func(*T)) { how(&f.value) }

// warns adds a warning of the daemon.
func warns(f *Facts, k *warning.Kind, text string) {
	change(&f.Info, func(i *rpc.Info) {
		i.Details = append(i.Details, rpc.Warning{Kind: k.Name(), Severity: string(k.Severity()), Text: text})
	})
}

func TestAMachineOnWhichAllIsFine(t *testing.T) {
	all := Examine(well())
	var checked []string
	for _, r := range all {
		checked = append(checked, r.Check)
		if r.Status != Fine || r.Text == "" || r.Remedy != "" {
			t.Errorf("%+v", r)
		}
	}
	if !slices.Equal(checked, Names()) {
		t.Errorf("checked %q, want %q", checked, Names())
	}
}

// The names are a promise to scripts.
func TestTheNamesOfTheChecksStay(t *testing.T) {
	const want = "programs service daemons configuration rpc calendar network peers sync clock disk wallet backup notify next_batch next_anchor cron log warnings"
	if got := strings.Join(Names(), " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Before anything is seen, nothing is fine and nothing failed.
func TestAMachineOfWhichNothingIsSeen(t *testing.T) {
	f := unseen(time.Second)
	f.Me.Ancre = "ancre"
	for _, r := range Examine(f) {
		if want := map[string]Status{"configuration": Failed}[r.Check]; r.Status != Unknown && r.Status != want {
			t.Errorf("%+v", r)
		}
		if !strings.Contains(r.Text, "nothing was seen within 1s") && r.Text != "not looked at while the configuration is wrong" {
			t.Errorf("%+v does not say why", r)
		}
	}
}

// What a user may not see is seen with sudo, and root is not told so.
func TestWhatAUserMayNotSee(t *testing.T) {
	for _, root := range []bool{false, true} {
		f := well()
		f.Me.Root = root
		f.Settings, f.Processes, f.Disk, f.Log, f.Jobs = Denied[Settings](), Denied[[]Process](), Denied[Disk](), Denied[int](), Denied[[]Job]()
		n := 0
		for _, r := range Examine(f) {
			if r.Status != Unknown {
				continue
			}
			if n++; (r.Remedy == "sudo ancre doctor") == root || r.Remedy == "ancre doctor" {
				t.Errorf("root %t: %+v", root, r)
			}
		}
		if n < 5 {
			t.Errorf("only %d of the checks are unknown", n)
		}
	}
}

// A daemon on another machine is asked, and this machine is not judged.
func TestADaemonOnAnotherMachine(t *testing.T) {
	f := well()
	f.Remote = true
	f.Service, f.Processes, f.Disk, f.Calendar, f.Timer = Fact[Service]{}, Fact[[]Process]{}, Fact[Disk]{}, Fact[Port]{}, Fact[Service]{}
	all := Examine(f)
	if len(all) < 8 {
		t.Errorf("%+v", all)
	}
	for _, r := range all {
		if r.Status != Fine || slices.Contains([]string{"service", "daemons", "disk", "cron"}, r.Check) {
			t.Errorf("%+v", r)
		}
	}
}

// Each of the daemon's warnings is repeated once, with its remedy.
func TestEachWarningOfTheDaemonIsRepeatedOnce(t *testing.T) {
	for _, k := range warning.Table() {
		f := well()
		warns(f, k, "a riddle")
		n := 0
		for _, r := range Examine(f) {
			if r.Text != "a riddle" {
				continue
			}
			n++
			if r.Status == Fine || r.Status == Unknown || r.Remedy == "" || k.Severity() == warning.Critical && r.Status != Failed {
				t.Errorf("%s: %+v", k.Name(), r)
			}
		}
		if n != 1 {
			t.Errorf("%s is repeated %d times", k.Name(), n)
		}
	}
}

// judged is what a check is expected to say of a changed machine.
type judged struct {
	name   string
	change func(f *Facts)
	status Status // the worst
	words  string // in text or remedy of one of the results
}

func judge(t *testing.T, check string, all []judged) {
	t.Helper()
	for _, tt := range all {
		f := well()
		tt.change(f)
		var got []Result
		for _, r := range Examine(f) {
			if r.Check == check {
				got = append(got, r)
			}
		}
		order := []Status{Fine, Unknown, Warning, Failed}
		worst, said := Fine, false
		for _, r := range got {
			if slices.Index(order, r.Status) > slices.Index(order, worst) {
				worst = r.Status
			}
			said = said || strings.Contains(r.Text+" -> "+r.Remedy, tt.words)
		}
		if worst != tt.status || !said || len(got) == 0 {
			t.Errorf("%s: %+v\nwant %s, %q", tt.name, got, tt.status, tt.words)
		}
	}
}

func TestPrograms(t *testing.T) {
	judge(t, "programs", []judged{
		{"ancred is older than ancre", func(f *Facts) { f.Programs = Known([]Program{{"/usr/bin/ancred", "0.1.0"}}) }, Warning, "/usr/bin/ancred is ancred 0.1.0"},
		{"the package was upgraded and the daemon not restarted", func(f *Facts) {
			change(&f.Info, func(i *rpc.Info) { i.Version = "0.1.0" })
		}, Warning, "sudo systemctl restart ancred.service"},
		{"make install and the package", func(f *Facts) {
			f.Programs = Known([]Program{{"/usr/bin/ancred", "0.2.0"}, {"/usr/local/bin/ancred", "0.2.0"}})
		}, Warning, "several copies"},
		{"no ancred, and no daemon", func(f *Facts) { f.Programs, f.Info = Known([]Program{}), Missing[rpc.Info]("") }, Warning, "no ancred"},
		{"no ancred, and a daemon that answers", func(f *Facts) { f.Programs = Known([]Program{}) }, Fine, "0.2.0"},
	})
}

func TestService(t *testing.T) {
	set := func(how func(*Service)) func(*Facts) { return func(f *Facts) { change(&f.Service, how) } }
	judge(t, "service", []judged{
		{"not installed", set(func(s *Service) { s.Load = "not-found" }), Warning, "not installed"},
		{"masked", set(func(s *Service) { s.Load = "masked" }), Failed, "sudo systemctl unmask ancred.service"},
		{"not enabled", set(func(s *Service) { s.Enabled = "disabled" }), Warning, "sudo systemctl enable ancred.service"},
		{"stopped", set(func(s *Service) { s.Active, s.Sub = "inactive", "dead" }), Failed, "sudo systemctl enable --now ancred.service"},
		{"failed, with the last line of the log", set(func(s *Service) { s.Active, s.LastLine = "failed", Known("the port is taken") }), Failed, "the port is taken"},
		{"started again and again", set(func(s *Service) { s.Active, s.Sub, s.Restarts = "activating", "auto-restart", 7 }), Failed, "7 times"},
		{"restarted, and active now", set(func(s *Service) { s.Restarts = 2 }), Warning, "restart it 2 times"},
		{"starting", set(func(s *Service) { s.Active = "activating" }), Warning, "activating"},
		{"not active beside one that a person started", func(f *Facts) {
			change(&f.Service, func(s *Service) { s.Active = "inactive" })
			f.Processes = Known([]Process{byAlice()})
		}, Warning, "a person started"},
		{"no systemd", func(f *Facts) { f.Service = Missing[Service]("there is no systemd here") }, Unknown, "no systemd"},
	})
}

func TestDaemons(t *testing.T) {
	judge(t, "daemons", []judged{
		{"the service", func(*Facts) {}, Fine, "ancred (process 812), started by ancred.service, runs as ancre in /var/lib/ancre/mainnet"},
		{"none", func(f *Facts) { f.Processes = Known([]Process{}) }, Failed, "sudo systemctl enable --now ancred.service"},
		{"none, and no service", func(f *Facts) { f.Processes, f.Service = Known([]Process{}), Missing[Service]("") }, Failed, "-> ancred"},
		{"two of one network", func(f *Facts) { f.Processes = Known([]Process{theService(), byAlice()}) }, Warning, "two daemons run on mainnet"},
		{"one of each of two networks", func(f *Facts) {
			other := byAlice()
			other.Network, other.Dir = "regtest", "/home/alice/.ancre/regtest"
			f.Processes = Known([]Process{theService(), other})
		}, Fine, "4711"},
		{"one whose directory this user may not see", func(f *Facts) { change(&f.Processes, func(p *[]Process) { (*p)[0].Dir = "" }) }, Fine, "you may not see"},
		{"money in the directory of an earlier daemon", func(f *Facts) {
			f.DataDirs = Known([]DataDir{{Path: "/home/alice/.ancre/mainnet", Network: "mainnet", HasWallet: true}})
		}, Warning, " -> sudo ancred move /home/alice/.ancre"},
		{"an earlier directory without a wallet", func(f *Facts) {
			f.DataDirs = Known([]DataDir{{Path: "/home/alice/.ancre/mainnet", Network: "mainnet"}})
		}, Fine, "812"},
		{"on a system whose processes are not listed", func(f *Facts) {
			f.Processes, f.InUse = Missing[[]Process]("no"), Known(true)
		}, Fine, "an ancred runs in /var/lib/ancre/mainnet"},
	})
}

func TestConfiguration(t *testing.T) {
	finds := func(all ...Finding) func(*Facts) { return func(f *Facts) { f.Check = Known(all) } }
	judge(t, "configuration", []judged{
		{"a wrong key", func(f *Facts) { f.Settings = Missing[Settings]("/etc/ancre/ancre.conf:3: unknown key") }, Failed, "ancre.conf:3: unknown key"},
		{"a file that this user may not read", func(f *Facts) { f.Settings = Denied[Settings]() }, Unknown, "sudo ancre doctor"},
		{"what keeps ancred from starting", finds(Finding{"rpc.listen", "error", "in use"}), Failed, "rpc.listen: in use"},
		{"what ancred warns of", finds(Finding{"wallet.passphrase_file", "warning", "mode 0644"}), Warning, "mode 0644"},
		{"what the disk check says already", finds(Finding{"disk", "warning", "little"}), Fine, "/etc/ancre/ancre.conf"},
		{"what the daemon warns of already", func(f *Facts) {
			f.Check = Known([]Finding{{"rpc_listen", "warning", "without TLS"}})
			warns(f, warning.RPCListen, "without TLS")
		}, Fine, "/etc/ancre/ancre.conf"},
		{"a directory into which this user may not look", func(f *Facts) { f.Check = Denied[[]Finding]() }, Unknown, "sudo ancre doctor"},
	})
}

func TestRPC(t *testing.T) {
	set := func(p Port) func(*Facts) {
		return func(f *Facts) { p.Address = "127.0.0.1:14780"; f.RPC = Known(p) }
	}
	judge(t, "rpc", []judged{
		{"it answers", set(Port{State: Answers, Owner: "ancred (process 812, user ancre)"}), Fine, "ancred (process 812, user ancre) answers at 127.0.0.1:14780"},
		{"nothing listens", set(Port{State: Closed}), Failed, "nothing listens at 127.0.0.1:14780"},
		{"it starts", set(Port{State: Starting, Text: "opening the store"}), Warning, "opening the store"},
		{"a user who is not in the group", set(Port{State: NoCookie, Denied: true, Text: "usermod"}), Unknown, "sudo ancre doctor"},
		{"another daemon's port", set(Port{State: NoCookie, Text: "no such file"}), Failed, "--datadir"},
		{"another daemon", set(Port{State: Refuses}), Failed, "--datadir"},
		{"another program", set(Port{State: Stranger, Owner: "nginx (process 33, user www-data)"}), Failed, "nginx (process 33, user www-data) answers"},
		{"a daemon that hangs", set(Port{State: Mute}), Failed, "sudo systemctl restart ancred.service"},
	})
}

func TestCalendar(t *testing.T) {
	judge(t, "calendar", []judged{
		{"off", func(f *Facts) { change(&f.Settings, func(s *Settings) { s.Calendar = "" }) }, Fine, "off"},
		{"for this machine", func(f *Facts) {
			change(&f.Settings, func(s *Settings) { s.CalendarURI = "http://127.0.0.1:14788" })
		}, Fine, "only programs on this machine"},
		{"nothing listens", func(f *Facts) { f.Calendar = Known(Port{State: Closed, Address: "a"}) }, Failed, "nothing listens at a"},
		{"another program", func(f *Facts) { f.Calendar = Known(Port{State: Stranger, Address: "a"}) }, Failed, "it is not the calendar"},
		{"a certificate that is over", func(f *Facts) { f.Public = Known("certificate has expired") }, Warning, "https://ancre.example (calendar.uri) does not answer from here: certificate has expired"},
		{"a web server that the configuration does not know", func(f *Facts) { warns(f, warning.CalendarURI, "set calendar.uri") }, Warning, "set calendar.uri"},
	})
}

func TestNetwork(t *testing.T) {
	lonely := func(r Reach, s Settings) func(*Facts) {
		return func(f *Facts) {
			change(&f.Info, func(i *rpc.Info) { i.Chain.Peers = nil })
			r.Port = "8333"
			f.Reach, f.Settings = Known(r), Known(s)
		}
	}
	node := Try{Address: "192.0.2.1:8333", Filters: true}
	bare := Try{Address: "192.0.2.2:8333"}
	dropped := Try{Address: "192.0.2.3:8333", Err: "no answer in time", Timeout: true}
	refused := Try{Address: "192.0.2.4:8333", Err: "connection refused"}
	judge(t, "network", []judged{
		{"the daemon has peers", func(*Facts) {}, Fine, "8 nodes"},
		{"nodes answer", lonely(Reach{Tries: []Try{node, refused}}, Settings{}), Fine, "1 of 2 nodes answered on TCP port 8333"},
		{"a firewall", lonely(Reach{Tries: []Try{dropped, dropped}}, Settings{}), Failed, "allow outbound TCP connections to port 8333 in the firewall"},
		{"all refuse", lonely(Reach{Tries: []Try{dropped, refused}}, Settings{}), Failed, "connection refused"},
		{"no names are found", lonely(Reach{Lookups: 4, NotFound: 4, Lookup: "no such host"}, Settings{}), Failed, "no such host"},
		{"a proxy that is down", lonely(Reach{ProxyErr: "connection refused"}, Settings{Proxy: "127.0.0.1:9050"}), Failed, "the proxy 127.0.0.1:9050 (spv.proxy) cannot be reached: connection refused"},
		{"a proxy that reaches nothing", lonely(Reach{Tries: []Try{refused}}, Settings{Proxy: "127.0.0.1:9050"}), Failed, "through the proxy 127.0.0.1:9050"},
		{"a network without seeds", lonely(Reach{NoSeeds: true}, Settings{Network: "regtest"}), Failed, "spv.connect"},
		{"configured nodes that are down", lonely(Reach{Tries: []Try{refused}}, Settings{Connect: []string{"a"}}), Failed, "none of the nodes in spv.connect answers: 192.0.2.4:8333: connection refused"},
		{"configured nodes without filters", lonely(Reach{Tries: []Try{bare}}, Settings{Connect: []string{"a"}}), Failed, "-blockfilterindex=1"},
		{"discovered nodes without filters", lonely(Reach{Tries: []Try{bare}}, Settings{}), Warning, "none of them serves compact filters"},
	})
}

func TestPeersAndSync(t *testing.T) {
	peersAre := func(all []rpc.Peer) func(*Facts) {
		return func(f *Facts) {
			change(&f.Info, func(i *rpc.Info) { i.Chain.Peers = all })
			f.Reach = Known(Reach{Port: "8333", Tries: []Try{{}}})
		}
	}
	judge(t, "peers", []judged{
		{"many", func(*Facts) {}, Fine, "8 peers, all serve compact filters"},
		{"some without filters", peersAre(append(manyPeers(2), rpc.Peer{})), Fine, "3 peers, 2 of them serve compact filters"},
		{"all without filters", peersAre([]rpc.Peer{{}}), Failed, "none serves compact filters"},
		{"none yet", peersAre(nil), Warning, "no peer is connected yet"},
		{"none for long", func(f *Facts) { peersAre(nil)(f); warns(f, warning.NoPeers, "no connection to any peer") }, Failed, "no connection to any peer"},
		{"few", func(f *Facts) { warns(f, warning.FewPeers, "fewer than 3 peers") }, Warning, "fewer than 3 peers"},
		{"a daemon that does not answer", func(f *Facts) { f.Info = Missing[rpc.Info](noAnswer) }, Unknown, "ancred was not asked: it does not answer"},
	})
	judge(t, "sync", []judged{
		{"synced", func(*Facts) {}, Fine, "synced to block 900,000"},
		{"syncing", func(f *Facts) {
			change(&f.Info, func(i *rpc.Info) {
				i.Chain.Synced, i.Chain.Height, i.Chain.Progress, i.Chain.RemainingSeconds = false, 450_000, 0.5, 600
			})
		}, Warning, "block 450,000 of 900,000 (50.0%), 10 minutes left"},
		{"without a peer to sync from", func(f *Facts) {
			change(&f.Info, func(i *rpc.Info) { i.Chain.Synced, i.Chain.Peers = false, nil })
		}, Warning, "no peer"},
		{"an old block", func(f *Facts) { warns(f, warning.StaleTip, "the newest block is old") }, Warning, "is old"},
	})
}

func TestClock(t *testing.T) {
	alone := func(ntp Fact[NTP], tries ...Try) func(*Facts) {
		return func(f *Facts) {
			f.Info, f.NTP, f.Reach = Missing[rpc.Info](""), ntp, Known(Reach{Tries: tries})
		}
	}
	ahead := func(d time.Duration) Try { return Try{Ahead: d} }
	none := Missing[NTP]("no")
	judge(t, "clock", []judged{
		{"set by the system", func(*Facts) {}, Fine, "the clock agrees with ancred's peers within 10 minutes and is set by the system"},
		{"the nodes agree", alone(none, ahead(time.Second), ahead(0), ahead(time.Hour)), Fine, "agrees with 3 Bitcoin nodes"},
		{"the nodes disagree", alone(Known(NTP{Synced: true}), ahead(time.Hour), ahead(time.Hour), ahead(0)), Failed, "60 minutes behind those of 3 Bitcoin nodes"},
		{"it is ahead", alone(none, ahead(-time.Hour)), Failed, "ahead of"},
		{"one node of many proves nothing", alone(Known(NTP{Synced: true}), ahead(time.Hour), Try{Err: "x"}, Try{Err: "x"}), Fine, "is set by the system"},
		{"nothing keeps it right", alone(Known(NTP{}), ahead(0)), Warning, "sudo timedatectl set-ntp true"},
		{"no service can set it", alone(Known(NTP{None: true}), ahead(0)), Warning, "sudo apt install systemd-timesyncd"},
		{"nothing is known but that the system does not set it", alone(Known(NTP{})), Warning, "nothing says that the clock is right"},
		{"nothing is known", alone(none), Unknown, "the clock"},
		{"the daemon says that it is wrong", func(f *Facts) { warns(f, warning.ClockOff, "20 minutes behind") }, Warning, "20 minutes behind"},
	})
}

func TestDisk(t *testing.T) {
	set := func(how func(*Disk)) func(*Facts) { return func(f *Facts) { change(&f.Disk, how) } }
	judge(t, "disk", []judged{
		{"room", func(*Facts) {}, Fine, "100.0 GB are free under /var/lib/ancre"},
		{"full", set(func(d *Disk) { d.FreeBytes = datadir.Reserve - 1 }), Failed, "accepts no digests"},
		{"nearly full", set(func(d *Disk) { d.FreeBytes = datadir.LowSpace - 1 }), Warning, "free disk space"},
		{"just enough", set(func(d *Disk) { d.FreeBytes = datadir.LowSpace }), Fine, "2.1 GB"},
		{"no inodes", set(func(d *Disk) { d.FreeInodes = 3 }), Failed, "3 more files"},
		{"a file system without a number of inodes", set(func(d *Disk) { d.Inodes, d.FreeInodes = 0, 0 }), Fine, "100.0 GB"},
		{"the daemon's word comes first", func(f *Facts) {
			change(&f.Disk, func(d *Disk) { d.FreeBytes = 1 })
			warns(f, warning.Store, "the store is read-only")
		}, Failed, "the store is read-only"},
	})
}

func TestWallet(t *testing.T) {
	set := func(how func(*rpc.WalletInfo)) func(*Facts) {
		return func(f *Facts) { change(&f.Info, func(i *rpc.Info) { how(&i.Wallet) }) }
	}
	judge(t, "wallet", []judged{
		{"ready", func(*Facts) {}, Fine, "ready, 50,000 sat to spend: enough for 81 anchors at today's price"},
		{"none", set(func(w *rpc.WalletInfo) { w.State = "none" }), Failed, "sudo ancre wallet create"},
		{"none, of a daemon that this user started", func(f *Facts) {
			f.Me.Service = false
			set(func(w *rpc.WalletInfo) { w.State = "none" })(f)
		}, Failed, "-> ancre wallet create"},
		{"locked though it should be unlocked at the start", set(func(w *rpc.WalletInfo) { w.State = "locked" }), Failed, "the systemd credential did not unlock it"},
		{"locked", func(f *Facts) { f.Unlock = Known(""); set(func(w *rpc.WalletInfo) { w.State = "locked" })(f) }, Failed, "sudo ancre wallet unlock"},
		{"unusable", func(f *Facts) {
			set(func(w *rpc.WalletInfo) { w.State = "unusable" })(f)
			warns(f, warning.Wallet, "the file is damaged")
		}, Failed, "the file is damaged"},
		{"empty", set(func(w *rpc.WalletInfo) { w.ConfirmedSats, w.SpendableSats = 0, 0 }), Failed, "sudo ancre wallet address"},
		{"empty until a deposit is mined", set(func(w *rpc.WalletInfo) { w.ConfirmedSats, w.SpendableSats, w.PendingSats = 0, 0, 7000 }), Fine, "7,000 unconfirmed"},
		{"nearly empty", func(f *Facts) { warns(f, warning.BalanceLow, "enough for 7 more anchors") }, Warning, "7 more anchors"},
		{"not unlocked at the next start", func(f *Facts) { f.Unlock = Known("") }, Fine, "after a restart it waits"},
	})
}

func TestBackup(t *testing.T) {
	last := func(how func(*rpc.Info)) func(*Facts) { return func(f *Facts) { change(&f.Info, how) } }
	idle := func(f *Facts) { change(&f.Timer, func(s *Service) { s.Active = "inactive" }) }
	judge(t, "backup", []judged{
		{"of this morning", func(*Facts) {}, Fine, "5 hours old, with 300 digests, a store was rebuilt from it, and it was copied elsewhere"},
		{"nothing to back up", last(func(i *rpc.Info) { i.LastBackup, i.Digests = nil, 0 }), Fine, "nothing to back up"},
		{"none yet", last(func(i *rpc.Info) { i.LastBackup = nil }), Fine, "none yet"},
		{"no timer", func(f *Facts) { idle(f) }, Warning, "sudo systemctl enable --now ancre-backup.timer"},
		{"too old, and no timer", func(f *Facts) { idle(f); warns(f, warning.BackupOld, "9 days") }, Warning, "sudo systemctl enable --now ancre-backup.timer"},
		{"failed", func(f *Facts) { warns(f, warning.BackupFailed, "no space") }, Warning, "no space"},
	})
}

func TestNotify(t *testing.T) {
	tried := func(r rpc.NotifyTest) func(*Facts) { return func(f *Facts) { f.Notified = Known(r) } }
	without := func(metrics bool) func(*Facts) {
		return func(f *Facts) { change(&f.Settings, func(s *Settings) { s.Notify, s.Metrics = "", metrics }) }
	}
	judge(t, "notify", []judged{
		{"configured", func(*Facts) {}, Fine, "/usr/lib/ancre/notify-mail is run"},
		{"not configured", without(false), Warning, "nobody is told"},
		{"not configured beside Prometheus", without(true), Fine, "Prometheus"},
		{"tried", tried(rpc.NotifyTest{OK: true, Program: "mail"}), Fine, "mail was run with a test event"},
		{"tried in vain", tried(rpc.NotifyTest{Program: "mail", Error: "exit status 1", Output: "no such host"}), Failed, "mail failed: exit status 1; the command below shows what it printed -> sudo ancre rpc testnotify"},
		{"tried by a user who may not", func(f *Facts) { f.Notified = Denied[rpc.NotifyTest]() }, Unknown, "sudo ancre doctor --notify"},
		{"it fails, says the daemon", func(f *Facts) { warns(f, warning.Notify, "cannot be run") }, Warning, "cannot be run"},
	})
}

func TestWhatComesNext(t *testing.T) {
	set := func(how func(*rpc.Info)) func(*Facts) { return func(f *Facts) { change(&f.Info, how) } }
	judge(t, "next_batch", []judged{
		{"one is open", func(*Facts) {}, Fine, "batch 12 is open with 34 digests, and is sealed at 2026-01-02 14:00 UTC at the latest, in 2 hours"},
		{"none is open", set(func(i *rpc.Info) { i.Batch = nil }), Fine, "no batch is open: the next digest opens one, which is sealed 6 hours later"},
	})
	judge(t, "next_anchor", []judged{
		{"when the batch is sealed", func(*Facts) {}, Fine,
			"paid at 2026-01-02 14:00 UTC, when the batch is sealed; it costs about 153 sat at first, and at most 612 sat after 6 hours; a block should hold it by 2026-01-02 20:00 UTC"},
		{"none is due", set(func(i *rpc.Info) { i.Batch = nil }), Fine, "none is due; it costs about 153 sat"},
		{"one waits for a block", set(func(i *rpc.Info) { i.Anchors.Broadcast = 1 }), Fine, "1 anchor is broadcast and waits for a block"},
		{"batches wait for a wallet", set(func(i *rpc.Info) { i.Waiting, i.Wallet.State = 2, "none" }), Warning, "2 sealed batches wait for a payment until the wallet can pay"},
		{"nothing can be paid yet", set(func(i *rpc.Info) { i.Chain.Synced = false }), Fine, "as soon as the chain is synced"},
		{"the price is not known", func(f *Facts) { f.Fees = Missing[rpc.FeeEstimate]("") }, Fine, "when the batch is sealed; a block should"},
	})
}

func TestCronAndLog(t *testing.T) {
	job := func(program string, found bool) func(*Facts) {
		return func(f *Facts) {
			f.Jobs = Known([]Job{{File: "/etc/cron.d/stamp", Line: 3, User: "clerk", Program: program, Path: "/usr/bin:/bin", Found: found}})
		}
	}
	judge(t, "cron", []judged{
		{"a job that finds it", job("ancre", true), Fine, "the one job"},
		{"a job that does not", job("ancre", false), Failed, "the job in /etc/cron.d/stamp, line 3 calls ancre, and cron looks for it only in /usr/bin:/bin -> add this line at the top of that file: PATH="},
		{"a path that does not exist any more", job("/usr/local/bin/ancre", false), Failed, "calls /usr/local/bin/ancre, which does not exist"},
		{"crontabs that this user may not see", func(f *Facts) { f.Hidden = []string{"the crontabs of other users"} }, Unknown, "the crontabs of other users: you may not see this -> sudo ancre doctor"},
	})
	judge(t, "log", []judged{
		{"quiet", func(*Facts) {}, Fine, "12 lines"},
		{"drowned", func(f *Facts) { f.Log = Known(1001) }, Warning, "more than 1,000 lines"},
		{"debug", func(f *Facts) { change(&f.Settings, func(s *Settings) { s.Debug = true }) }, Warning, "log.level"},
		{"hidden", func(f *Facts) { f.Log = Denied[int]() }, Unknown, "sudo ancre doctor"},
	})
}
