package doctor

import (
	"time"

	"ancre/rpc"
)

// Fact is something that Gather looked at: its value, or why it is not known. The zero value was
// not looked at.
type Fact[T any] struct {
	value   T
	known   bool
	denied  bool   // root would see it
	missing string // if it is not known: why
}

// Known is a fact with its value.
func Known[T any](v T) Fact[T] { return Fact[T]{value: v, known: true} }

// Denied is a fact that this user may not see.
func Denied[T any]() Fact[T] {
	return Fact[T]{denied: true, missing: "you may not see this"}
}

// Missing is a fact that could not be seen for another reason.
func Missing[T any](why string) Fact[T] { return Fact[T]{missing: why} }

// Get returns the value, and whether it is known.
func (f Fact[T]) Get() (T, bool) { return f.value, f.known }

// Facts is what was seen. None of it is a secret, see the comment of the package.
type Facts struct {
	Now    time.Time
	Me     Me
	Remote bool   // the daemon that is meant runs on another machine
	Client string // the version of this program

	Settings Fact[Settings]
	Programs Fact[[]Program] // all copies of ancred that were found; the one beside this program first
	Check    Fact[[]Finding] // what "ancred check" says

	Service   Fact[Service]   // ancred.service
	Timer     Fact[Service]   // ancre-backup.timer
	Processes Fact[[]Process] // the daemons that run on this machine
	DataDirs  Fact[[]DataDir] // the data directories that were found
	InUse     Fact[bool]      // a process holds the lock of Settings.Dir

	RPC      Fact[Port]
	Calendar Fact[Port]
	Public   Fact[string] // what is wrong with calendar.uri, as this machine reaches it; empty: nothing
	Info     Fact[rpc.Info]
	Fees     Fact[rpc.FeeEstimate]
	Notified Fact[rpc.NotifyTest] // what came of trying notify.command, if the person wanted that

	Reach  Fact[Reach]
	NTP    Fact[NTP]
	Disk   Fact[Disk]
	Unlock Fact[string] // where ancred takes the passphrase from at each start; empty: from nowhere

	Jobs   Fact[[]Job] // jobs of cron that call ancre or ancred
	Hidden []string    // crontabs that this user may not read
	Log    Fact[int]   // lines of ancred's log in the last hour
}

// Me is the person who asks.
type Me struct {
	User    string
	Root    bool
	Service bool   // the daemon that is meant is the service of this machine
	Ancre   string // how the person calls this program, with the flags that name the daemon
}

// asRoot returns a command that works for this person and needs root.
func (m Me) asRoot(command string) string {
	if m.Root {
		return command
	}
	return "sudo " + command
}

// Settings is what the configuration says, without its secrets.
type Settings struct {
	File    string // empty: there is none, and the defaults hold
	Dir     string // of the network
	Network string

	RPC, Calendar string // HOST:PORT; Calendar is empty if it is off
	CalendarURI   string
	Proxy         string
	Connect       []string
	Interval      time.Duration // batch.interval
	Target        time.Duration // anchor.target
	Debug         bool          // log.level is debug
	Notify        string        // the program of notify.command, without its arguments; empty: none
	Metrics       bool          // something may fetch the metrics
}

// Program is an installed program.
type Program struct {
	Path    string
	Version string // empty: it does not say
}

// Finding is a finding of "ancred check". Its form is that of the program.
type Finding struct {
	About string `json:"about"`
	Level string `json:"level"` // fine, warning or error
	Text  string `json:"text"`
}

// Service is the unit of systemd.
type Service struct {
	Unit     string    // ancred.service
	Load     string    // loaded, not-found, masked
	Enabled  string    // enabled, disabled, static
	Active   string    // active, activating, inactive, failed
	Sub      string    // running, auto-restart, dead
	Since    time.Time // of Active; zero: unknown
	Restarts int
	LastLine Fact[string] // of its log
}

// Process is a daemon that runs.
type Process struct {
	PID     int
	User    string
	Unit    string // of systemd; empty: a person started it
	Dir     string // of its network; empty: unknown
	Network string // empty: unknown
}

// DataDir is a network's data directory.
type DataDir struct {
	Path, Network string
	InUse         bool
	HasWallet     bool
}

// Port is an address on which a part of the daemon should listen.
type Port struct {
	Address string
	State   PortState
	Owner   string // the program or the user that listens, as far as it is known
	Text    string // what went wrong
	Denied  bool   // this user may not read the cookie
}

// PortState says who answers at a port.
type PortState int

const (
	Closed   PortState = iota // nothing listens
	Answers                   // the daemon answers
	Starting                  // the daemon answers that it starts
	Refuses                   // a daemon refuses the credentials
	NoCookie                  // it was not asked, because no cookie could be read
	Stranger                  // another program answers
	Mute                      // something accepts connections and does not answer in time
)

// Reach is what came of connecting to Bitcoin nodes.
type Reach struct {
	Port     string // on which the nodes of this network listen
	NoSeeds  bool   // this network has no seeds, and no node is configured
	ProxyErr string // why the proxy cannot be reached
	Lookups  int    // names that were looked up
	NotFound int    // those without an answer
	Lookup   string // why, the last time
	Tries    []Try
}

// Try is what came of connecting to one node.
type Try struct {
	Address string
	Err     string        // empty: it answered as a node of this network
	Timeout bool          // nothing came back
	Filters bool          // it serves compact filters
	Ahead   time.Duration // its clock before this machine's
}

// NTP is what the system says of its clock.
type NTP struct {
	None   bool // no service that sets the clock is installed
	On     bool // one runs
	Synced bool // the clock was set
}

// Disk is the file system of the data directory.
type Disk struct {
	Path       string
	FreeBytes  uint64
	Inodes     uint64 // 0: it has no fixed number
	FreeInodes uint64
}

// Job is a line of a crontab that calls ancre or ancred.
type Job struct {
	File    string
	Line    int
	User    string
	Program string // as it is written there: ancre, /usr/local/bin/ancre
	Path    string // PATH of the job
	Found   bool   // there is such a program
}
