package doctor

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ancre/config"
	"ancre/internal/atomicfile"
	"ancre/internal/datadir"
)

const proc = "/proc"

// processes finds the daemons that run, and the data directories of this machine.
func (g *gatherer) processes(context.Context) {
	all := findDaemons()
	g.put(func(f *Facts) { f.Processes = all })
	running, _ := all.Get()
	dirs := g.dataDirs(running)
	g.put(func(f *Facts) { f.DataDirs = Known(dirs) })
}

// findDaemons finds the processes that are daemons.
func findDaemons() Fact[[]Process] {
	if _, err := os.Stat(proc + "/1/comm"); err != nil && os.Geteuid() != 0 {
		return Denied[[]Process]() // mounted with hidepid
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return Missing[[]Process](err.Error())
	}
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := daemonAt(pid); ok {
			all = append(all, p)
		}
	}
	return Known(all)
}

// daemonAt returns what the process with a number is, if it is a daemon.
func daemonAt(pid int) (p Process, ok bool) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	if readProc(dir, "comm") != "ancred" {
		return p, false
	}
	if inContainer(dir) {
		return p, false
	}
	args := strings.Split(strings.TrimRight(readProc(dir, "cmdline"), "\x00"), "\x00")
	if isVerb(args) {
		return p, false
	}
	p = Process{PID: pid, User: "an unknown user", Unit: unitOf(readProc(dir, "cgroup"))}
	if info, err := os.Stat(dir); err == nil {
		if uid, ok := atomicfile.OwnerOf(info); ok {
			p.User = atomicfile.UserName(uid)
		}
	}
	p.Dir, p.Network = openDataDir(dir)
	if p.Network == "" {
		p.Network = networkOf(args)
	}
	return p, true
}

func readProc(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(data), "\n")
}

// isVerb reports whether a command line of ancred is one of a verb that ends by itself.
func isVerb(args []string) bool {
	return slices.ContainsFunc(args[1:], func(a string) bool {
		return slices.Contains([]string{"check", "restore", "move", "--version", "--help"}, a)
	})
}

// inContainer reports whether a process runs in a container of this machine: a daemon there has
// directories and ports of its own.
func inContainer(dir string) bool {
	theirs, err := os.Readlink(filepath.Join(dir, "ns", "pid"))
	if own, ownErr := os.Readlink(proc + "/self/ns/pid"); err == nil && ownErr == nil {
		return theirs != own
	}
	// Only root may read the links of other users' processes. The group tells too.
	return isContainer(readProc(dir, "cgroup"))
}

// isContainer reports whether a group of processes is one that container managers make.
func isContainer(cgroup string) bool {
	return slices.ContainsFunc([]string{"docker", "libpod", "lxc", "machine.slice", "/payload", "kubepods", "containerd"}, func(s string) bool {
		return strings.Contains(cgroup, s)
	})
}

// unitOf returns the unit of systemd that a process belongs to: a service of the system or of a
// user. A person's terminal is in a scope, and that is no unit that starts anything.
func unitOf(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		_, path, ok := strings.Cut(strings.TrimSpace(line), "::")
		if !ok {
			continue
		}
		if unit := filepath.Base(path); strings.HasSuffix(unit, ".service") && strings.Contains(unit, "ancre") {
			return unit
		}
	}
	return ""
}

// openDataDir returns the data directory whose lock a process has open. Only root and the owner of
// the process see that.
func openDataDir(dir string) (path, network string) {
	entries, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return "", ""
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, "fd", e.Name())); err == nil && filepath.Base(target) == datadir.Lock {
			path = filepath.Dir(target)
			return path, filepath.Base(path)
		}
	}
	return "", ""
}

// networkOf returns the network that a command line names. A configuration may name another one, so
// without a flag it is known only where there is no such file.
func networkOf(args []string) string {
	for i, a := range args {
		name, value, joined := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !strings.HasPrefix(a, "-") || name != "network" {
			continue
		}
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		if slices.Contains(config.Networks(), value) {
			return value
		}
	}
	return ""
}

// dataDirs finds the data directories of the users that this user may look at.
func (g *gatherer) dataDirs(running []Process) (all []DataDir) {
	roots := []string{"/var/lib/ancre"}
	if home, err := os.UserHomeDir(); err == nil {
		roots = append(roots, filepath.Join(home, ".ancre"))
	}
	homes, _ := filepath.Glob("/home/*/.ancre")
	roots = append(append(roots, homes...), "/root/.ancre")
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		for _, network := range config.Networks() {
			dir := filepath.Join(root, network)
			if !exists(filepath.Join(dir, datadir.Marker)) {
				continue
			}
			entries, _ := os.ReadDir(filepath.Join(dir, datadir.Wallet))
			all = append(all, DataDir{Path: dir, Network: network, HasWallet: len(entries) > 0,
				InUse: slices.ContainsFunc(running, func(p Process) bool { return p.Dir == dir })})
		}
	}
	return all
}

// listener says what listens at HOST:PORT on this machine: the program and its number, or the user;
// empty if that cannot be seen.
func listener(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	addr, _ := netip.ParseAddr(host)
	if host == "localhost" {
		addr = netip.MustParseAddr("127.0.0.1")
	}
	for _, table := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			continue
		}
		if uid, inode, ok := findListener(string(data), addr, uint16(number)); ok {
			if name, pid := ownerOf(inode); pid != 0 {
				return name + " (process " + strconv.Itoa(pid) + ", user " + atomicfile.UserName(uid) + ")"
			}
			return "a program of user " + atomicfile.UserName(uid)
		}
	}
	return ""
}

// findListener finds in /proc/net/tcp or tcp6 who listens at an address, or at all addresses.
func findListener(table string, addr netip.Addr, port uint16) (uid int, inode string, ok bool) {
	const listening = "0A"
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		hexAddr, hexPort, _ := strings.Cut(fields[1], ":")
		at, ok := procAddr(hexAddr)
		if n, err := strconv.ParseUint(hexPort, 16, 16); err != nil || uint16(n) != port || !ok || at != addr.Unmap() && !at.IsUnspecified() {
			continue
		}
		if uid, err := strconv.Atoi(fields[7]); err == nil {
			return uid, fields[9], true
		}
	}
	return 0, "", false
}

// procAddr reads an address of /proc/net: words of four bytes, each in the order of the machine,
// which is little-endian on all that Ancre is built for.
func procAddr(s string) (netip.Addr, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(b)
	return addr.Unmap(), ok
}

// ownerOf returns the process that has a socket open. Only root sees those of others.
func ownerOf(inode string) (name string, pid int) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return "", 0
	}
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(proc, e.Name())
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil && target == "socket:["+inode+"]" {
				return readProc(dir, "comm"), number
			}
		}
	}
	return "", 0
}
